"""The tour's content: what a chapter says is what its run shows, and what it cannot say is refused
in one sentence.
"""

from __future__ import annotations

import json
import re
import shutil

import msgspec
import pytest

import viz
from scripts import record_lessons, write_lessons
from scripts.toy_story import HABITS, STORY, WORDS
from scripts.worksheet import worksheet
from tr_core.trace import read_trace
from viz.lessons import record as lessons
from viz.lessons.chapter_text import LessonError, parse_chapter
from viz.lessons.facts import NODES, ROWS, RUN_VALUES, STEP_VALUES, find_nodes

LONGEST_SCENE = 130  # words; a card that is longer is not read
THE, CAT, DOG, SAW, AND, RAN = range(6)


@pytest.fixture(scope="module")
def toy():
    return read_trace(lessons.LESSONS / "toy.json")


@pytest.fixture(scope="module")
def record():
    return json.loads(viz.lessons_record())


def scenes(record):
    return [(i, s) for i, c in enumerate(record["chapters"], start=1) for s in c["scenes"]]


def plain(paragraph):
    return "".join(part if isinstance(part, str) else part[1] for part in paragraph)


def named(tokens):
    return [WORDS[t] for t in tokens]


# — the toy —


def say(before):
    """The model's two words after ``before``, by the two cards of the worksheet."""
    on_story = list(before) == list(STORY[: len(before)])
    first = list(STORY[len(before) : len(before) + 1]) if on_story else []
    listed = first + [w for w in HABITS[before[-1]] if w not in first]
    return listed[:2]


def test_the_toy_can_be_redone_by_pen(toy):
    """All ten steps again in plain words, with none of the engine: as the worksheet tells it."""
    rows, text = {}, [STORY[0]]
    for step in toy.steps:
        tree = [(text[-1], [])]  # each word with the words between it and the text
        for parent, rank in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]:
            row = rows.get(tree[parent][0], [])
            tree.append((row[rank] if row else None, [*tree[parent][1], tree[parent][0]]))
        said = [None if w is None else say([*text[:-1], *way, w]) for w, way in tree]
        path, at = [], 0
        while below := [
            n for n in range(1, 6) if step.parents[n] == at and tree[n][0] == said[at][0]
        ]:
            at = below[0]
            path.append(at)
        written = [*(tree[n][0] for n in path), said[at][0]][: len(STORY) - len(text)]
        for (w, _), best in zip(tree, said, strict=True):
            if w is not None:
                rows[w] = best
        assert [None if n in step.unseen else WORDS[t] for n, t in enumerate(step.tokens)] == [
            w for w, _ in tree
        ]
        assert (named(step.emitted), list(step.path)) == (written, path[: len(written)])
        assert {WORDS[r.token]: named(r.after) for r in step.rows} == {
            w: rows[w] for w, _ in tree if w is not None
        }
        text += written
    assert tuple(text) == STORY


def test_what_the_chapters_lean_on(toy):
    chain, plain_run, hot = (
        read_trace(lessons.LESSONS / f"toy-{n}.json") for n in ("chain", "plain", "hot")
    )
    assert [len(t.steps) for t in (plain_run, chain, toy, hot)] == [18, 13, 10, 7]
    assert {t.text for t in (plain_run, chain, toy, hot)} == {"".join(f" {w}" for w in STORY[1:])}
    assert all(t.reference_identical for t in (plain_run, chain, toy, hot))
    assert chain.info.nodes == toy.info.nodes == 5
    # “ran” is drafted and rejected in step 4, and first written in step 8; in step 9 its row is
    # what drafts.
    writers = [s.statuses[r.node] for s in toy.steps[:8] for r in s.rows if r.token == RAN]
    assert set(writers) == {"rejected"}
    assert toy.steps[8].tokens[0] == RAN
    assert len(toy.steps[8].path) == 2
    # The chain comes to the same place with an empty row.
    assert chain.steps[10].tokens[0] == RAN
    assert (chain.steps[10].path, len(chain.steps[10].unseen)) == ((), 5)


def test_recording_again_changes_nothing():
    runs = record_lessons.toy_runs()
    assert runs == {path.stem: read_trace(path) for path in lessons.LESSONS.glob("*.json")}
    assert record_lessons.WORKSHEET.read_text(encoding="utf-8") == worksheet(runs["toy"]), (
        "run scripts/record_lessons.py"
    )


