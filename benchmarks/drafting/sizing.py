"""How well drafts are sized where costs are certain: ``--tree auto`` against fixed numbers of
nodes, without a clock.

    python -m benchmarks.drafting.sizing --data FOLDER [--half tune] [--hot] [--costs
    cpu|xeon|steep|flat|large] [--drafter NAME]

Real runs with the bundled model, but each step is booked at the milliseconds of a given curve, and
the host's time at a fixed price; so the same command gives the same figures on every machine, and a
comparison takes a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.drafting import ablation
from benchmarks.shared import report
from tr_core import Session, Settings, load_target
from tr_core.budget.cost_curve import KNOTS, CostCurve
from tr_core.drafters.registry import DRAFTERS
from tr_core.models import catalog

# Milliseconds at 0, 2, 4, 8, 16, 32 and 80 nodes: the bundled model on two cores of an EPYC, and of
# a Xeon before MKL laid out its weights; nodes that are dear; a GPU whose passes hardly grow; a
# larger model on a CPU.
COSTS = {
    "cpu": (2.35, 2.6, 2.8, 3.0, 3.5, 4.4, 7.5),
    "xeon": (4.0, 4.7, 5.4, 6.5, 7.2, 8.9, 16.0),
    "steep": (4, 5, 6, 8, 12, 20, 44),
    "flat": (20, 20.1, 20.2, 20.3, 20.6, 21.2, 23),
    "large": (100, 104, 108, 116, 132, 165, 300),
}
# The host's milliseconds for a step with a draft, for a node of it, and for the rows of a prompt.
STEP_MS, NODE_MS, PROMPT_MS = 0.25, 0.012, 1.3


def book(
    target, prompts: list[list[int]], tree: str, args: argparse.Namespace
) -> dict[str, object]:
    """What all prompts cost with this tree, against plain decoding at the same curve."""
    curve = CostCurve(KNOTS, COSTS[args.costs])
    plain, drafter, tokens, passes, spent, ratios = curve.at(0), None, 0, 0, 0.0, []
    for ids in prompts:
        settings = Settings(drafter=args.drafter, tree=tree, max_new_tokens=args.max_new_tokens)
        session = Session(
            target, settings, drafter=drafter, curve=curve if tree == "auto" else None
        ).start(ids)
        ms = PROMPT_MS
        for step in session.run():
            nodes = len(step.tokens) - 1
            ms += (
                curve.at(nodes)
                + STEP_MS
                + NODE_MS * max(nodes, step.budget.sizes[-1] if step.budget else 0)
            )
        tokens, passes, spent = (
            tokens + len(session.output_ids),
            passes + session.passes,
            spent + ms,
        )
        ratios.append(len(session.output_ids) * plain / ms)
        drafter = session.drafter if args.hot else None
    return {
        "tree": tree,
        "tokens per pass": round(tokens / passes, 2),
        "speed-up": round(tokens * plain / spent, 3),
        "worst": round(min(ratios), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of texts")
    parser.add_argument(
        "--half", default="tune", choices=("tune", "report"), help="of the prompts of ablation.py"
    )
    parser.add_argument("--costs", default="cpu", choices=tuple(COSTS))
    parser.add_argument("--drafter", default="recycling_plus", choices=tuple(DRAFTERS))
    parser.add_argument(
        "--hot", action="store_true", help="keep what was learned from prompt to prompt"
    )
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--trees", default="auto,4,8,16,32")
    args = parser.parse_args()
    target = load_target(catalog.source("pocket"), dtype="float32", device="cpu")
    bench = ablation.Bench(
        target, ablation.prompt_sets(args.data), args.half, 1, args.max_new_tokens
    )
    prompts = [prompt.ids for prompt in bench.prompts]
    rows = [book(target, prompts, tree, args) for tree in args.trees.split(",")]
    start = "hot" if args.hot else "cold"
    report.show(
        f"{args.drafter}, {len(prompts)} prompts ({args.half} half), {start}, costs as"
        f" “{args.costs}”",
        rows,
    )


if __name__ == "__main__":
    main()
