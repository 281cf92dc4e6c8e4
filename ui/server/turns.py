"""One queue for the accelerator: whose turn it is, who waits and how long. No gradio here.

A turn is short, a few steps of one run; then the run joins the end of the queue again, so a long
run blocks no others. Nothing may be yielded while a turn is held, so a slow or closed page blocks
none either.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tr_core.errors import TokenRecyclingError

# Weight of the newest turn in the mean that predicts waiting times.
_NEWEST = 0.2


class BusyError(TokenRecyclingError):
    """As many runs are under way as are allowed."""


@dataclass(frozen=True)
class QueuePosition:
    """How many turns come before, and about how many seconds that will take."""

    ahead: int
    seconds: float


class _Ticket:
    """A waiting caller; skipped while its owner is not listening."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.listening = False


class Turns:
    """The queue.

    Args:
        most: runs that may be under way at once.
        clock: monotonic seconds.
        waited, lasted: called with the seconds of each wait and each turn.
    """

    def __init__(
        self,
        most: int = 64,
        clock: Callable[[], float] = time.monotonic,
        waited: Callable[[float], None] = lambda seconds: None,
        lasted: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._most = most
        self._waited, self._lasted = waited, lasted
        self._clock = clock
        self._change = threading.Condition()
        self._tickets: deque[_Ticket] = deque()
        self._holder: _Ticket | None = None
        self._began = 0.0
        self._mean_s = 0.0
        self._runs = 0

    @property
    def runs(self) -> int:
        """Runs under way."""
        return self._runs

    @property
    def waiting(self) -> int:
        """Turns requested and not yet begun."""
        return len(self._tickets)

    def admit(self) -> Callable[[], None]:
        """Count one more run as under way; the returned function ends it, and may be called again.

        Raises:
            BusyError: too many are under way.
        """
        with self._change:
            if self._runs >= self._most:
                raise BusyError(
                    f"{self._runs} runs are under way here, as many as are allowed at once: try"
                    " again in a minute."
                )
            self._runs += 1
        under_way = [True]

        def over() -> None:
            with self._change:
                if under_way:
                    under_way.clear()
                    self._runs -= 1

        return over

    @contextmanager
    def ticket(self) -> Iterator[_Ticket]:
        """A place at the end of the queue, returned in any case."""
        ticket = _Ticket(self._clock())
        with self._change:
            self._tickets.append(ticket)
        try:
            yield ticket
        finally:
            self._leave(ticket)

    def wait(self, ticket: _Ticket, seconds: float | None = None) -> QueuePosition | None:
        """Wait for the ticket's turn: None once it comes, its position after ``seconds``."""
        with self._change:
            ticket.listening = True
            self._change.notify_all()
            try:
                if not self._change.wait_for(lambda: self._next() is ticket, seconds):
                    ahead = self._tickets.index(ticket) + (self._holder is not None)
                    return QueuePosition(ahead, ahead * self._mean_s)
            finally:
                ticket.listening = False
            self._tickets.remove(ticket)
            self._holder, self._began = ticket, self._clock()
            self._waited(self._began - ticket.since)
            return None

    def __enter__(self) -> None:
        """Wait for a turn, however long: for work without a page to show its position."""
        ticket = _Ticket(self._clock())
        with self._change:
            self._tickets.append(ticket)
        self.wait(ticket)

    def __exit__(self, *_: object) -> None:
        if self._holder is not None:
            self._leave(self._holder)

    def _next(self) -> _Ticket | None:
        if self._holder is not None:
            return None
        return next((ticket for ticket in self._tickets if ticket.listening), None)

    def _leave(self, ticket: _Ticket) -> None:
        with self._change:
            if self._holder is ticket:
                elapsed = self._clock() - self._began
                self._mean_s += (elapsed - self._mean_s) * (_NEWEST if self._mean_s else 1)
                self._holder = None
                self._lasted(elapsed)
            elif ticket in self._tickets:
                self._tickets.remove(ticket)
            self._change.notify_all()

    def anybody_waits(self) -> bool:
        """Whether a waiting run could start at once if the turn ended now."""
        return any(ticket.listening for ticket in self._tickets)
