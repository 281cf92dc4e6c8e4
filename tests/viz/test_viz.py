"""Labels, layout, records and figures: all that viz does without a browser."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

import viz
from tests.support import viz_runs
from tr_core.trace import BudgetReason, RunTrace, labels
from tr_core.trees.templates import chain, grown, paper
from viz.layout import bonus_position, tidy
from viz.records import run_records as explorer

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        (" the", "·the"),
        ("the", "the"),
        ("\n", "⏎"),
        ("a\tb", "a⇥b"),
        ("\r\n", "‹U+000D›⏎"),
        ("\x00", "‹U+0000›"),
        ("\u200b", "‹U+200B›"),
        ("\u202eabc", "‹U+202E›abc"),
        ("\xa0", "‹U+00A0›"),
        ("\ud800", "‹U+D800›"),
        ("", "‹empty›"),
        ("·", "‹·›"),
        ("\u0301", "◌\u0301"),
        ("<b>", "<b>"),
        ("שלום", "שלום"),
    ],
)
def test_full_label_makes_every_character_visible(piece, expected):
    assert viz.full_label(piece) == expected


def test_different_white_space_never_gets_the_same_label():
    spaces = [" ", "·", "\n", "⏎", "\t", "⇥", "\r", "\xa0", "\u2003", "\u200b", "\u3000", ""]
    assert len({viz.full_label(s) for s in spaces}) == len(spaces)


def test_label_of_bytes_shows_them_whatever_the_piece_says():
    assert viz.label("<0xE2>", "e2") == "‹E2›"
    assert viz.full_label("\ufffd", "f09f") == "‹F0 9F›"
    assert viz.label("<0xE2>") == "<0xE2>", "the same text written by a person is no byte"


@pytest.mark.parametrize(
    "piece",
    [
        " antidisestablishmentarianism",
        "日本語の長い単語です",
        " " * 40,
        "x" * 500,
        "👩\u200d🚀" * 5,
    ],
)
def test_label_is_short_and_full_label_is_not(piece):
    assert labels.cells(viz.label(piece)) <= labels.CELLS
    assert labels.cells(viz.full_label(piece)) > labels.CELLS


def test_a_long_run_of_spaces_is_counted():
    assert viz.label(" " * 12) == "·×12"
    assert viz.label(" " * 4 + "if") == "····if"


TREES = [chain(0), chain(4), chain(512), paper(), grown(16), grown(512), grown(100, k=32)]


@pytest.mark.parametrize("tree", TREES, ids=lambda t: t.name)
def test_layout_overlaps_nothing_and_reads_from_left_to_right(tree):
    layout = tidy(tree.parents, tree.ranks)
    places = list(zip(layout.columns, layout.rows, strict=True))
    assert len(set(places)) == len(places)
    assert layout.counts == (1, *(len(level) for level in tree.levels))
    leaves = set(range(len(tree.parents))) - set(tree.parents)
    assert sorted(layout.rows[n] for n in leaves) == list(range(layout.height)), (
        "leaves are spread evenly"
    )
    first: dict[int, int] = {}
    for node in range(1, len(tree.parents)):
        parent = tree.parents[node]
        assert layout.columns[node] == layout.columns[parent] + 1
        first[parent] = min(first.get(parent, layout.height), layout.rows[node])
    assert all(layout.rows[parent] == row for parent, row in first.items()), (
        "a parent stands beside its first child"
    )


def test_siblings_stand_in_the_order_of_their_ranks_however_they_are_numbered():
    layout = tidy((-1, 0, 0, 0), (-1, 2, 0, 1))
    assert layout.rows == (0, 2, 0, 1)


@pytest.mark.parametrize("tree", TREES, ids=lambda t: t.name)
def test_the_bonus_finds_a_free_place_after_every_node(tree):
    layout = tidy(tree.parents, tree.ranks)
    taken = set(zip(layout.columns, layout.rows, strict=True))
    for node in range(0, len(tree.parents), 7):
        column, row = bonus_position(layout, node)
        assert (column, row) not in taken
        assert column == layout.columns[node] + 1
        assert -1 <= row <= layout.height


def test_step_record_of_a_tiny_tree():
    trace = viz_runs.tiny_run()
    record = json.loads(viz.step_record("r1", trace.steps[0], {5: " saw", 3: "<b>"}, running=False))
    assert record == {
        "type": "step",
        "run": "r1",
        "running": False,
        "index": 1,
        "committed": 2,
        "stop": None,
        "ms": [1.0, 20.0, 0.5, 0.25],
        "cached": 3,
        "ids": [1, 2, 3, 4, 4, 0],
        "parents": [-1, 0, 0, 1, 2, 3],
        "ranks": [-1, 0, 1, 0, 0, 0],
        "choices": [2, 5, 4, 1, 1, 1],
        "status": "raxxxu",
        "why": "raooqu",
        "top": [[2, 3], [5, 4], [4, 1], [1, 2], [1, 2], [1, 2]],
        "p": [
            [75000, 12500],
            [50000, 25000],
            [90000, 5000],
            [60000, 20000],
            [60000, 20000],
            [50000, 50000],
        ],
        "path": [1],
        "bonus": 5,
        "emitted": [2, 5],
        # 0 ─┬─ 1 ─── 3 ─── 5      columns 0 … 3, rows 0 and 1; the bonus after node 1 finds row −1
        # free
        #    └─ 2 ─── 4
        "x": [0, 1, 1, 2, 2, 3],
        "y": [0, 0, 1, 0, 1, 0],
        "counts": [1, 2, 2, 1],
        "height": 2,
        "at": [2, -1],
        "new_rows": 1,
        "rows": [
            {
                "t": 1,
                "n": 0,
                "b": [2, 3],
                "c": "kk",
                "u": "ad",
            },  # the root's row first, though nothing changed
            {"t": 2, "n": 1, "b": [4, 1], "c": "fm", "u": "d-", "e": [1]},  # then that of the path
            {"t": 4, "n": 3, "b": [], "c": "ff"},
            {"t": 3, "n": 2, "b": [4, 0], "c": "kf", "u": "d-", "e": [0]},
        ],
        "tokens": {"5": ["·saw", " saw"], "3": ["<b>"]},
    }


def test_start_and_end_records():
    trace = viz_runs.tiny_run()
    start = json.loads(viz.start_record("r1", trace.info, {1: "the", 2: "<0xE2>"}, {2: "e2"}))
    assert start["type"] == "start"
    assert start["prompt"] == [0, 1]
    assert start["sampling"] == "greedy"
    assert start["tokens"] == {"1": ["the"], "2": ["‹E2›", "", "‹E2›", "e2"]}
    end = json.loads(viz.end_record("r1", stop_reason="eos", text="x", reference_identical=False))
    assert end == {
        "type": "end",
        "run": "r1",
        "stop": "the model chose an end token",
        "text": "x",
        "identical": False,
    }


def test_run_record_holds_what_the_single_records_hold():
    trace = viz_runs.toy_run(5, stop_reason="eos", cut=1)
    whole = json.loads(viz.run_record(trace, "r1"))
    for nested, step in zip(whole["steps"], trace.steps, strict=True):
        single = json.loads(viz.step_record("r1", step, {}))
        assert nested == {
            k: v for k, v in single.items() if k not in ("type", "run", "running", "tokens")
        }
    assert whole["end"]["stop"] == "the model chose an end token"
    assert json.loads(viz.run_record(trace))["run"] == json.loads(viz.run_record(trace))["run"]
    assert viz.run_record(trace) != viz.run_record(viz_runs.toy_run(5, seed=1))


def test_verdicts_tell_a_stop_from_a_rejection():
    """Where the run is cut, the nodes that the model agreed with differ from those that it
    did not.
    """
    whole = viz_runs.toy_run(40)
    number, step = next((i, s) for i, s in enumerate(whole.steps, 1) if len(s.path) >= 4)
    cut = viz_runs.toy_run(number, stop_reason="max_new_tokens", cut=3).steps[-1]
    assert cut.bonus is None
    lost = step.path[len(cut.path) :]
    assert len(lost) == 2
    letters = explorer.verdicts(cut)
    assert [letters[n] for n in lost] == ["s", "s"]
    assert letters.count("a") == len(cut.path)


def test_verdicts_tell_a_twin_of_lower_rank():
    step = viz_runs.tiny_run().steps[0]
    twin = msgspec.structs.replace(step, tokens=(1, 2, 2, 4, 4, 0))
    assert explorer.verdicts(twin)[2] == "d"


def test_token_ids_are_all_that_a_record_mentions():
    trace = viz_runs.toy_run(8)
    for step in trace.steps:
        record = json.loads(viz.step_record("r", step, {}))
        mentioned = {
            *record["ids"],
            *record["choices"],
            *record["emitted"],
            *itertools.chain(*record["top"]),
        }
        for row in record["rows"]:
            mentioned.update((row["t"], *row["b"], *row.get("a", ())))
        assert mentioned == viz.token_ids(step)
    assert viz.token_ids(trace.info) == set(trace.info.prompt_ids)


def test_a_step_of_80_nodes_is_compact():
    steps = viz_runs.toy_run(60).steps
    assert max(len(viz.step_record("r", s, {})) for s in steps) < 16_000


def test_hostile_pieces_survive_the_way_to_json_and_back():
    trace = viz_runs.toy_run(3)
    tokens = json.loads(viz.run_record(trace))["start"]["tokens"]
    for token, piece in trace.pieces.items():
        entry = tokens[str(token)]
        if token not in trace.partial_bytes:
            assert (entry[1] if len(entry) > 1 else entry[0]) == piece


def test_toy_runs_are_runs_that_the_trace_reader_takes():
    for trace in (
        viz_runs.tiny_run(),
        viz_runs.toy_run(6, template=grown(40)),
        viz_runs.toy_run(6, stop_reason="eos", cut=1),
    ):
        assert RunTrace.from_json(trace.to_json()).to_json() == trace.to_json()


def test_small_records():
    assert json.loads(viz.view_record(3, "draft")) == {"type": "view", "step": 3, "phase": "draft"}
    reset, error = json.loads(viz.batch([viz.reset_record(), viz.error_record("No such model.")]))
    assert reset == {"type": "reset"}
    assert (error["type"], error["sentence"]) == ("error", "No such model.")
    assert viz.error_record("Again.") != viz.error_record("Again."), (
        "or a page would not pass on the second"
    )
    with pytest.raises(
        ValueError, match="phase must be one of draft, verify, accept, recycle, got 'x'"
    ):
        viz.view_record(1, "x")


def test_accepted_per_step_counts_what_was_emitted():
    trace = viz_runs.toy_run(30, stop_reason="max_new_tokens", cut=2)
    accepted, bonus = viz.accepted_per_step(trace).data
    assert [a + b for a, b in zip(accepted.y, bonus.y, strict=True)] == [
        len(s.emitted) for s in trace.steps
    ]
    assert bonus.y[-1] == 0


def test_importing_viz_costs_no_torch():
    code = "import sys, viz; print(sorted({'torch', 'transformers', 'gradio'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_names_of_static_modules_can_stand_in_one_file():
    """An export puts all modules into one; so no two may define the same name, and imports keep one
    plain form.
    """
    owners: dict[str, Path] = {}
    for path in sorted(viz.STATIC.rglob("*.js")):
        source = path.read_text(encoding="utf-8")
        for statement in re.findall(r"^(?:import|export \{|export \*)[^;]*;", source, re.MULTILINE):
            assert re.fullmatch(
                r'import \{\s+[\w,\s]+\s\} from "\.\.?/[\w./-]+\.js";', statement
            ), f"{path.name}: {statement}"
        for line in source.splitlines():
            found = re.match(
                r"(?:export )?(?:async )?(?:const|let|var|function\*?|class) (\w+)", line
            )
            if found:
                assert owners.setdefault(found[1], path) == path, (
                    f"{found[1]} in {path.name} and {owners[found[1]]}"
                )
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|console\.log", source
        ), path.name


def test_the_page_has_a_sentence_for_every_reason_of_a_budget():
    words = (ROOT / "viz" / "static" / "words" / "panels.js").read_text()
    block = words[words.index("budgetReasons: {") :]
    reasons = re.findall(r"^    (\w+): \(", block[: block.index("\n  },")], re.MULTILINE)
    assert set(reasons) == set(get_args(BudgetReason))
