"""What drafters that think on the host cost beside the model's pass: CPU milliseconds a step, one
thread.

    python -m benchmarks.drafting.draft_cost --model pocket

Real sessions on the presets, cold, without a trace. Every call of ``propose``, ``learn`` and
``score`` is timed by the process's own CPU time, so that other programs on the machine disturb
little; ``share`` is (propose + learn) ÷ score.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.drafting.drafters import read_prompts
from benchmarks.shared import report
from tr_core import Session, Settings, load_target
from tr_core.drafters.registry import DRAFTERS
from tr_core.models import catalog


def timed(function: Callable, spent: list[float]) -> Callable:
    def call(*args: Any, **more: Any) -> Any:
        began = time.process_time()
        result = function(*args, **more)
        spent.append((time.process_time() - began) * 1e3)
        return result

    return call


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--prompts", type=Path, default=report.ROOT / "assets" / "presets.json")
    parser.add_argument(
        "--drafters", default=",".join(name for name, e in DRAFTERS.items() if e.learns)
    )
    parser.add_argument("--nodes", default="16,80")
    parser.add_argument("--max-new-tokens", type=int, default=96)
    args = parser.parse_args()
    torch.set_num_threads(1)
    target = load_target(catalog.source(args.model), dtype="float32", device="cpu")
    listed = [target.vocabulary.encode(text) for _, text in read_prompts(args.prompts)]
    rows = []
    for name in args.drafters.split(","):
        for nodes in args.nodes.split(","):
            spent: dict[str, list[float]] = {"propose": [], "learn": [], "score": []}
            settings = Settings(
                drafter=name, tree=nodes, max_new_tokens=args.max_new_tokens, trace=False
            )
            for ids in listed:
                session = Session(target.fork(), settings).start(ids)
                session.drafter.propose = timed(session.drafter.propose, spent["propose"])
                session.drafter.learn = timed(session.drafter.learn, spent["learn"])
                session.target.score = timed(session.target.score, spent["score"])
                for _ in session.run():
                    pass
            mean = {part: sum(times) / len(times) for part, times in spent.items()}
            share = (mean["propose"] + mean["learn"]) / mean["score"]
            rows.append(
                {"drafter": name, "nodes": nodes}
                | {f"{p} ms": round(t, 3) for p, t in mean.items()}
            )
            rows[-1]["share"] = round(share, 4)
    report.show(f"{args.model}, float32, one thread, {len(listed)} prompts, cold", rows)


if __name__ == "__main__":
    main()
