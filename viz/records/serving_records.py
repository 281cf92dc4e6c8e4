"""Records about the serving of a run, beside those of ``explorer.py`` about the run itself, each
one JSON string.

queue       ahead: turns before this one, seconds: about how long they take
loading     model, seconds: since it was asked for, doing: words
checkpoint  run, text: what another server needs to go on with the run; opaque to the browser, which hands it back
forgotten   run: the server does not have it; the browser sends its checkpoint and asks again
"""

from __future__ import annotations

import time
from typing import Any

import msgspec


def queue_record(ahead: int, seconds: float) -> str:
    """The run waits for its turn."""
    return _encode(
        {"type": "queue", "ahead": ahead, "seconds": round(seconds, 1), "at": time.monotonic_ns()}
    )


def loading_record(model: str, seconds: float, doing: str) -> str:
    """The run waits for its model."""
    return _encode(
        {
            "type": "loading",
            "model": model[:80],
            "seconds": round(seconds),
            "doing": doing,
            "at": time.monotonic_ns(),
        }
    )


def checkpoint_record(run: str, text: str) -> str:
    """Where the run is, for the browser to keep."""
    return _encode({"type": "checkpoint", "run": run, "text": text})


def forgotten_record(run: str) -> str:
    """The server was started anew, or another one answers, and knows nothing of the run on the
    screen.
    """
    return _encode({"type": "forgotten", "run": run, "at": time.monotonic_ns()})


def _encode(record: dict[str, Any]) -> str:
    return msgspec.json.encode(record).decode()
