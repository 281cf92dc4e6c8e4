"""Which thread computes: one for all visitors, however many wait. No gradio here."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class OneThread:
    """A thread that does one job after the other for all callers; the first job starts it.

    torch keeps buffers for every thread that has computed, some 5 MB on a CPU, and the C library a
    heap. In the visitors' own waiting threads this cost 7 to 11 MB per visitor.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def do(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises, when it is done."""
        return self._thread.submit(work).result()
