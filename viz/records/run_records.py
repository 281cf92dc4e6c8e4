"""Trace → the records that the browser draws, each one JSON string.

Everything that needs thought is done here (labels, places, verdicts, changes of cells), so the
browser only draws. Every record has a ``type``; all but ``error``, ``view``, ``offer`` and
``reset`` have the ``run`` they belong to, and a record of a run that is no longer shown is ignored
there. Short keys, because a step has hundreds of cells:

    start  run, model, family, device, dtype, drafter, tree, nodes, k, sampling, vocab, rows_seen, prefill_ms,
           limit: new tokens at most, tokenizer, facts: {key: words} that tell runs apart
           (tr_core/analysis/run_names.py), prompt: [id], cost: {nodes: ms} or left out, more: the
           other fields of ``RunInfo``, tokens
    step   run, index, committed, running, stop: words or null, ms: [draft, forward, verify, update], cached, tokens,
           ids, parents, ranks, choices: [id per node], status: a letter per node (r a x u), why: a
           letter per node (see ``verdicts``), top: [[id × k] per node], p: [[1/100000 × k] per
           node], path: [node], bonus: id or null, emitted: [id], x, y: [place per node], counts:
           [nodes per column], height: rows of the layout, at: [column, row] of the bonus or null,
           new_rows: rows first written here, passes: forward passes, left out where it is one,
           rows: [{t: id, n: node, b: [id before], a: [id after], c: a letter per cell (f m k),
                   u: a letter per cell before (d drafted, a accepted, - neither), e: [id evicted]}]
           ``a`` is left out where it equals ``top`` of the node; ``u`` and ``e`` are left out where
           empty. budget: [chosen, reason, spine, sizes, expected, ms, later, rate] of
           ``BudgetChoice``, if the tree is auto, src: [[kind, key, place] per node], exp: [chance
           per node], held: [candidates, rank or null] at the path's end, left out where the drafter
           does not tell
    end    run, stop: words or null, text, identical: true, false or null
    run    run, start, steps, end, without their type and run; name of a recorded example, left out if it has none
    offer  examples: [[name, word, title]] that may be asked for, largest: bytes of a file that may be dropped
    compare  runs: [run records] to lay side by side, known: [names of runs] that the browser has, anew: whether they
           take the place of those that lie there; and the panel opens
    progress  words, done, of: tokens of a run that is made for a comparison; words null when no more is to come
    error  sentence, at: a number that no other error has
    view   step, phase; and, each only if given: panel to open, or null to close, node or row (a token) to select,
           highlight: [parts to ring]
    analysis  what is told about the run as a whole: viz/records/analysis_record.py
    reset

``tokens`` tells ids the browser has not met: {id: [label, text, full label, hexadecimal bytes]},
where trailing items that equal the label (or are no bytes) are left out.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from tr_core.analysis.run_names import facts
from tr_core.trace import MAX_FILE_BYTES, STOP_REASONS, RowChange, RunInfo, RunTrace, StepTrace
from viz.labels import full_label, label
from viz.layout import bonus_place, tidy

PHASES = ("draft", "verify", "accept", "recycle")
# Probabilities are told as whole numbers of its parts, as fine as traces have them.
CHANCES = 100_000

# What a trace tells of a run and no panel shows; it comes back with a run that is handed to another
# server.
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
    return _encode({"type": "start", "run": run} | _start(info) | _tokens(pieces, partial_bytes))


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
        pieces: text of the tokens that no earlier record of this run told; see ``token_ids``.
        partial_bytes: hexadecimal bytes of those tokens that are no text of their own.
        running: whether the next step follows by itself; False when it waits for a click.
    """
    record = {"type": "step", "run": run, "running": running}
    return _encode(record | _step(step) | _tokens(pieces, partial_bytes))


def end_record(
    run: str, *, stop_reason: str | None, text: str, reference_identical: bool | None = None
) -> str:
    """A run is over: why (a key of ``STOP_REASONS``, None if interrupted), its text, and the
    losslessness check.
    """
    return _encode({"type": "end", "run": run} | _end(stop_reason, text, reference_identical))


