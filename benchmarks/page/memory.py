"""The server's memory against clicks: visitors come, click a few times and go, round after round.

    python -m benchmarks.page.memory --visitors 12 --rounds 8 --clicks 6

Counts clicks, not seconds, so a busy machine gives the same figures. What grows every round is
a leak; what stops growing was a cache or the allocator. The last line is JSON.
"""

from __future__ import annotations

import argparse
import random
import sys

from benchmarks.page.load import Tabs, expected_ids
from benchmarks.page.served import Served
from benchmarks.page.tab import in_threads
from benchmarks.shared import report


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visitors", type=int, default=12, help="at once")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument(
        "--clicks", type=int, default=6, help="of each visitor in each round; a step is three"
    )
    parser.add_argument("--new-tokens", type=int, default=32)
    args = parser.parse_args()
    expected = expected_ids(args.visitors, args.new_tokens)
    with Served() as page:
        visitors = Tabs(page.url, page.config, expected, args.new_tokens)
        rows = [{"round": 0, "clicks": 0, "MiB": page.memory}]
        for round in range(1, args.rounds + 1):

            def visit(number: int, round: int = round) -> None:
                visitors.visit(
                    number, float("inf"), random.Random(round * 1000 + number), args.clicks
                )

            for thread in in_threads(args.visitors, visit):
                thread.join(600)
            page.settle()
            rows.append(
                {"round": round, "clicks": sum(visitors.clicks.values()), "MiB": page.memory}
            )
    wrong = [*visitors.wrong, *page.faults]
    for line in wrong[:20]:
        print(line)
    report.show(f"Memory against clicks, {args.visitors} visitors at once", rows, wrong=wrong[:20])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
