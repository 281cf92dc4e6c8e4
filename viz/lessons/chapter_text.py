"""Parses the chapters of the tour, checked line by line. Traces are not read here.

A chapter is a text file in Markdown's clothes::

    # Guess, check, keep                    its title
    minutes: 2

    ## toy, step 4, verify                  a scene: run, step and phase
    ring: node 2                            what to point at, see below; may be left out
    panel: attention                        a panel to open; may be left out
    select: node 2                          a node for the inspector; may be left out

    Paragraphs, with **bold** and `code`. A number or word of the run is written {emitted},
    {toy-chain: passes} or {toy, step 9: root}: it is read out of the record, so that it cannot be
    wrong.

    ### Predict: path end                   what to predict: a fact of the run
    Which word will be the last one kept?
    right: said after a right answer
    wrong: said after a wrong one
    wrong node 3: said after this one

    ### Question
    Does the pass cost more?
    - [x] the right answer -> what is said then
    - [ ] a wrong one -> what is said then

A prediction of nodes or rows is answered by a click on one. A prediction of a number or a word
needs answers to choose from, ``- 2 -> …``; the record decides which is right. ``ring``
takes a region (text, tree, matrix, inspector, steps, panel), ``node 3``, ``nodes 1 2``, ``row
the``, ``rows the cat``, or a fact. All facts are in ``viz/lessons/facts.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from tr_core.errors import TokenRecyclingError
from viz.records.run_records import PHASES

HEAD_KEYS = ("ring", "panel", "select")
MOST_MINUTES = 30

_SCENE = re.compile(r"(?P<run>[\w-]+), step (?P<step>[0-9]{1,6}), (?P<phase>\w+)")
_OPTION = re.compile(r"- (?:\[(?P<mark>[ x])\] )?(?P<label>.+?) -> (?P<reply>.+)")
_REPLY = re.compile(
    r"(?P<key>right|wrong|reveal|wrong node (?P<node>[0-9]{1,5})|wrong row (?P<row>\S+)):"
    r" (?P<text>.+)"
)


class LessonError(TokenRecyclingError):
    """A chapter is malformed, or contradicts its run."""

    def __init__(self, file: str, line: int, sentence: str) -> None:
        super().__init__(f"{file}, line {line}: {sentence}")


@dataclass(frozen=True)
class Text:
    """A paragraph as written, and the number of its first line."""

    line: int
    text: str


@dataclass(frozen=True)
class Option:
    """An answer to choose; ``right`` is None where the record decides."""

    line: int
    label: str
    reply: str
    right: bool | None


@dataclass
class Ask:
    """A prediction (``fact`` is what the record must answer), or a question (``fact`` is empty)."""

    line: int
    fact: str
    question: str = ""
    right: str = ""
    wrong: str = ""
    reveal: str = ""
    options: list[Option] = field(default_factory=list)
    node_replies: dict[int, Text] = field(default_factory=dict)
    row_replies: dict[str, Text] = field(default_factory=dict)


@dataclass
class Scene:
    """One card of a chapter, and the explorer's position while it is read."""

    line: int
    run: str
    step: int
    phase: str
    heads: dict[str, Text] = field(default_factory=dict)
    paragraphs: list[Text] = field(default_factory=list)
    ask: Ask | None = None


@dataclass
class Chapter:
    """A chapter as written.

    Attributes:
        file: its name, for messages.
        title: as in the list of chapters.
        minutes: that a class needs for it.
        scenes: at least one.
    """

    file: str
    title: str
    minutes: float
    scenes: list[Scene]


