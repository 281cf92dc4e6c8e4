"""What the commands ``run`` and ``compare`` do once their arguments are read."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from tr_core import files as saving
from tr_core.analysis import metrics
from tr_core.cli.prompts import Prompt
from tr_core.decoding import rounding as numerics
from tr_core.decoding.recording import Recording
from tr_core.decoding.session import Session
from tr_core.drafters import registry
from tr_core.errors import SettingsError, TokenRecyclingError
from tr_core.models.hf_target import HFTarget
from tr_core.settings import Settings
from tr_core.target import Vocabulary
from tr_core.trace import RunTrace
from tr_core.trees.tree import TreeTemplate


def run(
    target: HFTarget,
    text: str,
    settings: Settings,
    *,
    chat: bool = False,
    matrix_in: str | None = None,
    matrix_out: str | None = None,
    trace_out: str | None = None,
    html_out: str | None = None,
    to_html: Callable[[RunTrace], str] | None = None,
    check: bool = False,
    echo: TextIO | None = None,
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Decode one prompt; returns the fields of ``--json``, and ``identical`` if ``check`` was
    asked for.

    ``html_out`` is written by ``to_html``, which makes a web page of a trace. ``tell`` hears the
    result before anything is written, and each file is tried whatever became of the others.

    Raises:
        TokenRecyclingError: the prompt, the settings or a file do not fit the model.
        CannotWriteError: a file cannot be written; the first of several.
    """
    drafter = registry.load(settings.drafter, matrix_in, target) if matrix_in else None
    if matrix_out and not registry.entry(settings.drafter).saves:
        raise SettingsError(
            f"The drafter {settings.drafter} has no matrix to save: leave --matrix-out away."
        )
    session = Session(target, settings, drafter=drafter).start(
        target.vocabulary.encode(text, chat_template=chat)
    )
    recording = Recording(session)
    stream = TextStream(target.vocabulary)
    began = time.perf_counter()
    for step in session.run():
        recording.add(step)
        if echo is not None:
            echo.write(stream.add(step.emitted))
            echo.flush()
    seconds = time.perf_counter() - began
    result = {
        "output_ids": session.output_ids,
        "text": target.vocabulary.decode(session.output_ids),
        "prompt_tokens": len(session.prompt_ids),
        "new_tokens": len(session.output_ids),
        "steps": session.steps,
        "passes": session.passes,
        "mean_accepted_tokens": round(metrics.mean_accepted_tokens(recording.steps), 4),
        "tokens_per_second": round(len(session.output_ids) / seconds, 2),
        "stop_reason": session.stop_reason,
        "drafter": settings.drafter,
        "tree": recording.info.tree,
        "model": target.name,
        "dtype": recording.info.dtype,
        "device": recording.info.device,
    }
    if check:
        result["identical"] = target.plain_ids(session.prompt_ids, settings) == session.output_ids
    if tell is not None:
        tell(result)
    trace = recording.trace(reference_identical=result.get("identical"))
    writers = [
        (matrix_out, lambda: session.drafter.save(matrix_out, target.vocabulary.fingerprint)),
        (trace_out, lambda: saving.write_text(trace_out, trace.to_json())),
        (to_html and html_out, lambda: saving.write_text(html_out, to_html(trace))),
    ]
    failed: list[Exception] = []
    for wanted, write in writers:
        if wanted:
            try:
                write()
            except (TokenRecyclingError, saving.CannotWriteError) as error:
                failed.append(error)
    if failed:
        raise failed[0]
    return result


