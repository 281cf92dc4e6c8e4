"""Records about the serving of a run, beside those of ``run_records.py`` about the run itself."""

from __future__ import annotations

import time

from viz.records.schema import Checkpoint, Forgotten, Loading, Queue, encode


def queue_record(ahead: int, seconds: float) -> str:
    """The run waits for its turn."""
    return encode(Queue(ahead, round(seconds, 1), time.monotonic_ns()))


def loading_record(model: str, seconds: float, doing: str) -> str:
    """The run waits for its model."""
    return encode(Loading(model[:80], round(seconds), doing, time.monotonic_ns()))


def checkpoint_record(run: str, text: str) -> str:
    """Where the run is, for the browser to keep."""
    return encode(Checkpoint(run, text))


def forgotten_record(run: str) -> str:
    """The server was restarted, or another one answers, and does not have the run on the screen."""
    return encode(Forgotten(run, time.monotonic_ns()))
