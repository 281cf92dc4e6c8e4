"""How often each place in a row is accepted, given that its parent was: what ``templates.grown``
believes.

    python -m benchmarks.drafting.rank_acceptance --model pocket --prompts prompts.jsonl

Runs the published tree cold on every prompt and counts, over all steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.shared import report
from benchmarks.shared.prompt_sets import read as read_prompts
from tr_core import Session, Settings, load_target
from tr_core.analysis import metrics
from tr_core.decoding.recording import record
from tr_core.models import catalog


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--prompts", type=Path, default=report.ROOT / "assets" / "presets.json")
    parser.add_argument("--max-new-tokens", type=int, default=128)
    args = parser.parse_args()
    target = load_target(catalog.source(args.model))
    settings = Settings(tree="paper", max_new_tokens=args.max_new_tokens)
    steps = []
    for _, text in read_prompts(args.prompts):
        steps += record(Session(target, settings).start(target.vocabulary.encode(text))).steps
    by_rank = metrics.by_rank(steps)
    rows = [
        {"rank": r, "accepted": round(s.rate, 4), "drafted": s.total} for r, s in by_rank.items()
    ]
    report.show(f"{args.model}: acceptance by rank over {len(steps)} steps", rows)


if __name__ == "__main__":
    main()