def compare(
    target: HFTarget,
    prompts: Sequence[Prompt],
    settings: Sequence[Settings],
    *,
    chat: bool = False,
    hot: bool = False,
    progress: TextIO | None = None,
) -> list[dict[str, Any]]:
    """Run every setting (at least one) on every prompt, plain decoding first, in one process; a
    line a setting.

    Times are of the steps, without prefill. A drafter keeps what it learned from prompt to prompt
    if ``hot``. ``divergences`` lists each output that leaves plain decoding's, and whether rounding
    explains it.

    Raises:
        TokenRecyclingError: a prompt or a setting does not fit the model.
    """
    encoded = [target.vocabulary.encode(p.text, chat_template=chat) for p in prompts]
    sessions = [
        Session(target, s) for s in settings
    ]  # all settings are checked before the first long run
    base = dataclasses.replace(settings[0], drafter="none", tree="auto", strict=False)
    Session(target, base).start(
        encoded[0]
    ).step()  # the first pass of a process pays for what the others reuse
    plain = [_timed(Session(target, base), ids) for ids in encoded]
    results = []
    for setting, first in zip(settings, sessions, strict=True):
        drafter = first.drafter if hot else None
        ours = []
        for number, ids in enumerate(encoded, start=1):
            ours.append(_timed(Session(target, setting, drafter=drafter), ids))
            if progress is not None:
                progress.write(f"\r{setting.drafter}: prompt {number} of {len(encoded)} ")
        tokens = sum(len(o) for o, _, _ in ours)
        seconds = sum(s for _, s, _ in ours)
        differing = divergences(
            target,
            encoded,
            prompts,
            [o for o, _, _ in plain],
            [o for o, _, _ in ours],
            first.template,
        )
        plain_rate = sum(len(o) for o, _, _ in plain) / sum(s for _, s, _ in plain)
        results.append(
            {
                "drafter": setting.drafter,
                "mean_accepted_tokens": round(tokens / sum(n for _, _, n in ours), 4),
                "tokens_per_second": round(tokens / seconds, 2),
                "speedup": round(tokens / seconds / plain_rate, 4),
                "worst_speedup": round(
                    min(
                        len(o) / s / (len(p) / t)
                        for (o, s, _), (p, t, _) in zip(ours, plain, strict=True)
                    ),
                    4,
                ),
                "identical": not differing,
                "tokens_to_first_divergence": min((d["index"] for d in differing), default=None),
                "divergences": differing,
            }
        )
    if progress is not None:
        progress.write("\n")
    return results


def divergences(
    target: HFTarget,
    encoded: Sequence[Sequence[int]],
    prompts: Sequence[Prompt],
    plain: Sequence[list[int]],
    drafted: Sequence[list[int]],
    template: TreeTemplate,
) -> list[dict[str, Any]]:
    """Where outputs leave plain decoding's, one entry a prompt.

    ``margin`` is plain decoding's own between its two best logits there; ``tolerance`` twice the
    |Δlogit| measured between tree and one-token passes on this prompt and output. ``class`` is
    near-tie where the margin is within the tolerance, else bug.
    """
    found = []
    for ids, prompt, ours, theirs in zip(encoded, prompts, plain, drafted, strict=True):
        index = numerics.first_difference(ours, theirs)
        if index is None:
            continue
        margin = numerics.plain_margin(target, ids, ours, index)
        allowed = numerics.tolerance(
            numerics.logit_difference(target, [*ids, *ours], template, cuts=4)
        )
        found.append(
            {
                "prompt": prompt.name,
                "index": index,
                "plain": ours[index],
                "drafted": theirs[index],
                "margin": round(margin, 6),
                "tolerance": round(allowed, 6),
                "class": "near-tie" if margin <= allowed else "bug",
            }
        )
    return found


def _timed(session: Session, ids: Sequence[int]) -> tuple[list[int], float, int]:
    """Output ids, seconds of all steps, number of forward passes."""
    session.start(ids)
    began = time.perf_counter()
    for _ in session.run():
        pass
    return session.output_ids, time.perf_counter() - began, session.passes


class TextStream:
    """Decodes incrementally; the pieces joined are the whole text."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._ids: list[int] = []
        self._shown = ""

    def add(self, ids: Sequence[int]) -> str:
        """The text that ``ids`` complete; a character whose bytes are not all there yet waits."""
        self._ids += ids
        text = self._vocabulary.decode(self._ids)
        if text.endswith("\N{REPLACEMENT CHARACTER}"):
            return ""
        new, self._shown = text[len(self._shown) :], text
        return new