def test_the_worksheet_gives_nothing_away_before_its_solutions(toy):
    page = worksheet(toy)
    tasks, solutions = page.split("<h1>Solutions</h1>")
    assert tasks.count("<section>") == 4, (
        "the rules, two pages to fill in, and the page that begins with the solutions"
    )
    assert "✓" not in tasks
    assert len(re.findall(r'<text[^>]*middle">\w', tasks)) == 0
    assert solutions.count("✓ ") == sum(len(s.path) for s in toy.steps[3:7])
    assert "Written by this pass: the cat and" in solutions
    assert not re.search(r"https?:|<script|src=", page)


# — the chapters —


def test_twelve_chapters_of_twenty_minutes_each_with_its_question(record):
    assert len(record["chapters"]) == 12
    assert sum(c["minutes"] for c in record["chapters"]) == 20
    for chapter in record["chapters"]:
        kinds = [s["ask"]["kind"] for s in chapter["scenes"] if "ask" in s]
        assert kinds[-1] == "question", chapter["title"]
        assert "ask" in chapter["scenes"][-1], "the question stands at the end"
        assert kinds.count("predict") >= 1, chapter["title"]
    for number, scene in scenes(record):
        length = len(" ".join(map(plain, scene["text"])).split())
        assert length <= LONGEST_SCENE, f"chapter {number}: {length} words"


def test_every_place_that_a_scene_names_is_there(record):
    for number, scene in scenes(record):
        steps = record["runs"][scene["run"]]["steps"]
        step = steps[scene["step"] - 1]
        ring = scene.get("highlight", {})
        assert set(ring.get("nodes", [])) <= set(range(len(step["ids"]))), number
        assert set(ring.get("rows", [])) <= {row["t"] for row in step["rows"]}, number
        assert scene.get("select", 0) < len(step["ids"])
        assert ring.get("region", "tree") in lessons.REGIONS
        assert scene.get("panel", "attention") in lessons.PANELS
        assert not re.search(r"[{}*`]", " ".join(map(plain, scene["text"]))), (
            "a brace or a mark is left over"
        )


def answers(record, number):
    asks = [
        s["ask"]
        for n, s in scenes(record)
        if n == number and s.get("ask", {}).get("kind") == "predict"
    ]
    return [[plain(o["label"]) for o in ask["options"] if o["right"]] for ask in asks]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, [["18"]]),
        (2, [["1"]]),
        (3, [["and › the › cat"]]),
        (4, [["1"]]),
        (5, [["the › dog"]]),
        (6, [["13"]]),
        (7, [["the › dog"]]),
        (8, [["the, and"]]),
        (9, [["ran"], ["3"]]),
        (10, [["14"]]),
        (11, [["yes"]]),
        (12, [["1.2 %"]]),
    ],
)
def test_the_record_answers_what_a_teacher_would(record, number, expected):
    assert answers(record, number) == expected


def test_each_wrong_answer_has_a_sentence_and_no_answer_is_shown_twice(record):
    for number, scene in scenes(record):
        for ask in [scene["ask"]] if "ask" in scene else []:
            labels = [plain(o["label"]) for o in ask["options"]]
            assert len(set(labels)) == len(labels) >= 2, number
            assert all(len(plain(o["reply"])) > 20 for o in ask["options"]), number
            assert 1 <= sum(o["right"] for o in ask["options"]) < len(labels)


# — facts —


def test_facts_by_hand(toy):
    step = toy.steps[3]  # the → cat (saw, ran), dog (–): the model says dog, then and
    assert find_nodes(step, "right word, wrong place") == [3]
    assert find_nodes(step, "path end") == [2]
    assert find_nodes(step, "agreeing nodes") == [2, 3]
    assert find_nodes(step, "rejected nodes") == [1, 3, 4]
    assert find_nodes(step, "fillers") == [5]
    assert find_nodes(step, "root's children") == [1, 2]
    assert find_nodes(step, "best line") == [1, 3]
    assert find_nodes(step, "above node 3") == [1]
    assert find_nodes(step, "beside node 1") == [2]
    assert find_nodes(step, "above node 9") is None
    assert find_nodes(toy.steps[4], "path end") == [0]
    assert ROWS["changed rows"](step) == [THE, DOG, RAN]
    assert ROWS["unchanged rows"](step) == [CAT, SAW]
    assert ROWS["new rows"](step) == [DOG, RAN]
    assert ROWS["rows by rejected nodes"](step) == [CAT, SAW, RAN]
    assert ROWS["new rows by rejected nodes"](step) == [RAN]
    values = {
        "root": "the", "choice": "dog", "bonus": "and", "path": "dog", "written": "dog and",
        "accepted": "1", "emitted": "2", "drafted": "5", "scored": "6", "rejected": "3",
        "fillers": "1", "cached before": "3", "cached": "5", "position": "3", "rows written": "5",
        "rows new": "2", "rows filled": "5", "written so far": "5", "rate": "20.0 %",
        "passes here": "1", "next guesses": "",
    }  # fmt: skip
    assert {name: STEP_VALUES[name](toy, step) for name in STEP_VALUES} == values
    assert STEP_VALUES["next guesses"](toy, toy.steps[5]) == "the, and"
    assert STEP_VALUES["next guesses"](toy, toy.steps[9]) == ""
    assert STEP_VALUES["bonus"](toy, toy.steps[9]) == "none"
    run_values = {
        "passes": "10", "tokens": "18", "passes saved": "8", "tokens per pass": "1.80",
        "all accepted": "9", "all drafted": "50", "all rate": "18.0 %", "empty passes": "4",
        "budget": "5", "k": "2", "vocabulary": "6", "megabytes": "0", "same as plain": "yes",
        "text": " ".join(STORY[1:]),
    }  # fmt: skip
    assert {name: RUN_VALUES[name](toy) for name in RUN_VALUES} == run_values
    assert not set(NODES) & set(ROWS) & set(STEP_VALUES) & set(RUN_VALUES)


