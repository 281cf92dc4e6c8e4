"""Runs a function as ZeroGPU does: in a forked worker, all pickled on the way, a generator drained
to a queue.
"""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from typing import Any

_END = "end of the generator"


def forked(function: Callable[..., Iterator[Any]], *arguments: Any) -> list[Any]:
    """All that ``function(*arguments)`` yields; the parent sees nothing that the worker changes."""
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    sent = pickle.dumps(arguments)

    def work() -> None:
        for item in function(*pickle.loads(sent)):
            results.put(pickle.dumps(item))
        results.put(pickle.dumps(_END))

    worker = fork.Process(target=work)
    worker.start()
    got = list(iter(lambda: pickle.loads(results.get(timeout=60)), _END))
    worker.join(60)
    assert worker.exitcode == 0
    return got
