"""The load test in a short form: it must find nothing wrong, and must be able to."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.page.load import Visitors

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_few_visitors_for_a_few_seconds_find_nothing_wrong():
    command = [
        sys.executable,
        "-m",
        "benchmarks.page.load",
        "--visitors",
        "4",
        "--seconds",
        "5",
        "--warm-up",
        "3",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["wrong"] == []
    assert done.returncode == 0
    assert sum(told["clicks"].values()) > 4


class Mixed:
    """A tab that shows another prompt's ids."""

    steps = {}  # noqa: RUF012 - read only
    identical = True

    def click(self, *_, **__):
        return [9, 9]

    reset = reload = stop = click


@pytest.mark.parametrize("seed", range(12))
def test_ids_of_another_prompt_are_found(seed):
    visitors = Visitors("", {}, [[1, 2]], new_tokens=2)
    visitors._act(Mixed(), 0, random.Random(seed))
    shown = {"run", "step", "stop"} & set(visitors.clicks)
    assert bool(visitors.wrong) == bool(shown)
