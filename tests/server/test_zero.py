"""Runs through fork and pickle, as on ZeroGPU: in bounded calls that share nothing with the page's
process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tr_core import Settings
from tr_core.decoding.checkpoint import SCHEMA, Checkpoint
from ui.runs import zerogpu as zero

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_calls_that_share_nothing_make_one_run():
    """Greedy, with a budget, and sampled; see zero_gpu_run.CASES."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.support.zero_gpu_run"]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for told in json.loads(done.stdout.splitlines()[-1]):
        assert "no complete checkpoint" in told.pop("broken")
        assert told == {
            "same": True,
            "numbered": True,
            "told": True,
            "plain": True,
            "untouched": True,
        }


def checkpoint(prompt, output=()):
    steps = len(output)
    settings = Settings(tree="paper", max_new_tokens=5000)
    return Checkpoint(SCHEMA, "m", "t", 10, settings, tuple(prompt), tuple(output), steps).to_json()


def test_the_gpu_is_asked_for_as_long_as_text_and_steps_need():
    assert zero.seconds("m", checkpoint([1]), 1) == 6
    assert zero.seconds("m", checkpoint([1] * 8000), 1) == 8
    assert zero.seconds("m", checkpoint([1] * 4000, [1] * 4000), 24) == 9
    assert zero.seconds("m", checkpoint([1]), 10_000) == zero.LONGEST_SECONDS
    assert zero.seconds_of_check("m", [1], checkpoint([1], [1] * 120)) == 16


def test_the_decorator_is_used_on_zero_gpu_and_nowhere_else(monkeypatch, tmp_path):
    assert not zero.is_here()
    (tmp_path / "spaces.py").write_text(
        "def GPU(duration):\n    return lambda f: ('decorated', duration.__name__, f.__name__)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    calls = zero.GpuCalls(None)
    assert calls.pieces == ("decorated", "seconds", "_pieces")
    assert calls.plain == ("decorated", "seconds_of_check", "_plain")
    sys.modules.pop("spaces")
