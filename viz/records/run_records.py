"""Trace → the records that the browser draws, each one JSON string.

``schema.py`` documents them. All decisions are made here (labels, positions,
verdicts, changes of cells), so the browser only draws.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, get_args

import msgspec
from msgspec import UNSET, UnsetType

from tr_core.analysis.run_names import facts
from tr_core.trace import MAX_FILE_BYTES, STOP_REASONS, RowChange, RunInfo, RunTrace, StepTrace
from tr_core.trace.labels import full_label, label
from viz.layout import bonus_position, tidy
from viz.records.schema import (
    CHANCES,
    Budget,
    Compare,
    End,
    Failure,
    Offer,
    PathEnd,
    Phase,
    Progress,
    Reset,
    Row,
    Start,
    Step,
    Tokens,
    View,
    WholeRun,
    encode,
)

PHASES: tuple[Phase, ...] = get_args(Phase)

# What a trace has of a run and no panel shows; it comes back with a run that another server takes
# over.
_MORE = (
    "settings",
    "attention",
    "versions",
    "weight_bytes",
    "cache_bytes_per_token",
    "execution",
    "prompt_rows",
)
_NO_BYTES: Mapping[int, str] = MappingProxyType({})
_STATUS = {"root": "r", "accepted": "a", "rejected": "x", "unseen": "u"}


def start_record(
    run: str, info: RunInfo, pieces: Mapping[int, str], partial_bytes: Mapping[int, str] = _NO_BYTES
) -> str:
    """A run begins: shows the prompt and clears what was on screen.

    Args:
        run: any name that no other run on this page has.
        info: what is run.
        pieces: text of the prompt's tokens, by id.
        partial_bytes: hexadecimal bytes of those tokens that are no text of their own.
    """
    return encode(_start(info, pieces, partial_bytes, run))


def step_record(
    run: str,
    step: StepTrace,
    pieces: Mapping[int, str],
    partial_bytes: Mapping[int, str] = _NO_BYTES,
    *,
    running: bool = True,
) -> str:
    """One step.

    Args:
        run: the run's name, as in its ``start_record``.
        step: the step.
        pieces: text of the tokens that are new to the browser; see ``token_ids``.
        partial_bytes: hexadecimal bytes of those tokens that are no text of their own.
        running: whether the next step follows by itself; False when it waits for a click.
    """
    record = _step(step)
    record.type, record.run, record.running = "step", run, running
    record.tokens = _tokens(pieces, partial_bytes)
    return encode(record)


def end_record(
    run: str, *, stop_reason: str | None, text: str, reference_identical: bool | None = None
) -> str:
    """A run is over.

    Holds why (a key of ``STOP_REASONS``, None if interrupted), its text, and the losslessness
    check.
    """
    record = _end(stop_reason, text, reference_identical)
    record.type, record.run = "end", run
    return encode(record)


def run_record(trace: RunTrace, run: str | None = None, *, name: str = "") -> str:
    """A whole run at once, for saved runs and recorded examples.

    Args:
        trace: the run.
        run: as in ``start_record``; defaults to its ``run_name``.
        name: what the reader knows the recording by.
    """
    return encode(_run(trace, run, name))


def run_name(trace: RunTrace) -> str:
    """A name out of what a saved run did, so that all records of it agree."""
    info = trace.info
    content = [info.model, info.drafter, info.tree, info.prompt_ids, trace.steps]
    return f"saved-{zlib.crc32(msgspec.json.encode(content)):08x}"


def compare_record(
    runs: Iterable[tuple[RunTrace, str]], known: Iterable[str] = (), *, replace: bool = False
) -> str:
    """Lay runs side by side.

    Args:
        runs: whole runs, each with its name as in ``run_record``.
        known: names of runs that the browser has already; they come first.
        replace: whether they replace those that lie there.
    """
    return encode(Compare([_run(*run) for run in runs], list(known), replace))


def progress_record(words: str | None, done: int = 0, of: int = 0) -> str:
    """How far a run for a comparison has come, in tokens; None when nothing is to come."""
    return encode(Progress(words, done, of))


def offer_record(examples: Iterable[tuple[str, str, str]]) -> str:
    """Recorded examples to offer before the first run: name, word on the button, and title."""
    return encode(Offer(list(examples), MAX_FILE_BYTES))


def error_record(sentence: str) -> str:
    """Something went wrong: one sentence for the reader, shown over what is on screen."""
    # A page that passes on changes only, as Gradio's does, would drop the same sentence the second
    # time.
    return encode(Failure(sentence, time.monotonic_ns()))


def view_record(step: int, phase: str | None = None, **more: Any) -> str:
    """Go to a step (from 1) and, if given, to one of its ``PHASES``: for links and lessons.

    Args:
        step: its number.
        phase: one of ``PHASES``; the one on screen by default.
        more: ``panel``, ``node``, ``row`` and ``highlight`` of ``View``.
    """
    if unknown := more.keys() - set(View.__struct_fields__):
        raise ValueError(f"a view has no {', '.join(sorted(unknown))}")
    if phase is not None and phase not in PHASES:
        raise ValueError(f"phase must be one of {', '.join(PHASES)}, got {phase!r}")
    return encode(msgspec.convert({"type": "view", "step": step, "phase": phase} | more, View))


def reset_record() -> str:
    """Back to the empty screen."""
    return encode(Reset())


def batch(records: Iterable[str]) -> str:
    """Several records as one string."""
    return f"[{','.join(records)}]"


def token_ids(part: StepTrace | RunInfo) -> set[int]:
    """Ids whose text the browser needs to draw a step, or a prompt."""
    if isinstance(part, RunInfo):
        return set(part.prompt_ids)
    ids = {*part.tokens, *part.choices, *part.emitted}
    for row in part.candidates:
        ids.update(row)
    for change in part.rows:
        ids.update((change.token, *change.before, *change.after))
    return ids


def verdicts(step: StepTrace) -> str:
    """Why each node was accepted or not, one letter per node.

    ``r`` root · ``a`` accepted: agrees with the choice after its parent · ``o`` the model chose
    another token · ``p`` its parent was not accepted · ``q`` agrees with the choice after its
    parent, but that was not accepted · ``u`` below a row never seen · ``s`` agrees, but the run had
    stopped there · ``d`` a lower rank has the same token.
    """
    on_path, unseen = {0, *step.path}, set(step.unseen)
    stopped: set[int] = set()
    letters = ["r"]
    for node in range(1, len(step.tokens)):
        parent = step.parents[node]
        agrees = step.tokens[node] == step.choices[parent]
        if node in on_path:
            letter = "a"
        elif node in unseen:
            letter = "u"
        elif parent in on_path:
            twin = any(
                step.parents[n] == parent and step.tokens[n] == step.tokens[node]
                for n in range(1, node)
            )
            letter = "o" if not agrees else "d" if twin else "s"
        elif parent in stopped and agrees:
            letter = "s"
        else:
            letter = "q" if agrees else "p"
        if letter == "s":
            stopped.add(node)
        letters.append(letter)
    return "".join(letters)


def ordered_rows(step: StepTrace) -> list[RowChange]:
    """Rows in the order to read them: of root and path first, then those that changed most."""
    order = {step.tokens[node]: i for i, node in enumerate((0, *step.path))}
    weight = {"fresh": 2, "moved": 1, "kept": 0}

    def key(row: RowChange) -> tuple[int, int, int]:
        return order.get(row.token, len(order)), -sum(weight[c] for c in row.changes), row.node

    return sorted({row.token: row for row in step.rows}.values(), key=key)


def _run(trace: RunTrace, run: str | None = None, name: str = "") -> WholeRun:
    return WholeRun(
        type="run",
        run=run or run_name(trace),
        name=name,
        start=_start(trace.info, trace.pieces, trace.partial_bytes),
        steps=[_step(step) for step in trace.steps],
        end=_end(trace.stop_reason, trace.text, trace.reference_identical),
    )


def _start(
    info: RunInfo,
    pieces: Mapping[int, str],
    partial_bytes: Mapping[int, str],
    run: str | UnsetType = UNSET,
) -> Start:
    temperature = info.settings.get("temperature") or 0
    return Start(
        type=UNSET if run is UNSET else "start",
        run=run,
        model=info.model,
        family=info.family,
        device=info.device,
        dtype=info.dtype,
        drafter=info.drafter,
        tree=info.tree,
        nodes=info.nodes,
        k=info.k,
        sampling=f"temperature {temperature:g}" if temperature else "greedy",
        vocab=info.vocab_size,
        rows_seen=info.rows_seen,
        prefill_ms=round(info.prefill_ms, 3),
        limit=info.settings.get("max_new_tokens"),
        tokenizer=info.tokenizer,
        facts=facts(info),
        prompt=info.prompt_ids,
        more={key: getattr(info, key) for key in _MORE},
        cost=info.cost,
        tokens=_tokens(pieces, partial_bytes),
    )


def _step(step: StepTrace) -> Step:
    layout = tidy(step.parents, step.ranks)
    timing = step.timing
    used = _used(step)
    return Step(
        index=step.index,
        committed=step.committed,
        stop=_words(step.stop),
        ms=(
            round(timing.draft_ms, 3),
            round(timing.forward_ms, 3),
            round(timing.verify_ms, 3),
            round(timing.update_ms, 3),
        ),
        cached=step.cached,
        ids=step.tokens,
        parents=step.parents,
        ranks=step.ranks,
        choices=step.choices,
        status="".join(_STATUS[s] for s in step.statuses),
        why=verdicts(step),
        top=step.candidates,
        probabilities=tuple(tuple([round(p * CHANCES) for p in row]) for row in step.probabilities),
        path=step.path,
        bonus=step.bonus,
        emitted=step.emitted,
        x=layout.columns,
        y=layout.rows,
        counts=layout.counts,
        height=layout.height,
        bonus_at=(
            None
            if step.bonus is None
            else bonus_position(layout, step.path[-1] if step.path else 0)
        ),
        new_rows=sum(not row.before for row in step.rows),
        rows=[_row(row, step, used) for row in ordered_rows(step)],
        budget=None if step.budget is None else Budget(*msgspec.structs.astuple(step.budget)),
        sources=step.sources,
        expected=step.expected,
        passes=step.passes,
        held=None if step.held is None else PathEnd(*msgspec.structs.astuple(step.held)),
    )


def _row(row: RowChange, step: StepTrace, used: Mapping[tuple[int, int], str]) -> Row:
    marks = "".join(used.get((row.token, token), "-") for token in row.before)
    return Row(
        token=row.token,
        node=row.node,
        before=row.before,
        changes="".join(change[0] for change in row.changes),
        after=None if row.after == step.candidates[row.node] else row.after,
        used=marks if marks.strip("-") else "",
        evicted=row.evicted,
    )


def _used(step: StepTrace) -> dict[tuple[int, int], str]:
    """(row's token, candidate) → ``d`` if this step drafted it from that row, ``a`` if accepted."""
    path, unseen = set(step.path), set(step.unseen)
    used: dict[tuple[int, int], str] = {}
    for node in range(1, len(step.tokens)):
        if node not in unseen:
            key = (step.tokens[step.parents[node]], step.tokens[node])
            used[key] = "a" if node in path or used.get(key) == "a" else "d"
    return used


def _end(stop_reason: str | None, text: str, identical: bool | None) -> End:
    return End(stop=_words(stop_reason), text=text, identical=identical)


def _words(stop_reason: str | None) -> str | None:
    return None if stop_reason is None else STOP_REASONS.get(stop_reason, stop_reason)


def _tokens(pieces: Mapping[int, str], partial_bytes: Mapping[int, str]) -> Tokens:
    table: Tokens = {}
    for token, piece in pieces.items():
        partial = partial_bytes.get(token, "")
        full, short = full_label(piece, partial), label(piece, partial)
        # Lone surrogates cannot be encoded; the label names them.
        text = "" if partial else piece.encode("utf-8", "replace").decode()
        entry = [short, text, full, partial]
        if not partial:
            entry.pop()
            if full == short:
                entry.pop()
                if text == short:
                    entry.pop()
        table[token] = entry
    return table
