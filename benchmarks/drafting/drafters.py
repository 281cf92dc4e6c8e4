"""Tokens per second and per pass: our drafters and plain decoding against transformers' own ways,
on the same prompts.

    python -m benchmarks.drafting.drafters --dtypes float32,bfloat16 --prompts prompts.jsonl
    python -m benchmarks.drafting.drafters --way "recycling_plus, auto" --rounds 9

All in one process, greedy, times of the whole call, prefill included; cold, but for ways that are
called hot, which take one drafter through all prompts of a round. All ways take turns on each
prompt, in another order every round, so that what else the machine does hits them alike. A way's
time for a prompt is the median of its rounds; ``spread`` is how far the slower half of them lies
above, on average. ``speed-up`` is over our own plain decoding and ``worst`` the lowest on one
prompt; ``over generate`` and ``over look-up`` are totals too. In half precision near-ties part some
outputs, so all ratios are of time per token. ``same`` counts prompts on which the output is that of
``generate``, id by id.
"""

from __future__ import annotations

import argparse
import time
from statistics import fmean, median

import torch

from benchmarks.shared import prompt_sets, report
from benchmarks.shared.prompt_sets import read as read_prompts
from tr_core import Settings, load_target
from tr_core.decoding.static.graphs import can_capture
from tr_core.models import catalog
from tr_core.models.hf_target import HFTarget

# Ways that speed-ups are told over.
COMPARED = ("none", "generate")
LOOKUP = "generate, prompt look-up"


def measured(
    target: HFTarget, listed: list[list[int]], args: argparse.Namespace
) -> tuple[dict[str, list[list[float]]], dict[str, list[list[int]]], dict[str, list[int | None]]]:
    """By way: seconds of each round of each prompt, its output, and its forward passes."""
    clock = time.process_time if args.cpu_time else time.perf_counter
    chosen = _ways(target, args)
    seconds: dict[str, list[list[float]]] = {name: [[] for _ in listed] for name in chosen}
    outputs: dict[str, list[list[int]]] = {name: [[]] * len(listed) for name in chosen}
    passes: dict[str, list[int | None]] = {name: [None] * len(listed) for name in chosen}
    for run in chosen.values():
        run(
            target, listed[0], min(16, args.max_new_tokens)
        )  # the first call pays for what the others reuse
    for number in range(args.rounds):
        chosen = _ways(target, args)  # hot ones begin anew
        report.say(f"  round {number + 1} of {args.rounds}")
        for place, ids in enumerate(listed):
            turn = (number * 5 + place) % len(chosen)
            for name in [*chosen, *chosen][turn : turn + len(chosen)]:
                began = clock()
                outputs[name][place], passes[name][place] = chosen[name](
                    target, ids, args.max_new_tokens
                )
                seconds[name][place].append(clock() - began)
    return seconds, outputs, passes


def _ways(target: HFTarget, args: argparse.Namespace) -> dict[str, prompt_sets.Way]:
    """The ways asked for and the two that all are compared with; all of them where none was asked
    for.
    """
    found = prompt_sets.ways(target.device, args.static)
    if unknown := [name for name in args.way if name not in found]:
        raise SystemExit(f"There is no way “{unknown[0]}” here: choose from {'; '.join(found)}.")
    return {
        name: way for name, way in found.items() if not args.way or name in (*COMPARED, *args.way)
    }


def tables(args: argparse.Namespace) -> list[report.Table]:
    """One table a dtype."""
    found = []
    for dtype in args.dtypes.split(","):
        target = load_target(catalog.source(args.model), dtype=dtype, device=args.device)
        listed = [target.vocabulary.encode(text) for _, text in read_prompts(args.prompts)]
        if args.quick:
            listed = listed[:2]
        seconds, outputs, passes = measured(target, listed, args)
        # Milliseconds a token, by way and prompt; a prompt may end at once.
        pace = {
            name: [
                1e3 * median(rounds) / max(1, len(out))
                for rounds, out in zip(times, outputs[name], strict=True)
            ]
            for name, times in seconds.items()
        }
        total = {
            name: sum(map(median, seconds[name])) / max(1, sum(map(len, outputs[name])))
            for name in seconds
        }
        rows = []
        for name, times in seconds.items():
            counted = [p for p in passes[name] if p is not None]
            spreads = [fmean(sorted(r)[len(r) // 2 :]) / median(r) - 1 for r in times]
            ratios = [plain / mine for plain, mine in zip(pace["none"], pace[name], strict=True)]
            same = sum(a == b for a, b in zip(outputs[name], outputs["generate"], strict=True))
            rows.append(
                {
                    "way": name,
                    "tokens per pass": (
                        sum(map(len, outputs[name])) / sum(counted) if counted else "-"
                    ),
                    "tokens/s": 1 / total[name],
                    "spread": f"{fmean(spreads):.0%}",
                    "speed-up": total["none"] / total[name],
                    "worst": min(ratios),
                    "on prompt": ratios.index(min(ratios)),
                    "over generate": total["generate"] / total[name],
                    "over look-up": total[LOOKUP] / total[name] if LOOKUP in total else "-",
                    "same": f"{same} of {len(listed)}",
                }
            )
        curve = target.cost_curve(Settings(trace=False)).rounded()
        note = f"ms by draft nodes, as learned: {curve}"
        if not can_capture(target.device):
            note += (
                ". generate with a static cache and compile: skipped, no graphs on "
                + target.device.type
            )
        title = (
            f"{args.model}, {target.dtype}, {target.device}, {len(listed)} prompts ×"
            f" {args.max_new_tokens} tokens"
        )
        found.append(report.Table(f"Speed: {title}, greedy, {args.rounds} rounds", rows, note))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return found


def main() -> None:
    args = report.parsed(report.options(__doc__))
    report.show_all("Speed", tables(args))


if __name__ == "__main__":
    main()
