"""All drafters at equal budgets: tokens per pass, how honest their expectations are, what they cost
on the host.

    python -m benchmarks.drafting.family --prompts prompts.jsonl --trees 16,80

Greedy; ``cold`` starts each prompt with a drafter that knows nothing, ``hot`` takes one through all
prompts in their order. ``expected`` is the sum of the chances told before the passes ÷ the nodes
accepted, 1 if they were honest. ``ms`` is the processor time of proposing and learning in a step;
counts need no quiet machine, this gains from one. Prompt files as for ``drafters.py``; ``budget.py
--make`` writes the one of the project's figures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.drafting.drafters import read_prompts
from benchmarks.shared import report
from tr_core import Session, Settings, load_target
from tr_core.drafters import registry
from tr_core.drafters.base import Drafter
from tr_core.models import catalog
from tr_core.models.hf_target import HFTarget


class Clock:
    """Adds up the processor time that a drafter takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, drafter: Drafter) -> None:
        for name in ("propose", "learn", "observe"):
            if method := getattr(drafter, name, None):
                setattr(drafter, name, self._timed(method))

    def _timed(self, method):
        def timed(*args):
            began = time.thread_time()
            result = method(*args)
            self.seconds += time.thread_time() - began
            return result

        return timed


def measured(
    target: HFTarget, prompts: Sequence[list[int]], settings: Settings, hot: bool
) -> dict[str, float]:
    """Tokens per pass over all prompts, and what else the module tells of."""
    clock, drafter = Clock(), None
    tokens = passes = accepted = 0
    expected = 0.0
    for ids in prompts:
        session = Session(target, settings, drafter=drafter)
        if drafter is None:
            clock.watch(session.drafter)
        if hot:
            drafter = session.drafter
        for step in session.start(ids).run():
            tokens += len(step.emitted)
            passes += step.passes
            if step.expected:
                expected += sum(step.expected[1:])
                accepted += len(step.path)
    return {
        "mat": tokens / passes,
        "expected": expected / max(accepted, 1),
        "ms": clock.seconds * 1e3 / passes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prompts", type=Path, default=report.ROOT / "assets" / "presets.json")
    parser.add_argument(
        "--drafters", default=",".join(name for name, e in registry.DRAFTERS.items() if e.drafts)
    )
    parser.add_argument("--trees", default="16,80")
    parser.add_argument("--max-new-tokens", type=int, default=96)
    args = parser.parse_args()
    target = load_target(catalog.source(args.model), dtype="float32", device=args.device)
    prompts = [target.vocabulary.encode(text) for _, text in read_prompts(args.prompts)]

    rows = []
    for name in args.drafters.split(","):
        row: dict[str, object] = {"drafter": name}
        for tree in args.trees.split(","):
            # The published tree has 80 nodes; the tree of a number is grown from measured ranks.
            shape = "paper" if tree == "80" and registry.entry(name).uses_tree else tree
            settings = Settings(drafter=name, tree=shape, max_new_tokens=args.max_new_tokens)
            for start in ("cold", "hot"):
                found = measured(target, prompts, settings, start == "hot")
                row[f"{tree} {start}"] = found["mat"]
            row[f"{tree} expected"] = found["expected"] or ""
            row[f"{tree} ms"] = found["ms"]
        rows.append(row)
    report.show(f"{args.model}, float32, {target.device}, {len(prompts)} prompts, greedy", rows)


if __name__ == "__main__":
    main()
