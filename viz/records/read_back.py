"""Run record → trace: the way back from ``run_record``, for a server that does not have the run.

The steps are the same, except timings below a microsecond. A record may come from anywhere, so it
is read by schema and checked as an opened file is.
"""

from __future__ import annotations

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
    StepTrace,
    Timing,
)
from tr_core.trace.labels import visible_piece
from viz.records.schema import CHANCES, Start, Step, WholeRun


def read_run(record: str | bytes) -> tuple[str, RunTrace]:
    """A run's name and its trace, from its record as JSON text.

    Raises:
        TraceError, TemplateError: this is no such record, or its parts do not fit each other.
    """
    try:
        run = msgspec.json.decode(record, type=WholeRun)
        table = dict(run.start.tokens)
        for step in run.steps:
            table |= step.tokens or {}
        trace = RunTrace(
            schema=SCHEMA,
            info=_info(run.start),
            steps=tuple(_step(step) for step in run.steps),
            pieces={i: _piece(entry) for i, entry in table.items()},
            partial_bytes={i: entry[3] for i, entry in table.items() if len(entry) > 3},
            text="",
            stop_reason=_reason(run.steps[-1].stop) if run.steps else None,
            reference_identical=run.end.identical if run.end else None,
        )
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise TraceError(f"What the page has kept of this run is damaged: {reason}.") from error
    text = run.end.text if run.end and run.end.text is not None else _text(trace)
    return run.run, msgspec.structs.replace(trace.checked(), text=text)


def _info(start: Start) -> RunInfo:
    known = {
        f: getattr(start, f) for f in start.__struct_fields__ if f in RunInfo.__struct_fields__
    }
    return msgspec.convert(
        start.more | known | {"vocab_size": start.vocab, "prompt_ids": start.prompt}, RunInfo
    )


def _step(step: Step) -> StepTrace:
    return StepTrace(
        index=step.index,
        committed=step.committed,
        tokens=step.ids,
        parents=step.parents,
        ranks=step.ranks,
        unseen=tuple(node for node, letter in enumerate(step.status) if letter == "u"),
        choices=step.choices,
        candidates=step.top,
        probabilities=tuple(tuple([p / CHANCES for p in row]) for row in step.probabilities),
        path=step.path,
        bonus=step.bonus,
        emitted=step.emitted,
        stop=_reason(step.stop),
        rows=tuple(
            RowChange(
                row.token,
                row.node,
                row.before,
                step.top[row.node] if row.after is None else row.after,
            )
            for row in sorted(step.rows, key=lambda row: row.node)
        ),
        timing=Timing(*step.ms),
        cached=step.cached,
        passes=step.passes,
        budget=step.budget and BudgetChoice(*msgspec.structs.astuple(step.budget)),
        sources=step.sources,
        expected=step.expected,
        held=step.held and Held(*msgspec.structs.astuple(step.held)),
    )


def _piece(entry: list[str]) -> str:
    """A token's text, from its entry in ``tokens``."""
    return (
        visible_piece(bytes.fromhex(entry[3])) if len(entry) > 3 else entry[min(1, len(entry) - 1)]
    )


def _reason(words: str | None) -> str | None:
    """The stop reason with these words."""
    return next((reason for reason, text in STOP_REASONS.items() if text == words), words)


def _text(trace: RunTrace) -> str:
    """The output of a run without an end, from its tokens."""
    raw = [
        bytes.fromhex(trace.partial_bytes[t])
        if t in trace.partial_bytes
        else trace.pieces.get(t, "").encode("utf-8", "replace")
        for t in trace.output_ids
    ]
    return b"".join(raw).decode("utf-8", "replace")