# — what is refused —

GOOD = """# Title
minutes: 2

## toy, step 4, verify
ring: node 3

Text of {emitted} words.

### Predict: path end
Which one?
right: yes
wrong: no
"""


def resolve(text):
    chapter = parse_chapter(text, "03-x.md")
    runs = {name: read_trace(lessons.LESSONS / f"{name}.json") for name in ("toy", "toy-chain")}
    return lessons.resolve(chapter, runs)


def test_a_scene_may_consist_of_its_question():
    assert resolve(GOOD.replace("Text of {emitted} words.\n", ""))["scenes"][0]["text"] == []


def test_a_good_chapter_is_taken():
    scene = resolve(GOOD)["scenes"][0]
    assert scene["text"] == [["Text of 2 words."]]
    assert scene["highlight"] == {"nodes": [3]}
    assert [(o["label"], o["node"], o["right"]) for o in scene["ask"]["options"]] == [
        (["the"], 0, False), (["the › cat"], 1, False), (["the › dog"], 2, True),
        (["the › cat › saw"], 3, False), (["the › cat › ran"], 4, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("# Title\n", "Title\n", 1, "begins with its title"),
        ("minutes: 2\n", "minutes: soon\n", 2, "minutes: 2"),
        ("minutes: 2\n", "minutes: 2\nauthor: me\n", 2, "write only"),
        ("minutes: 2\n", "minutes: 99\n", 2, "at most 30"),
        ("verify\n", "think\n", 4, "draft, verify, accept, recycle"),
        ("step 4", "step four", 4, "## toy, step 4, verify"),
        ("step 4", "step 40", 4, "no step 40: its steps are 1 … 10"),
        ("ring: node 3", "ring: node 6", 5, "no node 6: its nodes are 0 … 5"),
        ("ring: node 3", "ring: row and", 5, "overwrites no row of “and”"),
        ("ring: node 3", "ring: moon", 5, "no “moon” to point at"),
        ("ring: node 3", "ring: fillers\nring: node 3", 6, "once each"),
        ("ring: node 3", "colour: red", 5, "ring, panel, select"),
        ("ring: node 3", "panel: moon", 5, "no panel “moon”"),
        ("ring: node 3", "select: row the", 5, "select takes a node"),
        ("{emitted}", "{moon}", 7, "no fact “moon”"),
        ("{emitted}", "{toy-hot: passes}", 7, "no scene shows a run “toy-hot”"),
        ("{emitted}", "{step 11: emitted}", 7, "no step 11"),
        ("{emitted}", "{here and there: emitted}", 7, "is no place"),
        ("Predict: path end", "Predict: moon", 9, "no fact “moon” to predict"),
        ("Predict: path end", "Riddle", 9, "“### Predict: fact” or “### Question”"),
        ("Predict: path end", "Predict:", 9, "“### Predict: fact” or “### Question”"),
        ("Predict: path end", "Predict: emitted", 9, "the record answers “2”"),
        ("Predict: path end", "Question", 11, "after its answers"),
        ("Which one?\n", "", 9, "question itself is missing"),
        ("right: yes\n", "", 9, "needs “right:” and “wrong:”"),
        ("wrong: no\n", "wrong: no\nwrong node 2: no\n", 13, "right, or cannot be chosen"),
        ("wrong: no\n", "wrong: no\nreveal: soon\n", 13, "reveal takes a phase"),
        ("wrong: no\n", "wrong: no\nAnd more.\n", 13, "after the question, write"),
        ("wrong: no\n", "wrong: no\n- [x] yes -> no\n", 13, "- answer -> what is said then"),
        ("wrong: no\n", "wrong: no\n\n### Question\nAgain?\n", 14, "only “### …”"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_by_file_and_line(old, new, line, words):
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    with pytest.raises(LessonError) as error:
        resolve(text)
    sentence = str(error.value)
    assert sentence.startswith(f"03-x.md, line {line}: "), sentence
    assert words in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ("- [ ] a -> b\n- [ ] c -> d\n", "exactly one of them marked"),
        ("- [x] a -> b\n- [x] c -> d\n", "exactly one of them marked"),
        ("- [x] a\n", "what is said then"),
        ("", "exactly one of them marked"),
    ],
)
def test_a_question_has_one_right_answer(answers, words):
    with pytest.raises(LessonError, match=words):
        resolve(f"# T\nminutes: 1\n\n## toy, step 1, accept\n\n### Question\nWhy?\n{answers}")


def test_a_prediction_of_a_number_needs_the_records_answer_among_its_own():
    head = "# T\nminutes: 1\n\n## toy, step 4, draft\n\nText.\n\n### Predict: emitted\nHow many?\n"
    found = resolve(f"{head}- 1 -> no\n- 2 -> yes,\n  on two lines\n")["scenes"][0]["ask"][
        "options"
    ]
    assert [(o["label"], o["right"], o["reply"]) for o in found] == [
        (["1"], False, ["no"]),
        (["2"], True, ["yes, on two lines"]),
    ]
    with pytest.raises(LessonError, match="line 8: the record answers “2”"):
        resolve(f"{head}- 1 -> no\n- 3 -> yes\n")


def test_a_folder_without_chapters_and_a_run_without_trace_have_a_sentence(tmp_path):
    with pytest.raises(LessonError, match="has no chapter"):
        viz.lessons_record(tmp_path)
    (tmp_path / "01-a.md").write_bytes(b"\xff\xfe")
    with pytest.raises(LessonError, match=r"01-a\.md, line 1: the file cannot be read as UTF-8"):
        viz.lessons_record(tmp_path)
    (tmp_path / "01-a.md").write_text("# A\nminutes: 1\n\n## moon, step 1, draft\n\nText.\n")
    with pytest.raises(LessonError, match="line 4: there is no run “moon”"):
        viz.lessons_record(tmp_path)


def test_a_translation_is_a_copied_folder(tmp_path):
    folder = tmp_path / "lektionen"
    shutil.copytree(lessons.LESSONS, folder)
    first = folder / "01-one-pass-one-word.md"
    first.write_text(
        first.read_text(encoding="utf-8").replace(
            "# One pass, one word", "# Ein Durchlauf, ein Wort"
        )
    )
    record = json.loads(viz.lessons_record(folder))
    assert record["chapters"][0]["title"] == "Ein Durchlauf, ein Wort"
    assert len(record["chapters"]) == 12


def test_words_of_a_model_are_never_read_as_markup(toy):
    pieces = dict(toy.pieces) | {DOG: "**<b>`{root}", AND: "<img src=x>"}
    hostile = msgspec.structs.replace(toy, pieces=pieces)
    chapter = parse_chapter(
        "# T\nminutes: 1\n\n## toy, step 4, verify\n\n**{path}** and `{bonus}`: {written}.\n",
        "x.md",
    )
    found = lessons.resolve(chapter, {"toy": hostile})["scenes"][0]["text"]
    assert found == [
        [["b", "**<b>`{root}"], " and ", ["code", "<img src=x>"], ": **<b>`{root} <img src=x>."],
    ]


def test_the_record_is_small_and_can_open_itself():
    assert len(viz.lessons_record()) < 1_000_000
    assert "open" not in json.loads(viz.lessons_record())
    assert json.loads(viz.lessons_record(open_at=3))["open"] == 3


def test_teaching_notes_name_every_chapter_and_its_minutes(record):
    notes = (record_lessons.ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
    for number, chapter in enumerate(record["chapters"], start=1):
        assert f"### {number} · {chapter['title']} ({chapter['minutes']:g} min)" in notes


def test_the_tour_is_written_as_a_file_or_refused_in_one_line(tmp_path, capsys):
    out = tmp_path / "made" / "tour.html"
    assert write_lessons.main([str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert len(page) < 1_000_000
    assert set(re.findall(r"(?:https?:)?//[\w.]+\.[\w/.]+", page)) == {"http://www.w3.org/2000/svg"}
    capsys.readouterr()
    (tmp_path / "01-a.md").write_text("# A\n")
    assert write_lessons.main([str(out), "--lessons", str(tmp_path)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: 01-a.md, line 1: ")
    assert len(printed.splitlines()) == 1
