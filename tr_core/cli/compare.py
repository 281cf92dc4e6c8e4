"""``compare``: several drafters on the same prompts, against plain decoding, in one process.

Imports torch only once it decodes.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from tr_core.cli import prompts, shared
from tr_core.cli.prompts import Prompt
from tr_core.errors import SettingsError
from tr_core.settings import Settings
from tr_core.trees.tree import TreeTemplate

if TYPE_CHECKING:
    from tr_core.decoding.session import Session
    from tr_core.models.hf_target import HFTarget


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--prompts", required=True, metavar="F", help='.jsonl: {"prompt": …} lines or Spec-Bench\'s'
    )
    add("--drafters", default="token_recycling,prompt_lookup", help="comma-separated names")
    add("--hot", action="store_true", help="keep what a drafter learned from prompt to prompt")
    shared.add_model(parser)
    shared.add_settings(parser, without=["drafter"])


def execute(args: argparse.Namespace) -> None:
    listed = prompts.read_jsonl(args.prompts)
    names = [name.strip() for name in args.drafters.split(",") if name.strip()]
    if not names:
        raise SettingsError("--drafters names none: list at least one, comma-separated.")
    settings = [shared.read_settings(args, drafter=name, trace=False) for name in names]
    target = shared.load_target(args)
    progress = sys.stderr if sys.stderr.isatty() else None
    results = compare(target, listed, settings, chat=args.chat, hot=args.hot, progress=progress)
    shared.show(args, {"results": results}, _table(results))


def compare(
    target: HFTarget,
    prompts: Sequence[Prompt],
    settings: Sequence[Settings],
    *,
    chat: bool = False,
    hot: bool = False,
    progress: TextIO | None = None,
) -> list[dict[str, Any]]:
    """Run every setting (at least one) on every prompt, after plain decoding; one row a setting.

    Times are of the steps, without prefill. With ``hot`` a drafter keeps what it learned from
    prompt to prompt. ``divergences`` lists each output that differs from plain decoding's, and
    whether rounding explains it.

    Raises:
        TokenRecyclingError: a prompt or a setting does not fit the model.
    """
    from tr_core.decoding.session import Session

    encoded = [target.vocabulary.encode(p.text, chat_template=chat) for p in prompts]
    # All settings are checked before the first long run.
    sessions = [Session(target, setting) for setting in settings]
    base = dataclasses.replace(settings[0], drafter="none", tree="auto", strict=False)
    # The first pass of a process pays for what the others reuse.
    Session(target, base).start(encoded[0]).step()
    plain = [_timed(Session(target, base), ids) for ids in encoded]
    plain_rate = _rate(plain)
    results = []
    for setting, session in zip(settings, sessions, strict=True):
        drafter = session.drafter if hot else None
        runs = []
        for number, ids in enumerate(encoded, start=1):
            runs.append(_timed(Session(target, setting, drafter=drafter), ids))
            if progress is not None:
                progress.write(f"\r{setting.drafter}: prompt {number} of {len(encoded)} ")
        differing = divergences(
            target,
            encoded,
            prompts,
            [run.output_ids for run in plain],
            [run.output_ids for run in runs],
            session.template,
        )
        tokens = sum(len(run.output_ids) for run in runs)
        worst = min(_rate([run]) / _rate([other]) for run, other in zip(runs, plain, strict=True))
        results.append(
            {
                "drafter": setting.drafter,
                "mean_accepted_tokens": round(tokens / sum(run.passes for run in runs), 4),
                "tokens_per_second": round(_rate(runs), 2),
                "speedup": round(_rate(runs) / plain_rate, 4),
                "worst_speedup": round(worst, 4),
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
    """Where outputs differ from plain decoding's, one entry a prompt.

    ``margin`` is plain decoding's own between its two best logits there; ``tolerance`` twice the
    |Δlogit| measured between tree and one-token passes on this prompt and output. ``class`` is
    near-tie where the margin is within the tolerance, else bug.
    """
    from tr_core.decoding import rounding

    entries = []
    for ids, prompt, expected, actual in zip(encoded, prompts, plain, drafted, strict=True):
        index = rounding.first_difference(expected, actual)
        if index is None:
            continue
        margin = rounding.plain_margin(target, ids, expected, index)
        difference = rounding.logit_difference(target, [*ids, *expected], template, cuts=4)
        tolerance = rounding.tolerance(difference)
        entries.append(
            {
                "prompt": prompt.name,
                "index": index,
                "plain": expected[index],
                "drafted": actual[index],
                "margin": round(margin, 6),
                "tolerance": round(tolerance, 6),
                "class": "near-tie" if margin <= tolerance else "bug",
            }
        )
    return entries


class _Run(NamedTuple):
    output_ids: list[int]
    seconds: float  # of all steps
    passes: int


def _timed(session: Session, ids: Sequence[int]) -> _Run:
    session.start(ids)
    began = time.perf_counter()
    for _ in session.run():
        pass
    return _Run(session.output_ids, time.perf_counter() - began, session.passes)


def _rate(runs: Sequence[_Run]) -> float:
    """Tokens per second."""
    return sum(len(run.output_ids) for run in runs) / sum(run.seconds for run in runs)


def _table(results: list[dict[str, Any]]) -> str:
    lines = [f"{'drafter':<20}{'MAT':>7}{'tokens/s':>11}{'speed-up':>10}{'worst':>8}  identical"]
    for row in results:
        lines.append(
            f"{row['drafter']:<20}{row['mean_accepted_tokens']:>7.2f}"
            f"{row['tokens_per_second']:>11.1f}{row['speedup']:>10.2f}"
            f"{row['worst_speedup']:>8.2f}  {row['identical']}"
        )
    for row in results:
        for d in row["divergences"]:
            lines.append(
                f"{row['drafter']}, prompt {d['prompt']}: differs from plain decoding after"
                f" {d['index']} tokens, {d['class']}: its two best logits are {d['margin']:g}"
                f" apart there, rounding can change up to {d['tolerance']:g}"
            )
    return "\n".join(lines)
