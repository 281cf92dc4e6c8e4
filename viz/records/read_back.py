"""Run record → trace: what a browser was told of a run, handed back to a server that does not have
it.

The way back from ``explorer.run_record``, and as exact: the same steps come out, but for timings
below a microsecond. A record may come from anywhere; it is read by schema and checked as an opened
file is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tr_core.errors import TraceError
from tr_core.trace import (
    SCHEMA,
    STOP_REASONS,
    BudgetChoice,
    Held,
    RowChange,
    RunInfo,
    RunTrace,
    Source,
    StepTrace,
    Timing,
)
from tr_core.trace.labels import visible_piece
from viz.records.run_records import CHANCES

_Ids = tuple[int, ...]
_Tokens = dict[int, list[str]]


class _Start(msgspec.Struct):
    family: str
    model: str
    device: str
    dtype: str
    drafter: str
    tree: str
    nodes: int
    k: int
    vocab: int
    rows_seen: int
    prefill_ms: float
    tokenizer: str
    prompt: _Ids
    tokens: _Tokens
    more: dict[str, Any]
    cost: dict[int, float] = {}


class _Row(msgspec.Struct):
    t: int
    n: int
    b: _Ids
    a: _Ids | None = None


class _Budget(BudgetChoice, frozen=True, array_like=True):
    """As the record has it: a list."""


class _Held(Held, frozen=True, array_like=True):
    """As the record has it: a list."""


class _Step(msgspec.Struct):
    index: int
    committed: int
    stop: str | None
    ms: tuple[float, float, float, float]
    cached: int
    ids: _Ids
    parents: _Ids
    ranks: _Ids
    choices: _Ids
    status: str
    top: tuple[_Ids, ...]
    p: tuple[_Ids, ...]
    path: _Ids
    bonus: int | None
    emitted: _Ids
    rows: list[_Row]
    passes: int = 1
    budget: _Budget | None = None
    src: tuple[Source, ...] = ()
    exp: tuple[float, ...] = ()
    held: _Held | None = None
    tokens: _Tokens = {}


class _End(msgspec.Struct):
    stop: str | None = None
    text: str | None = None
    identical: bool | None = None


class _Run(msgspec.Struct):
    run: str
    start: _Start
    steps: list[_Step]
    end: _End | None = None


def read_run(record: str | bytes) -> tuple[str, RunTrace]:
    """A run's name and its trace, from its record as JSON text.

    Raises:
        TraceError, TemplateError: this is no such record, or its parts do not fit each other.
    """
    try:
        told = msgspec.json.decode(record, type=_Run)
        table = {i: entry for part in (told.start, *told.steps) for i, entry in part.tokens.items()}
        trace = RunTrace(
            schema=SCHEMA,
            info=_info(told.start),
            steps=tuple(_step(step) for step in told.steps),
            pieces={i: _piece(entry) for i, entry in table.items()},
            partial_bytes={i: entry[3] for i, entry in table.items() if len(entry) > 3},
            text="",
            stop_reason=_reason(told.steps[-1].stop) if told.steps else None,
            reference_identical=told.end.identical if told.end else None,
        )
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise TraceError(f"What the page has kept of this run is damaged: {reason}.") from error
    text = told.end.text if told.end and told.end.text is not None else _text(trace)
    return told.run, msgspec.structs.replace(trace.checked(), text=text)


def _info(start: _Start) -> RunInfo:
    told = {f: getattr(start, f) for f in start.__struct_fields__ if f in RunInfo.__struct_fields__}
    return msgspec.convert(
        start.more | told | {"vocab_size": start.vocab, "prompt_ids": start.prompt}, RunInfo
    )


def _step(told: _Step) -> StepTrace:
    return StepTrace(
        index=told.index,
        committed=told.committed,
        tokens=told.ids,
        parents=told.parents,
        ranks=told.ranks,
        unseen=tuple(node for node, letter in enumerate(told.status) if letter == "u"),
        choices=told.choices,
        candidates=told.top,
        probabilities=tuple(tuple([p / CHANCES for p in row]) for row in told.p),
        path=told.path,
        bonus=told.bonus,
        emitted=told.emitted,
        stop=_reason(told.stop),
        rows=tuple(
            RowChange(row.t, row.n, row.b, told.top[row.n] if row.a is None else row.a)
            for row in sorted(told.rows, key=lambda row: row.n)
        ),
        timing=Timing(*told.ms),
        cached=told.cached,
        passes=told.passes,
        budget=told.budget and BudgetChoice(*msgspec.structs.astuple(told.budget)),
        sources=told.src,
        expected=told.exp,
        held=told.held and Held(*msgspec.structs.astuple(told.held)),
    )


def _piece(entry: list[str]) -> str:
    """A token's text out of ``[label, text, full label, hexadecimal bytes]``; trailing ones may be
    missing.
    """
    return (
        visible_piece(bytes.fromhex(entry[3])) if len(entry) > 3 else entry[min(1, len(entry) - 1)]
    )


def _reason(words: str | None) -> str | None:
    """The stop reason that the words stand for."""
    return next((reason for reason, told in STOP_REASONS.items() if told == words), words)


def _text(trace: RunTrace) -> str:
    """The output of a run whose end was never told, put together from its tokens."""
    raw = [
        bytes.fromhex(trace.partial_bytes[t])
        if t in trace.partial_bytes
        else trace.pieces.get(t, "").encode("utf-8", "replace")
        for t in trace.output_ids
    ]
    return b"".join(raw).decode("utf-8", "replace")