def run_record(trace: RunTrace, run: str | None = None, *, name: str = "") -> str:
    """A whole run at once, for saved runs and recorded examples.

    Args:
        trace: the run.
        run: as in ``start_record``; defaults to its ``run_name``.
        name: what the reader knows the recording by.
    """
    content = {
        "start": _start(trace.info) | _tokens(trace.pieces, trace.partial_bytes),
        "steps": [_step(step) for step in trace.steps],
        "end": _end(trace.stop_reason, trace.text, trace.reference_identical),
    }
    return _encode(
        {"type": "run", "run": run or run_name(trace)} | ({"name": name} if name else {}) | content
    )


def run_name(trace: RunTrace) -> str:
    """A name made of what a saved run did, so that all records of it agree."""
    info = trace.info
    content = [info.model, info.drafter, info.tree, info.prompt_ids, trace.steps]
    return f"saved-{zlib.crc32(msgspec.json.encode(content)):08x}"


def compare_record(
    runs: Iterable[tuple[RunTrace, str]], known: Iterable[str] = (), *, anew: bool = False
) -> str:
    """Lay runs side by side.

    Args:
        runs: whole runs, each with its name as in ``run_record``.
        known: names of runs that the browser has already; they come first.
        anew: whether they take the place of those that lie there.
    """
    records = [msgspec.Raw(run_record(trace, run).encode()) for trace, run in runs]
    return _encode({"type": "compare", "runs": records, "known": list(known), "anew": anew})


def progress_record(words: str | None, done: int = 0, of: int = 0) -> str:
    """How far a run that is made for a comparison has come, in tokens; None when there is no more
    to wait for.
    """
    return _encode({"type": "progress", "words": words, "done": done, "of": of})


def offer_record(examples: Iterable[tuple[str, str, str]]) -> str:
    """Recorded examples that the reader may ask for before the first run: name, word on the button,
    and title.
    """
    return _encode({"type": "offer", "examples": list(examples), "largest": MAX_FILE_BYTES})


def error_record(sentence: str) -> str:
    """Something went wrong: one sentence for the reader, shown over what is on screen."""
    # A page that passes on changes only, as Gradio's does, would keep the same sentence to itself
    # when it comes again.
    return _encode({"type": "error", "sentence": sentence, "at": time.monotonic_ns()})


def view_record(step: int, phase: str | None = None, **more: Any) -> str:
    """Go to a step (from 1) and, if given, to one of its ``PHASES``: for links and lessons.

    Args:
        step: its number.
        phase: one of ``PHASES``; the one on screen by default.
        more: ``panel`` to open by name, None to close; ``node`` to select, or ``row``, by its
            token; ``highlight``, a list of parts to ring: ``{"nodes": […]}``, ``{"rows": [token,
            …]}`` or ``{"region": name}``.
    """
    if unknown := more.keys() - {"panel", "node", "row", "highlight"}:
        raise ValueError(f"a view has no {', '.join(sorted(unknown))}")
    if phase is not None and phase not in PHASES:
        raise ValueError(f"phase must be one of {', '.join(PHASES)}, got {phase!r}")
    return _encode({"type": "view", "step": step, "phase": phase} | more)


def reset_record() -> str:
    """Back to the empty screen."""
    return _encode({"type": "reset"})


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
    """Rows in the order to read them: those of root and path first, then those that changed most."""
    place = {step.tokens[node]: i for i, node in enumerate((0, *step.path))}
    weight = {"fresh": 2, "moved": 1, "kept": 0}

    def key(row: RowChange) -> tuple[int, int, int]:
        return place.get(row.token, len(place)), -sum(weight[c] for c in row.changes), row.node

    return sorted({row.token: row for row in step.rows}.values(), key=key)