def read_chapter(path: Path) -> Chapter:
    """Read one file.

    Raises:
        LessonError: it cannot be read, or a line is malformed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LessonError(
            path.name, 1, f"the file cannot be read as UTF-8 text ({type(error).__name__})."
        ) from error
    return parse_chapter(text, path.name)


def parse_chapter(text: str, file: str) -> Chapter:
    """Read a chapter's text.

    Raises:
        LessonError: a line is malformed.
    """
    blocks = list(_blocks(text))
    if not blocks or not blocks[0][0].text.startswith("# "):
        raise LessonError(file, 1, "a chapter begins with its title: “# Title”.")
    (heading, lines), *rest = blocks
    chapter = Chapter(file, heading.text[2:].strip(), _minutes(file, heading, lines), [])
    for heading, lines in rest:
        if heading.text.startswith("## "):
            chapter.scenes.append(_scene(file, heading, lines))
        elif heading.text.startswith("### ") and chapter.scenes and chapter.scenes[-1].ask is None:
            chapter.scenes[-1].ask = _ask(file, heading, lines)
        else:
            raise LessonError(
                file, heading.line, "expected “## run, step, phase”, or the scene's only “### …”."
            )
    if not chapter.scenes:
        raise LessonError(file, heading.line, "a chapter needs a scene: “## toy, step 1, draft”.")
    for scene in chapter.scenes:
        if not scene.paragraphs and scene.ask is None:
            raise LessonError(
                file, scene.line, "the scene says nothing: write a paragraph, or a question."
            )
    return chapter


def _blocks(text: str) -> Iterator[tuple[Text, list[Text]]]:
    """Headings, each with the lines up to the next."""
    heading: Text | None = None
    lines: list[Text] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            if heading:
                yield heading, lines
            heading, lines = Text(number, line), []
        elif heading is None and line.strip():
            heading = Text(number, line)
        else:
            lines.append(Text(number, line.rstrip()))
    if heading:
        yield heading, lines


def _minutes(file: str, heading: Text, lines: list[Text]) -> float:
    said = [line for line in lines if line.text]
    match = re.fullmatch(r"minutes: ([0-9]{1,2}(?:\.5)?)", said[0].text) if len(said) == 1 else None
    if not match or not 0 < float(match[1]) <= MOST_MINUTES:
        line = said[0].line if said else heading.line
        raise LessonError(
            file, line, f"after the title, write only “minutes: 2”, with at most {MOST_MINUTES}."
        )
    return float(match[1])


def _scene(file: str, heading: Text, lines: list[Text]) -> Scene:
    match = _SCENE.fullmatch(heading.text[3:].strip())
    if not match or match["phase"] not in PHASES:
        raise LessonError(
            file,
            heading.line,
            f"a scene begins with “## toy, step 4, verify”, the phase one of {', '.join(PHASES)}.",
        )
    scene = Scene(heading.line, match["run"], int(match["step"]), match["phase"])
    head = list(takewhile(lambda line: line.text, lines))
    for line in head:
        key, colon, value = line.text.partition(": ")
        if not colon or key not in HEAD_KEYS or key in scene.heads or not value.strip():
            raise LessonError(
                file,
                line.line,
                f"below a scene's heading, write {', '.join(HEAD_KEYS)}, at most once each;"
                " then an empty line.",
            )
        scene.heads[key] = Text(line.line, value.strip())
    scene.paragraphs = _paragraphs(lines[len(head) :])
    return scene


def _paragraphs(lines: list[Text]) -> list[Text]:
    """Lines joined up to the next empty one."""
    paragraphs: list[Text] = []
    open_ = False
    for line in lines:
        if not line.text:
            open_ = False
        elif open_:
            paragraphs[-1] = Text(paragraphs[-1].line, f"{paragraphs[-1].text} {line.text.strip()}")
        else:
            paragraphs.append(Text(line.line, line.text.strip()))
            open_ = True
    return paragraphs


def _ask(file: str, heading: Text, lines: list[Text]) -> Ask:
    title = heading.text[4:].strip()
    kind, _, fact = title.partition(":")
    if (kind, bool(fact.strip())) not in (("Predict", True), ("Question", False)):
        raise LessonError(
            file, heading.line, "below a scene, write “### Predict: fact” or “### Question”."
        )
    ask = Ask(heading.line, fact.strip())
    question: list[str] = []
    for line in _items(lines):
        if line.text.startswith("- "):
            ask.options.append(_option(file, line, ask))
        elif match := _REPLY.fullmatch(line.text):
            _take_reply(file, line, match, ask)
        elif ask.options or ask.right:
            raise LessonError(
                file,
                line.line,
                "after the question, write only right, wrong, reveal and “- answer -> …”.",
            )
        else:
            question.append(line.text)
    ask.question = " ".join(question)
    if not ask.question:
        raise LessonError(file, heading.line, "the question itself is missing.")
    if not ask.fact and [o.right for o in ask.options].count(True) != 1:
        raise LessonError(
            file, heading.line, "a question needs answers, exactly one of them marked “- [x]”."
        )
    return ask


def _items(lines: list[Text]) -> list[Text]:
    """Lines, with those that begin by spaces joined to the one before."""
    items: list[Text] = []
    for line in lines:
        if line.text.startswith("  ") and items:
            items[-1] = Text(items[-1].line, f"{items[-1].text} {line.text.strip()}")
        elif line.text:
            items.append(Text(line.line, line.text))
    return items


def _option(file: str, line: Text, ask: Ask) -> Option:
    match = _OPTION.fullmatch(line.text)
    if not match or (match["mark"] is None) != bool(ask.fact):
        form = "- answer -> what is said then" if ask.fact else "- [ ] answer -> what is said then"
        raise LessonError(file, line.line, f"an answer is written “{form}”.")
    right = None if ask.fact else match["mark"] == "x"
    return Option(line.line, match["label"].strip(), match["reply"].strip(), right)


def _take_reply(file: str, line: Text, match: re.Match[str], ask: Ask) -> None:
    key, text = match["key"], match["text"].strip()
    if not ask.fact:
        raise LessonError(
            file,
            line.line,
            "write a question's replies after its answers: “- [ ] answer -> reply”.",
        )
    if key == "reveal" and text not in PHASES:
        raise LessonError(file, line.line, f"reveal takes a phase: {', '.join(PHASES)}.")
    if match["node"]:
        ask.node_replies[int(match["node"])] = Text(line.line, text)
    elif match["row"]:
        ask.row_replies[match["row"]] = Text(line.line, text)
    else:
        setattr(ask, key, text)
