"""The records that the browser draws, each a struct that encodes, decodes and documents it.

Keys on the wire are short, because a step has hundreds of cells. ``python -m viz.records.typedef``
writes the structs as JSDoc into ``static/state/records.js``, names as on the wire. A record has a
``type``; those of a run have its name in ``run``, and the browser ignores records of a run that it
does not know. The lessons record is described in ``viz/lessons/record.py``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from tr_core.trace import BudgetChoice, Held, Source

# Probabilities are whole numbers of its parts, as fine as traces have them.
CHANCES = 100_000

Phase = Literal["draft", "verify", "accept", "recycle"]
Ids = tuple[int, ...]
Tokens = dict[int, list[str]]


class Budget(BudgetChoice, frozen=True, array_like=True):
    """Why a step has as many nodes: ``BudgetChoice`` as a list."""


class PathEnd(Held, frozen=True, array_like=True):
    """What the drafter knew at the end of the path: ``Held`` as a list."""


class Row(
    Struct,
    omit_defaults=True,
    rename={
        "token": "t",
        "node": "n",
        "before": "b",
        "after": "a",
        "changes": "c",
        "used": "u",
        "evicted": "e",
    },
):
    """One matrix row that a step overwrote.

    Attributes:
        token: whose row it is.
        node: the scored node that wrote it.
        before: earlier candidates; empty if the row had never been written.
        after: new candidates; left out where they equal ``top`` of the node.
        changes: a letter per candidate: f fresh, m moved, k kept.
        used: a letter per candidate before: d drafted by this step, a accepted, - neither; left out
            where none was drafted.
        evicted: candidates that the row lost, best first.
    """

    token: int
    node: int
    before: Ids
    changes: str
    after: Ids | None = None
    used: str = ""
    evicted: Ids = ()


class Start(Struct, kw_only=True, omit_defaults=True):
    """A run begins: its model, settings and prompt.

    Attributes:
        type, run: left out within a ``WholeRun``.
        model: Hub id or folder name.
        family: transformers' ``model_type``.
        device: where the model runs.
        dtype: of its weights.
        drafter: by name.
        tree: by name.
        nodes: draft nodes of a step; with ``auto`` those of the first.
        k: candidates in a row.
        sampling: greedy, or the temperature in words.
        vocab: width of the logits.
        rows_seen: rows of the matrix that hold candidates after the prefill.
        prefill_ms: milliseconds of the prefill.
        limit: new tokens at most.
        tokenizer: fingerprint of the vocabulary.
        facts: what runs can differ in, in words, by key; see ``tr_core/analysis/run_names.py``.
        prompt: the prompt's token ids.
        more: the other fields of ``RunInfo``, which no panel shows.
        cost: milliseconds of a step by its draft nodes, where the tree is ``auto``.
        tokens: of each id that the browser has not met, its label, text, full label, and its bytes
            in hexadecimal if it is no text of its own; trailing items that equal the label are left
            out.
    """

    type: Literal["start"] | UnsetType = UNSET
    run: str | UnsetType = UNSET
    model: str
    family: str
    device: str
    dtype: str
    drafter: str
    tree: str
    nodes: int
    k: int
    sampling: str
    vocab: int
    rows_seen: int
    prefill_ms: float
    limit: int | None
    tokenizer: str
    facts: dict[str, str]
    prompt: Ids
    more: dict[str, Any]
    cost: dict[int, float] = {}
    tokens: Tokens


class Step(
    Struct,
    kw_only=True,
    omit_defaults=True,
    rename={"probabilities": "p", "sources": "src", "expected": "exp", "bonus_at": "at"},
):
    """One step: the draft, the verdict on every node, what was written, and the rows overwritten.

    Attributes:
        type, run: left out within a ``WholeRun``.
        running: whether the next step follows by itself; left out within a ``WholeRun``.
        index: number of the step, from 1.
        committed: prompt and output tokens before this step.
        stop: why the run ended with this step, in words.
        ms: milliseconds of draft, forward pass, verification and update.
        cached: tokens whose keys and values are in the cache after this step.
        ids: each node's token; node 0 is the root.
        parents: each node's parent, -1 for the root.
        ranks: each node's place among its siblings.
        choices: the model's own token after each node.
        status: a letter per node: r root, a accepted, x rejected, u unseen.
        why: a letter per node; see ``verdicts`` in ``viz/records/run_records.py``.
        top: the model's best tokens after each node, best first.
        probabilities: their probabilities, in parts of ``CHANCES``.
        path: accepted nodes, without the root.
        bonus: the choice after the path; null if the run stopped before it.
        emitted: tokens added to the output.
        x: each node's column, which is its depth.
        y: each node's row of the drawing.
        counts: nodes in each column.
        height: rows of the drawing.
        bonus_at: column and row of the bonus.
        new_rows: matrix rows first written by this step.
        rows: matrix rows overwritten, in the order to read them.
        budget: why the step has as many nodes, where the tree is ``auto``.
        sources: where each node's token came from: kind, length of the key, place in the text.
        expected: the chance of each node to be accepted, as believed before the pass.
        passes: forward passes of the step.
        held: at the end of the path, how many candidates the drafter had, and the place of the
            model's choice among them.
        tokens: as in ``Start``.
    """

    type: Literal["step"] | UnsetType = UNSET
    run: str | UnsetType = UNSET
    running: bool | UnsetType = UNSET
    index: int
    committed: int
    stop: str | None
    ms: tuple[float, float, float, float]
    cached: int
    ids: Ids
    parents: Ids
    ranks: Ids
    choices: Ids
    status: str
    why: str
    top: tuple[Ids, ...]
    probabilities: tuple[Ids, ...]
    path: Ids
    bonus: int | None
    emitted: Ids
    x: Ids
    y: Ids
    counts: Ids
    height: int
    bonus_at: tuple[int, int] | None
    new_rows: int
    rows: list[Row]
    budget: Budget | None = None
    sources: tuple[Source, ...] = ()
    expected: tuple[float, ...] = ()
    passes: int = 1
    held: PathEnd | None = None
    tokens: Tokens | UnsetType = UNSET


class End(Struct, kw_only=True):
    """A run is over.

    Attributes:
        type, run: left out within a ``WholeRun``.
        stop: why, in words; null if it was interrupted.
        text: the output; null where the browser does not know it.
        identical: whether plain decoding gave the same tokens; null if not checked.
    """

    type: Literal["end"] | UnsetType = UNSET
    run: str | UnsetType = UNSET
    stop: str | None = None
    text: str | None = None
    identical: bool | None = None


class WholeRun(Struct, kw_only=True, omit_defaults=True):
    """A whole run at once; the browser also sends runs back in this form.

    Attributes:
        type: left out where the browser sends it back.
        run: its name.
        name: of a recorded example; left out if it has none.
        start: its description.
        steps: its steps, in order.
        end: how it ended.
    """

    type: Literal["run"] | UnsetType = UNSET
    run: str
    name: str = ""
    start: Start
    steps: list[Step]
    end: End | None = None


class Compare(Struct, tag="compare", tag_field="type", rename={"replace": "anew"}):
    """Lay runs side by side, and open that panel.

    Attributes:
        runs: runs that the browser may not have.
        known: names of runs that it has; they come first.
        replace: whether they replace the present ones.
    """

    runs: list[WholeRun]
    known: list[str]
    replace: bool


class Progress(Struct, tag="progress", tag_field="type"):
    """How far a run for the comparison has come.

    Attributes:
        words: what is run; null when there is nothing to wait for.
        done: tokens so far.
        of: tokens at most.
    """

    words: str | None
    done: int
    of: int


class Offer(Struct, tag="offer", tag_field="type"):
    """What the reader may open before the first run.

    Attributes:
        examples: name, word on the button, and title of each recorded example.
        largest: bytes of a file that may be dropped.
    """

    examples: list[tuple[str, str, str]]
    largest: int


class Failure(Struct, tag="error", tag_field="type"):
    """Something went wrong.

    Attributes:
        sentence: for the reader.
        at: a number that no other error has.
    """

    sentence: str
    at: int


class Part(Struct, kw_only=True, omit_defaults=True):
    """Parts of the picture to ring: one of these.

    Attributes:
        nodes: nodes of the tree.
        rows: tokens whose matrix rows are meant.
        region: name of a region of the page.
    """

    nodes: list[int] | UnsetType = UNSET
    rows: list[int] | UnsetType = UNSET
    region: str | UnsetType = UNSET


class View(Struct, kw_only=True, tag="view", tag_field="type"):
    """Go to a step: for links and lessons. What is left out stays as it is.

    Attributes:
        step: its number, from 1.
        phase: null for the one on screen.
        panel: to open, by name; null to close.
        node: to select.
        row: to select, by its token.
        highlight: parts to ring.
    """

    step: int
    phase: Phase | None
    panel: str | UnsetType | None = UNSET
    node: int | UnsetType = UNSET
    row: int | UnsetType = UNSET
    highlight: list[Part] | UnsetType = UNSET


class Reset(Struct, tag="reset", tag_field="type"):
    """Back to the empty screen."""


class Figure(Struct):
    """A figure for plotly; its colours are names of the style sheet's, such as ``$accepted``.

    Attributes:
        name: the function in ``viz/figures/charts.py`` that draws it.
        data: plotly's traces.
        layout: plotly's layout.
    """

    name: str
    data: Any
    layout: Any


class Analysis(Struct, tag="analysis", tag_field="type"):
    """What the panels say about a run beyond its single steps.

    Attributes:
        run: its name.
        steps: how many of its steps this is about.
        why: of each step, why its path ended, and two sentences about it.
        reasons: those that the run has, each with its words, steps, and tokens lost; ``evicted`` is
            ``not_in_row`` where the token had been in the row earlier.
        costly: tokens after which paths ended: the token, numbers of the steps, tokens lost.
        what_ifs: what would have helped: words, passes, tokens per pass, passes saved, certainty;
            null where not recorded.
        additions: nodes that would have helped: ranks from the root, steps, passes saved.
        notes: what limits these figures, in sentences.
        weights: bytes that every pass reads.
        bytes: of each step, bytes read by its pass, by a plain pass, and by plain passes for all
            its tokens; empty if the record lacks the size of its model.
        reach: tokens that a step emits with the first n nodes of its tree, for n = 0 …; empty if
            trees differ.
        figures: of the metrics panel.
    """

    run: str
    steps: int
    why: list[tuple[str, str, str]]
    reasons: list[tuple[str, str, int, int]]
    costly: list[tuple[int, list[int], int]]
    what_ifs: list[tuple[str, int | None, float | None, int | None, str]]
    additions: list[tuple[str, int, int]]
    notes: list[str]
    weights: int
    bytes: list[tuple[float, float, float]]
    reach: list[float]
    figures: list[Figure]


class Queue(Struct, tag="queue", tag_field="type"):
    """The run waits for its turn.

    Attributes:
        ahead: turns before this one.
        seconds: about how long they take.
        at: a number that no other record has.
    """

    ahead: int
    seconds: float
    at: int


class Loading(Struct, tag="loading", tag_field="type"):
    """The run waits for its model.

    Attributes:
        model: its name.
        seconds: since it was requested.
        doing: the present stage, in words.
        at: a number that no other record has.
    """

    model: str
    seconds: int
    doing: str
    at: int


class Checkpoint(Struct, tag="checkpoint", tag_field="type"):
    """Where the run is, for the browser to keep and hand to another server, unread.

    Attributes:
        run: its name.
        text: opaque.
    """

    run: str
    text: str


class Forgotten(Struct, tag="forgotten", tag_field="type"):
    """The server does not have the run; the browser sends its checkpoint and asks again.

    Attributes:
        run: its name.
        at: a number that no other record has.
    """

    run: str
    at: int


RECORDS = (
    Start,
    Step,
    End,
    WholeRun,
    Compare,
    Progress,
    Offer,
    Failure,
    View,
    Reset,
    Analysis,
    Queue,
    Loading,
    Checkpoint,
    Forgotten,
)
# What they consist of.
PARTS = (Row, Budget, PathEnd, Source, Part, Figure)


def encode(record: Struct) -> str:
    """A record as a JSON string."""
    return msgspec.json.encode(record).decode()
