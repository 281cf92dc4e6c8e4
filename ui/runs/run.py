"""One run: in turns on this machine's model, or in bounded calls elsewhere. No gradio here.

Both kinds go on from checkpoints. A run of this machine keeps its session, with keys and values,
while it is awake. If too many are awake, the one idle longest sleeps: its checkpoint stays, and its
next step wakes it.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tr_core.decoding import resume
from tr_core.decoding.checkpoint import Checkpoint
from tr_core.decoding.recording import describe
from tr_core.decoding.resume import Piece
from tr_core.decoding.session import Session
from tr_core.drafters import registry
from tr_core.drafters.base import Drafter
from tr_core.errors import MemoryShortError, TokenRecyclingError
from tr_core.models import memory
from tr_core.models.hf_target import HFTarget
from tr_core.settings import Settings
from tr_core.trace import RunInfo, RunTrace, StepTrace
from ui.runs.zerogpu import STEPS_A_CALL, GpuCalls
from ui.server.one_thread import OneThread
from ui.server.turns import QueuePosition, Turns

# Seconds between two reports of the position in the queue.
TELL_SECONDS = 0.5
SHORT = (
    "The memory of the device is short: nothing that is on the screen is lost; shorten the prompt,"
    " choose a smaller model or fewer nodes, or try again when fewer runs are under way."
)
# What an advancing run yields: its position in the queue, what it runs, some steps.
Event: TypeAlias = QueuePosition | RunInfo | tuple[StepTrace, ...]


@dataclass(frozen=True)
class Request:
    """Everything that makes one run: two equal requests are the same run.

    Attributes:
        model, prompt, settings: as the visitor chose them.
        chat: wrap the prompt in the tokenizer's chat template.
        hot: start with what this tab's drafter learned in earlier runs.
        matrix: a saved matrix to start with.
    """

    model: str
    prompt: str
    settings: Settings
    chat: bool = False
    hot: bool = False
    matrix: Path | None = None


class Run:
    """What both kinds of runs have in common.

    An idle run holds no model, so models can be unloaded; each method takes the target again.

    Attributes:
        request: what the visitor requested.
        number: a name that no other run has.
        info: the run's description; None until it has begun.
        output_ids, stop_reason: so far.
        gone: whether its tab is closed.
        earlier_ids: output of steps before the checkpoint it began with.
        earlier_trace: those steps, if the browser has kept them.
    """

    def __init__(
        self, request: Request, number: str | None = None, earlier_ids: Sequence[int] = ()
    ) -> None:
        self.request = request
        self.number = number or secrets.token_hex(6)
        self.info: RunInfo | None = None
        self.output_ids: list[int] = list(earlier_ids)
        self.stop_reason: str | None = None
        self.gone = False
        self.earlier_ids = tuple(earlier_ids)
        self.earlier_trace: RunTrace | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every step of it is known here."""
        return self.earlier_trace is not None or not self.earlier_ids

    def advance(
        self, target: HFTarget, steps: int | None, stopped: Callable[[], bool]
    ) -> Iterator[Event]:
        """Make up to ``steps`` steps, or all, and yield what happens."""
        raise NotImplementedError

    def checkpoint(self) -> Checkpoint:
        """Where the run is; it has begun."""
        raise NotImplementedError

    def drafter(self, target: HFTarget) -> Drafter:
        """The drafter with everything it has learned."""
        checkpoint = self.checkpoint()
        settings = checkpoint.settings
        drafter = registry.create(settings.drafter, target.vocab_size, settings.k, target.device)
        drafter.restore(checkpoint.drafter, checkpoint.prompt_ids, checkpoint.output_ids)
        return drafter

    def plain_ids(self, target: HFTarget, stopped: Callable[[], bool]) -> list[int] | None:
        """What plain decoding writes in place of this run, which has begun; None if stopped."""
        raise NotImplementedError

    def forget(self) -> None:
        """Nobody will ask for this run again."""
        self.gone = True

    def _prompt_ids(self) -> tuple[int, ...]:
        assert self.info is not None, "the run has not begun"
        return self.info.prompt_ids

    def _add(self, steps: Sequence[StepTrace]) -> None:
        for step in steps:
            self.output_ids.extend(step.emitted)
            self.stop_reason = step.stop