def _start(info: RunInfo) -> dict[str, Any]:
    temperature = info.settings.get("temperature") or 0
    return {
        "model": info.model,
        "family": info.family,
        "device": info.device,
        "dtype": info.dtype,
        "drafter": info.drafter,
        "tree": info.tree,
        "nodes": info.nodes,
        "k": info.k,
        "sampling": f"temperature {temperature:g}" if temperature else "greedy",
        "vocab": info.vocab_size,
        "rows_seen": info.rows_seen,
        "prefill_ms": round(info.prefill_ms, 3),
        "limit": info.settings.get("max_new_tokens"),
        "tokenizer": info.tokenizer,
        "facts": facts(info),
        "prompt": info.prompt_ids,
        "more": {key: getattr(info, key) for key in _MORE},
    } | ({"cost": info.cost} if info.cost else {})


def _step(step: StepTrace) -> dict[str, Any]:
    layout = tidy(step.parents, step.ranks)
    timing = step.timing
    used = _used(step)
    rare = {} if step.budget is None else {"budget": msgspec.structs.astuple(step.budget)}
    rare |= {key: told for key, told in (("src", step.sources), ("exp", step.expected)) if told}
    if step.passes > 1:
        rare["passes"] = step.passes
    if step.held is not None:
        rare["held"] = msgspec.structs.astuple(step.held)
    return {
        "index": step.index,
        "committed": step.committed,
        "stop": _words(step.stop),
        "ms": [
            round(t, 3)
            for t in (timing.draft_ms, timing.forward_ms, timing.verify_ms, timing.update_ms)
        ],
        "cached": step.cached,
        "ids": step.tokens,
        "parents": step.parents,
        "ranks": step.ranks,
        "choices": step.choices,
        "status": "".join(_STATUS[s] for s in step.statuses),
        "why": verdicts(step),
        "top": step.candidates,
        "p": [[round(p * CHANCES) for p in row] for row in step.probabilities],
        "path": step.path,
        "bonus": step.bonus,
        "emitted": step.emitted,
        "x": layout.columns,
        "y": layout.rows,
        "counts": layout.counts,
        "height": layout.height,
        "at": (
            None if step.bonus is None else bonus_place(layout, step.path[-1] if step.path else 0)
        ),
        "new_rows": sum(not row.before for row in step.rows),
        "rows": [_row(row, step, used) for row in ordered_rows(step)],
        **rare,
    }


def _row(row: RowChange, step: StepTrace, used: Mapping[tuple[int, int], str]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "t": row.token,
        "n": row.node,
        "b": row.before,
        "c": "".join(change[0] for change in row.changes),
    }
    if row.after != step.candidates[row.node]:
        record["a"] = row.after
    marks = "".join(used.get((row.token, token), "-") for token in row.before)
    if marks.strip("-"):
        record["u"] = marks
    if row.evicted:
        record["e"] = row.evicted
    return record


def _used(step: StepTrace) -> dict[tuple[int, int], str]:
    """(row's token, candidate) → ``d`` if this step drafted the candidate out of that row, ``a`` if
    it was accepted.
    """
    path, unseen = set(step.path), set(step.unseen)
    used: dict[tuple[int, int], str] = {}
    for node in range(1, len(step.tokens)):
        if node not in unseen:
            key = (step.tokens[step.parents[node]], step.tokens[node])
            used[key] = "a" if node in path or used.get(key) == "a" else "d"
    return used


def _end(stop_reason: str | None, text: str, identical: bool | None) -> dict[str, Any]:
    return {"stop": _words(stop_reason), "text": text, "identical": identical}


def _words(stop_reason: str | None) -> str | None:
    return None if stop_reason is None else STOP_REASONS.get(stop_reason, stop_reason)


def _tokens(pieces: Mapping[int, str], partial_bytes: Mapping[int, str]) -> dict[str, Any]:
    """The ``tokens`` of a record; see the module."""
    table = {}
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
        table[str(token)] = entry
    return {"tokens": table}


def _encode(record: dict[str, Any]) -> str:
    return msgspec.json.encode(record).decode()
