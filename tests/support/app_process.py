"""``python app.py`` as a process of its own."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READY_S = 120  # generous: a busy machine imports torch slowly


def wait_until_ready(url: str, process: subprocess.Popen, log: Path) -> None:
    """Returns as soon as the page answers; fails with the log where it never does."""
    end = time.monotonic() + READY_S
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-4000:]
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the page was not ready after {READY_S} s: {log.read_text()[-4000:]}")