class AwakeRuns:
    """The runs of this machine that hold a session, the one idle longest first.

    Only the run whose turn it is calls these methods.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._runs: dict[LocalRun, None] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._runs)

    def touch(self, run: LocalRun) -> None:
        """The run is about to step; the one idle longest makes room."""
        with self._lock:
            self._runs.pop(run, None)
            if not run.gone:
                self._runs[run] = None
            # Runs under way are not idle: waking each for its turn would cost more than the turn.
            idle = [other for other in self._runs if not other.is_going]
        for other in idle[: max(0, len(idle) - self._most)]:
            self.sleep(other)

    def sleep(self, run: LocalRun) -> None:
        run.sleep()
        self.drop(run)

    def sleep_where(self, which: Callable[[LocalRun], bool]) -> None:
        for run in [run for run in list(self._runs) if which(run)]:
            self.sleep(run)

    def drop(self, run: LocalRun) -> None:
        with self._lock:
            self._runs.pop(run, None)


class LocalRun(Run):
    """A run on this machine.

    Args:
        start: makes the session, ready to step, on a target of its own.
        steps_a_turn: steps at most before others have their turn.
        engine: the thread that computes for all runs of this machine.
        referee: the thread for plain decoding. It uses torch's own generators, so two at once would
            mix their noise; and it passes its turn on between two tokens, so the engine's thread
            cannot be it.
        checkpoint: where to go on, if it has begun elsewhere; ``start`` then does so.

    Attributes:
        is_going: whether it is under way, and not between two clicks.
    """

    def __init__(
        self,
        request: Request,
        start: Callable[[HFTarget], Session],
        *,
        turns: Turns,
        awake: AwakeRuns,
        steps_a_turn: int,
        engine: OneThread,
        referee: OneThread,
        number: str | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        super().__init__(request, number, checkpoint.output_ids if checkpoint else ())
        self._start = start
        self._turns, self._awake, self._steps_a_turn = turns, awake, steps_a_turn
        self._engine, self._referee = engine, referee
        self._session: Session | None = None
        self._checkpoint = checkpoint
        self.is_going = False

    def advance(
        self, target: HFTarget, steps: int | None, stopped: Callable[[], bool]
    ) -> Iterator[Event]:
        self.is_going = True
        try:
            done = 0
            while self.info is None or (
                self.stop_reason is None and done != steps and not stopped()
            ):
                event: Event
                with self._turns.ticket() as ticket:
                    while (position := self._turns.wait(ticket, TELL_SECONDS)) is not None:
                        if stopped():
                            return
                        yield position
                    if self.info is None:
                        event = self._engine.do(lambda: self._begin(target))
                    else:
                        most = self._steps_a_turn
                        if steps is not None:
                            most = min(most, steps - done)
                        new = self._engine.do(partial(self._make_steps, target, most))
                        done += len(new)
                        event = new
                yield event
        finally:
            self.is_going = False

    def checkpoint(self) -> Checkpoint:
        session = self._session  # read once: another run's turn may put this one to sleep
        if session is not None:
            return resume.take(session, self.request.model)
        assert self._checkpoint is not None, "the run has not begun"
        return self._checkpoint

    def drafter(self, target: HFTarget) -> Drafter:
        session = self._session
        return super().drafter(target) if session is None else session.drafter

    def plain_ids(self, target: HFTarget, stopped: Callable[[], bool]) -> list[int] | None:
        def pass_on() -> bool:
            """Between two tokens: let others go first. Returns whether to stop."""
            if self._turns.anybody_waits():
                self._turns.__exit__()
                self._turns.__enter__()
            return stopped()

        def decode() -> list[int] | None:
            with self._turns, memory.shortage_as(SHORT):
                return target.plain_ids(
                    self._prompt_ids(), self.request.settings, cancelled=pass_on
                )

        return self._referee.do(decode)

    def sleep(self) -> None:
        """Keep only the checkpoint."""
        if self._session is not None:
            self._checkpoint, self._session = self.checkpoint(), None

    def forget(self) -> None:
        super().forget()
        self._awake.drop(self)

    def _begin(self, target: HFTarget) -> RunInfo:
        def begin() -> None:
            with memory.shortage_as(SHORT):
                self._session = self._start(target.fork())

        self._with_room(begin)
        self._awake.touch(self)
        assert self._session is not None
        self.info, self.stop_reason = describe(self._session), self._session.stop_reason
        return self.info

    def _make_steps(self, target: HFTarget, most: int) -> tuple[StepTrace, ...]:
        """One step; up to ``most`` while other runs wait, since a change of turns costs time."""
        steps: list[StepTrace] = []

        def step() -> None:
            with memory.shortage_as(SHORT):
                session = self._session
                if session is None:
                    session = self._session = resume.resume(target.fork(), self.checkpoint())
                while session.stop_reason is None and len(steps) < most:
                    steps.append(session.step())
                    if not self._turns.anybody_waits():
                        break

        self._awake.touch(self)
        self._with_room(step, enough=lambda: bool(steps))
        self._add(steps)
        return tuple(steps)

    def _with_room(
        self, work: Callable[[], None], enough: Callable[[], bool] = lambda: False
    ) -> None:
        """Do ``work``; if memory is short, let all runs sleep and retry unless enough is done."""
        with contextlib.suppress(MemoryShortError):
            work()
            return
        # Outside the handler, since an exception holds the tensors of where it was raised.
        self._awake.sleep_where(lambda run: True)
        self.sleep()
        memory.free()
        if not enough():
            work()


class CalledRun(Run):
    """A run in bounded calls that share nothing with this process; see ``zerogpu``.

    Args:
        first: where to begin, or to go on.
    """

    def __init__(
        self, request: Request, first: Checkpoint, calls: GpuCalls, number: str | None = None
    ) -> None:
        super().__init__(request, number, first.output_ids)
        self._checkpoint, self._calls = first, calls
        self.stop_reason = first.stop_reason

    def advance(
        self, target: HFTarget, steps: int | None, stopped: Callable[[], bool]
    ) -> Iterator[Event]:
        done = 0
        while self.stop_reason is None and done != steps and not stopped():
            count = STEPS_A_CALL if steps is None else min(STEPS_A_CALL, steps - done)
            for text in self._calls.pieces(self.request.model, self._checkpoint.to_json(), count):
                piece = Piece.from_json(text)
                if piece.error is not None:
                    raise TokenRecyclingError(piece.error)
                if piece.info is not None and self.info is None:
                    self.info = piece.info
                    yield piece.info
                if piece.step is not None:
                    done += 1
                    self._add([piece.step])
                    yield (piece.step,)
                if piece.checkpoint is not None:
                    self._checkpoint = piece.checkpoint

    def checkpoint(self) -> Checkpoint:
        return self._checkpoint

    def plain_ids(self, target: HFTarget, stopped: Callable[[], bool]) -> list[int] | None:
        text = self._checkpoint.to_json()
        return next(iter(self._calls.plain(self.request.model, list(self._prompt_ids()), text)))
