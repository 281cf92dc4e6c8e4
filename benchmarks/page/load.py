"""Many visitors at once: each runs, steps, stops and reloads, and checks that the ids are its own
prompt's.

    python -m benchmarks.page.load --visitors 50 --seconds 180

Starts ``app.py`` on a free port of this machine and speaks to it alone. Reported: clicks by kind,
refusals with their sentences, runs that were mixed up (there must be none), what a step takes under
load, and the server's memory after a first round and after the last, everybody gone. The exit
status is 1 if anything was wrong. The last line is JSON.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import threading
import time
from collections import Counter
from typing import Any

from benchmarks.page.served import Served
from benchmarks.page.tab import Refused, Tab, in_threads
from benchmarks.shared import report
from tr_core import Settings, load_target
from tr_core.models.catalog import source

# Sentences that are no errors: the limits that the page states.
STATED = ("runs are under way here", "A run is going on in this tab")
ANIMALS = ("cat", "dog", "fox", "bear", "frog", "bird", "duck", "mouse", "horse", "lion")
NAMES = ("lily", "tom", "ben", "mia", "sam", "anna", "max", "sue", "tim", "zoe")


def prompt_of(visitor: int) -> str:
    """Another prompt for each of a hundred visitors."""
    animal, name = ANIMALS[visitor % 10], NAMES[visitor // 10 % 10]
    return f"once upon a time, there was a little {animal} named {name}. one day"


def expected_ids(visitors: int, new_tokens: int) -> list[list[int]]:
    """What plain decoding writes for each visitor."""
    target = load_target(source("pocket"))
    settings = Settings(max_new_tokens=new_tokens)
    prompts = [target.vocabulary.encode(prompt_of(visitor)) for visitor in range(visitors)]
    return [target.plain_ids(ids, settings) for ids in prompts]


class Visitors:
    """What all visitors do, and what came of it."""

    def __init__(
        self, url: str, config: dict[str, Any], expected: list[list[int]], new_tokens: int
    ) -> None:
        self._url, self._config, self._expected, self._new_tokens = (
            url,
            config,
            expected,
            new_tokens,
        )
        self._change = threading.Lock()
        self.clicks: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.step_ms: list[float] = []

    def visit(
        self, visitor: int, until: float, rng: random.Random, most: int | None = None
    ) -> None:
        """Click until the clock says ``until``, or ``most`` times, then leave."""
        tab = Tab(self._url, self._config)
        clicks = 0
        try:
            while time.monotonic() < until and clicks != most:
                self._act(tab, visitor, rng)
                clicks += 1
                time.sleep(rng.uniform(0, 0.3))
        except Exception as error:  # a visitor who met a fault tells it and goes
            with self._change:
                self.wrong.append(f"visitor {visitor}: {type(error).__name__}: {error}"[:300])
        finally:
            tab.quit()

    def _act(self, tab: Tab, visitor: int, rng: random.Random) -> None:
        prompt, expected = prompt_of(visitor), self._expected[visitor]
        kind = rng.choice(("run", "step", "step", "stop", "reload", "leave in the middle"))
        try:
            if kind == "run":
                ids = tab.click("Run", prompt, self._new_tokens)
                self._check(visitor, kind, ids == expected and tab.identical is not False)
            elif kind == "step":
                for _ in range(3):
                    over = sum(len(s["emitted"]) for s in tab.steps.values()) >= self._new_tokens
                    if over:
                        tab.reset()
                    began = time.monotonic()
                    ids = tab.click("Step", prompt, self._new_tokens)
                    with self._change:
                        self.step_ms.append((time.monotonic() - began) * 1e3)
                    self._check(visitor, kind, bool(ids) and ids == expected[: len(ids)])
            elif kind == "stop":
                stopping = threading.Timer(rng.uniform(0, 0.5), tab.stop)
                stopping.start()
                ids = tab.click("Run", prompt, self._new_tokens)
                stopping.join()
                self._check(visitor, kind, ids == expected[: len(ids)])
            else:
                if kind == "leave in the middle":
                    tab.click("Run", prompt, self._new_tokens, until=len(tab.steps) + 2)
                tab.reload()
            with self._change:
                self.clicks[kind] += 1
        except Refused as refusal:
            sentence = str(refusal)
            with self._change:
                self.refused[sentence] += 1
                if not any(words in sentence for words in STATED):
                    self.wrong.append(f"visitor {visitor}, {kind}: {sentence}")

    def _check(self, visitor: int, kind: str, right: bool) -> None:
        if not right:
            with self._change:
                self.wrong.append(f"visitor {visitor}: {kind} showed other ids than its prompt's")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument(
        "--warm-up",
        type=float,
        default=30,
        help="seconds of the first round, after which memory counts",
    )
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not 1 <= args.visitors <= 100 or not 0 < args.seconds <= 600:
        parser.error("1 to 100 visitors, and at most 600 seconds")
    expected = expected_ids(args.visitors, args.new_tokens)
    with Served() as page:
        visitors = Visitors(page.url, page.config, expected, args.new_tokens)
        first = _round(visitors, args.visitors, args.warm_up, args.seed, page)
        visitors.step_ms.clear()
        last = _round(visitors, args.visitors, args.seconds, args.seed + 1, page)
        left = page.metrics()
    wrong = [*visitors.wrong, *page.faults]
    for name in ("tr_runs_under_way", "tr_queue_waiting", "tr_runs_awake"):
        if left[name]:
            wrong.append(f"{name} is {left[name]:g} after all have left")
    steps = sorted(visitors.step_ms)
    rows = [
        {"what": "clicks", "value": sum(visitors.clicks.values()), **visitors.clicks},
        {"what": "stated refusals", "value": sum(visitors.refused.values())},
        {"what": "wrong", "value": len(wrong)},
        {
            "what": "step under load, median ms",
            "value": statistics.median(steps) if steps else None,
        },
        {
            "what": "step under load, p95 ms",
            "value": steps[int(len(steps) * 0.95)] if steps else None,
        },
        {"what": "memory after the first round, MiB", "value": first},
        {"what": "memory after the last, MiB", "value": last},
        {"what": "grown by, %", "value": 100 * (last - first) / first},
    ]
    for line in wrong[:20]:
        print(line)
    report.show(
        f"{args.visitors} visitors for {args.seconds:g} s",
        rows,
        wrong=wrong[:20],
        refused=dict(visitors.refused),
        p95_step_ms=rows[4]["value"],
        memory_growth_percent=rows[7]["value"],
        clicks=dict(visitors.clicks),
    )
    return 1 if wrong else 0


def _round(visitors: Visitors, count: int, seconds: float, seed: int, page: Served) -> float:
    """Everybody comes, clicks for some seconds, and goes; the server's MiB afterwards."""
    until = time.monotonic() + seconds
    threads = in_threads(
        count, lambda number: visitors.visit(number, until, random.Random(seed * 1000 + number))
    )
    for thread in threads:
        thread.join(seconds + 240)
        if thread.is_alive():
            visitors.wrong.append("a visitor was still waiting four minutes after the end")
    page.settle()
    return page.memory


if __name__ == "__main__":
    sys.exit(main())
