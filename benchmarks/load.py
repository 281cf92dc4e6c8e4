"""Many visitors at once: each runs, steps, stops and reloads, and checks that the ids are its own prompt's.

    python benchmarks/load.py --visitors 50 --seconds 180

Starts ``app.py`` on a free port of this machine and speaks to it alone. Reported: clicks by kind, refusals with their
sentences, runs that were mixed up (there must be none), what a step takes under load, and the server's memory after a
first round and after the last, everybody gone. The exit status is 1 if anything was wrong. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
import psutil
import report
from tab import Refused, Tab, in_threads

from tr_core import Settings, load_target, reference
from tr_core.catalog import source

# Sentences that are no errors: the limits that the page states.
STATED = ("runs are under way here", "A run is going on in this tab")
ANIMALS = ("cat", "dog", "fox", "bear", "frog", "bird", "duck", "mouse", "horse", "lion")
NAMES = ("lily", "tom", "ben", "mia", "sam", "anna", "max", "sue", "tim", "zoe")


def prompt_of(visitor: int) -> str:
    """Another prompt for each of a hundred visitors."""
    animal, name = ANIMALS[visitor % 10], NAMES[visitor // 10 % 10]
    return f"once upon a time, there was a little {animal} named {name}. one day"


class Visitors:
    """What all visitors do, and what came of it."""

    def __init__(self, url: str, config: dict[str, Any], expected: list[list[int]], new_tokens: int) -> None:
        self._url, self._config, self._expected, self._new_tokens = url, config, expected, new_tokens
        self._change = threading.Lock()
        self.clicks: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.step_ms: list[float] = []

    def visit(self, visitor: int, until: float, rng: random.Random) -> None:
        """Click until the clock says ``until``, then leave."""
        tab = Tab(self._url, self._config)
        try:
            while time.monotonic() < until:
                self._act(tab, visitor, rng)
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument(
        "--warm-up", type=float, default=30, help="seconds of the first round, after which memory counts"
    )
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not 1 <= args.visitors <= 100 or not 0 < args.seconds <= 600:
        parser.error("1 to 100 visitors, and at most 600 seconds")
    target = load_target(source("pocket"))
    settings = Settings(max_new_tokens=args.new_tokens)
    prompts = [target.vocabulary.encode(prompt_of(visitor)) for visitor in range(args.visitors)]
    expected = [reference.plain_ids(target, ids, settings) for ids in prompts]

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TR_METRICS": "1"}
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)],
        cwd=report.ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    log: list[str] = []
    threading.Thread(target=lambda: log.extend(process.stderr), daemon=True).start()
    try:
        _wait(url, process)
        config = httpx.get(f"{url}config", trust_env=False).json()
        visitors = Visitors(url, config, expected, args.new_tokens)
        server = psutil.Process(process.pid)
        first = _round(visitors, args.visitors, args.warm_up, args.seed, server, url)
        visitors.step_ms.clear()
        last = _round(visitors, args.visitors, args.seconds, args.seed + 1, server, url)
        left = _metrics(url)
    finally:
        process.terminate()
        process.wait(30)
    faults = [line.strip() for line in log if "Traceback" in line or '"level": "error"' in line]
    wrong = [*visitors.wrong, *faults]
    for name in ("tr_runs_under_way", "tr_queue_waiting", "tr_runs_awake"):
        if left[name]:
            wrong.append(f"{name} is {left[name]:g} after all have left")
    steps = sorted(visitors.step_ms)
    rows = [
        {"what": "clicks", "value": sum(visitors.clicks.values()), **visitors.clicks},
        {"what": "stated refusals", "value": sum(visitors.refused.values())},
        {"what": "wrong", "value": len(wrong)},
        {"what": "step under load, median ms", "value": statistics.median(steps) if steps else None},
        {"what": "step under load, p95 ms", "value": steps[int(len(steps) * 0.95)] if steps else None},
        {"what": "memory after the first round, MiB", "value": first},
        {"what": "memory after the last, MiB", "value": last},
        {"what": "grown by, %", "value": 100 * (last - first) / first},
    ]
    for line in wrong[:20]:
        print(line)
    report.show(
        f"{args.visitors} visitors for {args.seconds:g} s", rows, wrong=wrong[:20], refused=dict(visitors.refused),
        p95_step_ms=rows[4]["value"], memory_growth_percent=rows[7]["value"], clicks=dict(visitors.clicks),
    )  # fmt: skip
    return 1 if wrong else 0


def _round(visitors: Visitors, count: int, seconds: float, seed: int, server: psutil.Process, url: str) -> float:
    """Everybody comes, clicks for some seconds, and goes; the server's MiB afterwards."""
    until = time.monotonic() + seconds
    threads = in_threads(count, lambda number: visitors.visit(number, until, random.Random(seed * 1000 + number)))
    for thread in threads:
        thread.join(seconds + 240)
        if thread.is_alive():
            visitors.wrong.append("a visitor was still waiting four minutes after the end")
    end = time.monotonic() + 30
    while time.monotonic() < end and any(_metrics(url)[n] for n in ("tr_runs_under_way", "tr_runs_awake")):
        time.sleep(0.5)
    return server.memory_info().rss / 2**20


def _metrics(url: str) -> dict[str, float]:
    lines = httpx.get(f"{url}metrics", trust_env=False, timeout=60).text.splitlines()
    plain = (line.rsplit(" ", 1) for line in lines if line and line[0] != "#" and "{" not in line)
    return {name: float(value) for name, value in plain}


def _wait(url: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{url}healthz", trust_env=False).json()["models"]:
                return
        except (httpx.HTTPError, json.JSONDecodeError):
            time.sleep(0.3)
    raise SystemExit("the page did not start: run python app.py to see why")


if __name__ == "__main__":
    sys.exit(main())
