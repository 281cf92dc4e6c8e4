"""The tour: chapters (``assets/lessons/*.md``) and their runs → one record for the browser.

A chapter's statements are looked up here in the trace: numbers and words in braces, nodes and rows
pointed at, and the right answer of every prediction. A mismatch is refused, with file and line.

The record, besides its ``type`` "lessons":

    chapters  [{title, minutes, scenes: [scene]}]
    runs      {name: run, start, steps and end, as in a ``WholeRun``}
    open      number of the chapter to open at once, from 1; 0 for where the reader was, or the
              first; left out where the reader opens it

    scene     run, step, phase, text: [paragraph], and if given: panel, select: node, highlight, ask
    ask       kind (predict or question), pick (node, row or none), text: paragraph, options, and
              for predictions reveal: the phase that shows the answer
    options   [{label: paragraph, reply: paragraph, right, and what may be clicked: node or row}]
    highlight {nodes: [node]}, {rows: [token]} or {region: name}
    paragraph [text, or [mark, text] with the mark “b” or “code”]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from tr_core.trace import RunTrace, StepTrace, read_trace
from viz.assets import PANELS
from viz.lessons.chapter_text import Ask, Chapter, LessonError, Option, Scene, Text, read_chapter
from viz.lessons.facts import ROWS, RUN_VALUES, STEP_VALUES, below, find_nodes, word
from viz.records.run_records import run_record

ASSETS = Path(__file__).resolve().parents[2] / "assets"
LESSONS = ASSETS / "lessons"
EXAMPLES = ASSETS / "examples"

REGIONS = ("text", "tree", "matrix", "inspector", "steps", "panel")
# Beyond these a list of answers beside the tree is no help: let the class guess a number instead.
MOST_NODES = 12
MOST_ROWS = 12

_MARK = re.compile(r"\*\*(?P<b>.+?)\*\*|`(?P<code>[^`]+)`")
_NAMED = re.compile(r"(?P<kind>nodes?|rows?) (?P<names>.+)")

Paragraph = list[Any]


def lessons_record(folder: Path = LESSONS, *, open_at: int | None = None) -> str:
    """All chapters of a folder and the runs that they show, as one record.

    Args:
        folder: chapters in the order of their names (``*.md``), and traces of their own
            (``*.json``); a run that is not there is looked for among the recorded examples.
        open_at: chapter to open at once, from 1; 0 for where the reader was last time.

    Raises:
        LessonError: there is none, or one is not written as it must be, or says what its run does
            not show.
        TraceError: a trace is damaged or of another schema.
    """
    chapters, runs = read_lessons(folder)
    record: dict[str, Any] = {
        "type": "lessons",
        "chapters": [resolve(chapter, runs) for chapter in chapters],
        "runs": {name: _content(trace) for name, trace in runs.items()},
    }
    if open_at is not None:
        record["open"] = open_at
    return msgspec.json.encode(record).decode()


def read_lessons(folder: Path = LESSONS) -> tuple[list[Chapter], dict[str, RunTrace]]:
    """Chapters as written, and the traces they name; see ``lessons_record`` for details."""
    files = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    if not files:
        raise LessonError(
            folder.name, 1, "this folder has no chapter: a chapter is a file “01-name.md”."
        )
    chapters = [read_chapter(path) for path in files]
    runs: dict[str, RunTrace] = {}
    for chapter in chapters:
        for scene in chapter.scenes:
            if scene.run not in runs:
                runs[scene.run] = _trace(scene.run, folder, chapter.file, scene.line)
    return chapters, runs


def resolve(chapter: Chapter, runs: Mapping[str, RunTrace]) -> dict[str, Any]:
    """A chapter with everything looked up in its runs: what the record holds of it.

    Raises:
        LessonError: it names something missing, or asks what its run does not answer.
    """
    scenes = [_Resolver(chapter.file, runs, scene).scene() for scene in chapter.scenes]
    return {"title": chapter.title, "minutes": chapter.minutes, "scenes": scenes}


def fact(trace: RunTrace, step: StepTrace, name: str) -> str | None:
    """A value of a run or of its step by name; None if there is no such fact."""
    if name in STEP_VALUES:
        return STEP_VALUES[name](trace, step)
    return RUN_VALUES[name](trace) if name in RUN_VALUES else None


def _trace(name: str, folder: Path, file: str, line: int) -> RunTrace:
    if re.fullmatch(r"[\w-]+", name):
        for source in (folder, EXAMPLES):
            if (path := source / f"{name}.json").is_file():
                return read_trace(path)
    raise LessonError(
        file, line, f"there is no run “{name}”: its trace would be {folder.name}/{name}.json."
    )


def _content(trace: RunTrace) -> dict[str, Any]:
    record = msgspec.json.decode(run_record(trace))
    return {key: record[key] for key in ("run", "start", "steps", "end")}


@dataclass
class _Resolver:
    """One scene and its run."""

    file: str
    runs: Mapping[str, RunTrace]
    written: Scene

    def __post_init__(self) -> None:
        self.trace = self.runs[self.written.run]
        self.step = self._step(self.trace, self.written.run, self.written.step, self.written.line)

    def scene(self) -> dict[str, Any]:
        written = self.written
        scene: dict[str, Any] = {
            "run": written.run,
            "step": written.step,
            "phase": written.phase,
            "text": [self._paragraph(text.line, text.text) for text in written.paragraphs],
        }
        if panel := written.heads.get("panel"):
            if panel.text not in PANELS:
                self._fail(
                    panel.line, f"there is no panel “{panel.text}”: choose {', '.join(PANELS)}."
                )
            scene["panel"] = panel.text
        if select := written.heads.get("select"):
            scene["select"] = self._highlight(select).get("nodes", [None])[0]
            if scene["select"] is None:
                self._fail(
                    select.line, "select takes a node: “select: node 2”, or a fact that finds one."
                )
        if ring := written.heads.get("ring"):
            scene["highlight"] = self._highlight(ring)
        if written.ask:
            scene["ask"] = self._ask(written.ask)
        return scene

    def _highlight(self, ring: Text) -> dict[str, Any]:
        name = ring.text
        if name in REGIONS:
            return {"region": name}
        nodes = find_nodes(self.step, name)
        if nodes is not None or name in ROWS:
            matches = ROWS[name](self.step) if nodes is None else nodes
            if not matches:
                self._fail(ring.line, f"in step {self.step.index} there are no “{name}”.")
            return {"rows" if nodes is None else "nodes": matches}
        match = _NAMED.fullmatch(name)
        if not match:
            self._fail(
                ring.line,
                f"there is no “{name}” to point at: a region, “node 3”, “row the”, or a fact.",
            )
        if match["kind"].startswith("node"):
            return {"nodes": [self._node(ring.line, number) for number in match["names"].split()]}
        return {"rows": [self._row(ring.line, name) for name in match["names"].split()]}

    def _node(self, line: int, number: str) -> int:
        if not number.isdecimal() or int(number) >= len(self.step.tokens):
            last = len(self.step.tokens) - 1
            self._fail(
                line, f"step {self.step.index} has no node {number}: its nodes are 0 … {last}."
            )
        return int(number)

    def _row(self, line: int, name: str) -> int:
        rows = {word(self.trace, row.token): row.token for row in self.step.rows}
        if name not in rows:
            self._fail(
                line,
                f"step {self.step.index} overwrites no row of “{name}”: it does {', '.join(rows)}.",
            )
        return rows[name]

    def _ask(self, ask: Ask) -> dict[str, Any]:
        record: dict[str, Any] = {
            "kind": "predict" if ask.fact else "question",
            "pick": "none",
            "text": self._paragraph(ask.line, ask.question),
        }
        if not ask.fact:
            record["options"] = [self._option(option, bool(option.right)) for option in ask.options]
            return record
        record["reveal"] = ask.reveal or ("recycle" if ask.fact in ROWS else "accept")
        nodes = find_nodes(self.step, ask.fact)
        if nodes is not None or ask.fact in ROWS:
            record["pick"] = "row" if nodes is None else "node"
            record["options"] = self._clicks(ask, nodes)
        else:
            record["options"] = self._choices(ask)
        return record

    def _choices(self, ask: Ask) -> list[dict[str, Any]]:
        answer = fact(self.trace, self.step, ask.fact)
        if answer is None:
            self._fail(
                ask.line, f"there is no fact “{ask.fact}” to predict: see viz/lessons/facts.py."
            )
        labels = [option.label for option in ask.options]
        if labels.count(answer) != 1 or len(labels) < 2 or ask.right or ask.wrong:
            self._fail(
                ask.line,
                f"the record answers “{answer}”: exactly one of two or more answers must be that, "
                "each with its reply after “->”.",
            )
        return [self._option(option, option.label == answer) for option in ask.options]

    def _clicks(self, ask: Ask, nodes: list[int] | None) -> list[dict[str, Any]]:
        """One answer a node, or a row where ``nodes`` is None."""
        if not ask.right or not ask.wrong or ask.options:
            self._fail(
                ask.line,
                "a prediction by click needs “right:” and “wrong:”, and no list of answers.",
            )
        step, of_nodes = self.step, nodes is not None
        choices = list(range(len(step.tokens))) if of_nodes else [row.token for row in step.rows]
        right = set(ROWS[ask.fact](step) if nodes is None else nodes)
        if of_nodes:
            choices = [n for n in choices if n not in step.unseen]
        if (
            not right
            or right >= set(choices)
            or len(choices) > (MOST_NODES if of_nodes else MOST_ROWS)
        ):
            self._fail(
                ask.line,
                f"of {len(choices)} choices {len(right)} are “{ask.fact}”: that cannot be guessed.",
            )
        replies = {self._node(t.line, str(n)): t for n, t in ask.node_replies.items()}
        if not of_nodes:
            replies = {self._row(t.line, name): t for name, t in ask.row_replies.items()}
        for option, text in replies.items():
            if option in right or option not in choices:
                self._fail(
                    text.line, "this reply is for an answer that is right, or cannot be chosen."
                )
        options = []
        for option in choices:
            own = replies.get(option)
            reply = (
                (ask.line, ask.right)
                if option in right
                else (own.line, own.text)
                if own
                else (ask.line, ask.wrong)
            )
            label = self._node_label(option) if of_nodes else word(self.trace, option)
            options.append(
                {
                    "label": [label],
                    "reply": self._paragraph(*reply),
                    "right": option in right,
                    "node" if of_nodes else "row": option,
                }
            )
        return options

    def _node_label(self, node: int) -> str:
        """The path to a node in words, so that two of one word differ: “the › cat”."""
        way = (self.step.tokens[0], *below(self.step, node))
        return " › ".join(word(self.trace, token) for token in way)

    def _option(self, option: Option, right: bool) -> dict[str, Any]:
        return {
            "label": self._paragraph(option.line, option.label),
            "reply": self._paragraph(option.line, option.reply),
            "right": right,
        }

    def _paragraph(self, line: int, text: str) -> Paragraph:
        """Markup first, facts then: what a model has written is never read as markup."""
        parts: Paragraph = []
        end = 0
        for match in _MARK.finditer(text):
            parts += [self._filled(line, text[end : match.start()])]
            kind = "code" if match["b"] is None else "b"
            parts.append([kind, self._filled(line, match[kind])])
            end = match.end()
        parts.append(self._filled(line, text[end:]))
        return [part for part in parts if part]

    def _filled(self, line: int, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            where, _, name = match[1].rpartition(": ")
            run, step = self._locate(line, where)
            said = fact(run, step, name)
            if said is None:
                self._fail(line, f"there is no fact “{name}”: see viz/lessons/facts.py.")
            return said

        return re.sub(r"\{([^{}]*)\}", value, text)

    def _locate(self, line: int, where: str) -> tuple[RunTrace, StepTrace]:
        """The run and step in braces: the scene's own, or “toy-chain”, “step 9”, “toy, step 9”."""
        match = re.fullmatch(
            r"(?:(?P<run>(?!step )[\w-]+)(?:, )?)?(?:step (?P<step>[0-9]{1,6}))?", where
        )
        if not match:
            self._fail(line, f"“{where}” is no place: “toy”, “step 9” or “toy, step 9” is.")
        if not match["run"] and not match["step"]:
            return self.trace, self.step
        name = match["run"] or self.written.run
        if name not in self.runs:
            self._fail(line, f"no scene shows a run “{name}”.")
        trace = self.runs[name]
        return trace, self._step(trace, name, int(match["step"] or 1), line)

    def _step(self, trace: RunTrace, name: str, number: int, line: int) -> StepTrace:
        if not 1 <= number <= len(trace.steps):
            self._fail(
                line,
                f"the run “{name}” has no step {number}: its steps are 1 … {len(trace.steps)}.",
            )
        return trace.steps[number - 1]

    def _fail(self, line: int, sentence: str) -> NoReturn:
        raise LessonError(self.file, line, sentence)
