"""One run of one visitor: in turns on this machine's model, or in bounded calls elsewhere. No
gradio here.

Both kinds go on from checkpoints. A run of this machine keeps its session, with keys and values,
while it is awake; when too many are, the one that was idle longest is put to sleep: its checkpoint
stays, and its next step wakes it.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tr_core.decoding import resume as continuation
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

# How often a visitor who waits is told of the place in the queue.
TELL_SECONDS = 0.5
SHORT = (
    "The memory of the device is short: nothing that is on the screen is lost; shorten the prompt,"
    " choose a smaller model or fewer nodes, or try again when fewer runs are under way."
)


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

    Attributes:
        request: what was asked for.
        number: a name that no other run has.
        info: what is run; None until it has begun.
        output_ids, stop_reason: so far.
        gone: whether nobody will ask for it again.
        earlier: ids that were written before this server took the run over.
        told: the steps that wrote them, if the browser has handed them in.

    An idle run holds no model, so that one can be put away; each verb is given the model's target
    again.
    """

    def __init__(
        self, request: Request, number: str | None = None, earlier: Sequence[int] = ()
    ) -> None:
        self.request = request
        self.number = number or secrets.token_hex(6)
        self.info: RunInfo | None = None
        self.output_ids: list[int] = list(earlier)
        self.stop_reason: str | None = None
        self.gone = False
        self.earlier = tuple(earlier)
        self.told: RunTrace | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every step of it is known here."""
        return self.told is not None or not self.earlier

    def go(
        self, target: HFTarget, steps: int | None, stopped: Callable[[], bool]
    ) -> Iterator[QueuePosition | RunInfo | tuple[StepTrace, ...]]:
        """Up to ``steps`` steps, some at a time; what is run, where it begins; the place in the
        queue, meanwhile.
        """
        raise NotImplementedError

    def checkpoint(self) -> Checkpoint:
        """Where the run is; it has begun."""
        raise NotImplementedError

    def drafter(self, target: HFTarget) -> Drafter:
        """The drafter with all that it has learned."""
        checkpoint = self.checkpoint()
        settings = checkpoint.settings
        drafter = registry.create(settings.drafter, target.vocab_size, settings.k, target.device)
        drafter.restore(checkpoint.drafter, checkpoint.prompt_ids, checkpoint.output_ids)
        return drafter

    def plain_ids(self, target: HFTarget, stopped: Callable[[], bool]) -> list[int] | None:
        """What plain decoding writes in this run's place; None if it was stopped."""
        raise NotImplementedError

    def forget(self) -> None:
        """Nobody will ask for this run again."""
        self.gone = True

    def _note(self, steps: Sequence[StepTrace]) -> None:
        for step in steps:
            self.output_ids.extend(step.emitted)
            self.stop_reason = step.stop


class Awake:
    """The runs of this machine that hold a session, the one idle longest first; used by whoever has
    the turn.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._runs: dict[LocalRun, None] = {}
        self._change = threading.Lock()

    def __len__(self) -> int:
        return len(self._runs)

    def touch(self, run: LocalRun) -> None:
        """The run is about to step; the one idle longest makes room."""
        with self._change:
            self._runs.pop(run, None)
            if not run.gone:
                self._runs[run] = None
            # Runs under way are not idle: to wake each of them for its turn would cost more than
            # the turn.
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
        with self._change:
            self._runs.pop(run, None)


class LocalRun(Run):
    """A run on this machine.

    Args:
        start: makes the session, ready to step, on a target of its own.
        steps_a_turn: how many at most before others have their turn.
        engine: computes, for all runs of this machine.
        referee: computes what plain decoding writes, which uses torch's own generators: two at once
            would mix their noise. It passes its turn on between two tokens, and so cannot be the
            engine's thread.
        known: where to go on, if it has begun elsewhere; ``start`` then does so.

    Attributes:
        is_going: whether it is under way, and not between two clicks.
    """

    def __init__(
        self,
        request: Request,
        start: Callable[[HFTarget], Session],
        *,
        turns: Turns,
        awake: Awake,
        steps_a_turn: int,
        engine: OneThread,
        referee: OneThread,
        number: str | None = None,
        known: Checkpoint | None = None,
    ) -> None:
        super().__init__(request, number, known.output_ids if known else ())
        self._start = start
        self._turns, self._awake, self._steps_a_turn = turns, awake, steps_a_turn
        self._engine, self._referee = engine, referee
        self._session: Session | None = None
        self._checkpoint = known
        self.is_going = False

    def go(
        self, target: HFTarget, steps: int | None, stopped: Callable[[], bool]
    ) -> Iterator[QueuePosition | RunInfo | tuple[StepTrace, ...]]:
        self.is_going = True
        try:
            made = 0
            while self.info is None or (
                self.stop_reason is None and made != steps and not stopped()
            ):
                with self._turns.ticket() as ticket:
                    while (place := self._turns.wait(ticket, TELL_SECONDS)) is not None:
                        if stopped():
                            return
                        yield place
                    if self.info is None:
                        new = self._engine.do(lambda: self._begun(target))
                    else:
                        most = (
                            self._steps_a_turn
                            if steps is None
                            else min(self._steps_a_turn, steps - made)
                        )
                        new = self._engine.do(partial(self._turn, target, most))
                        made += len(new)
                yield new
        finally:
            self.is_going = False

    def checkpoint(self) -> Checkpoint:
        session = self._session
        return (
            self._checkpoint if session is None else continuation.take(session, self.request.model)
        )

    def drafter(self, target: HFTarget) -> Drafter:
        session = self._session
        return super().drafter(target) if session is None else session.drafter

    def plain_ids(self, target: HFTarget, stopped: Callable[[], bool]) -> list[int] | None:
        def decode() -> list[int] | None:
            with self._turns, memory.shortage_as(SHORT):
                return target.plain_ids(
                    self.info.prompt_ids,
                    self.request.settings,
                    cancelled=lambda: self._pass_on(stopped),
                )

        return self._referee.do(decode)

    def sleep(self) -> None:
        """Keep the checkpoint alone."""
        if self._session is not None:
            self._checkpoint, self._session = self.checkpoint(), None

    def forget(self) -> None:
        super().forget()
        self._awake.drop(self)

    def _begun(self, target: HFTarget) -> RunInfo:
        def begin() -> None:
            with memory.shortage_as(SHORT):
                self._session = self._start(target.fork())

        self._with_room(begin)
        self._awake.touch(self)
        self.info, self.stop_reason = describe(self._session), self._session.stop_reason
        return self.info

    def _turn(self, target: HFTarget, most: int) -> tuple[StepTrace, ...]:
        """One step, or a few if others wait: going round costs time too."""
        made: list[StepTrace] = []

        def some() -> None:
            with memory.shortage_as(SHORT):
                if self._session is None:
                    self._session = continuation.resume(target.fork(), self._checkpoint)
                while self._session.stop_reason is None and len(made) < most:
                    made.append(self._session.step())
                    if not self._turns.anybody_waits():
                        break

        self._awake.touch(self)
        self._with_room(some, enough=lambda: bool(made))
        self._note(made)
        return tuple(made)

    def _with_room(
        self, work: Callable[[], None], enough: Callable[[], bool] = lambda: False
    ) -> None:
        """Do it; where memory is short, put all runs to sleep and try once more, unless enough was
        done.
        """
        with contextlib.suppress(MemoryShortError):
            work()
            return
        # Outside of the handler, since an exception holds on to what was computed where it was
        # raised.
        self._awake.sleep_where(lambda run: True)
        self.sleep()
        memory.free()
        if not enough():
            work()

    def _pass_on(self, stopped: Callable[[], bool]) -> bool:
        """Between two tokens of plain decoding: let those who wait go first. Whether to stop."""
        if self._turns.anybody_waits():
            self._turns.__exit__()
            self._turns.__enter__()
        return stopped()


class CalledRun(Run):
    """A run in bounded calls that share nothing with this process; see ``zero``.

    Args:
        first: where to begin, or to go on.
    """

    def __init__(
        self, request: Request, first: Checkpoint, calls: GpuCalls, number: str | None = None
    ) -> None:
        super().__init__(request, number, first.output_ids)
        self._checkpoint, self._calls = first, calls
        self.stop_reason = first.stop_reason

    def go(
        self, target: HFTarget, steps: int | None, stopped: Callable[[], bool]
    ) -> Iterator[QueuePosition | RunInfo | tuple[StepTrace, ...]]:
        made = 0
        while self.stop_reason is None and made != steps and not stopped():
            count = STEPS_A_CALL if steps is None else min(STEPS_A_CALL, steps - made)
            for text in self._calls.pieces(self.request.model, self._checkpoint.to_json(), count):
                piece = Piece.from_json(text)
                if piece.error is not None:
                    raise TokenRecyclingError(piece.error)
                if piece.info is not None and self.info is None:
                    self.info = piece.info
                    yield piece.info
                if piece.step is not None:
                    made += 1
                    self._note([piece.step])
                    yield (piece.step,)
                if piece.checkpoint is not None:
                    self._checkpoint = piece.checkpoint

    def checkpoint(self) -> Checkpoint:
        return self._checkpoint

    def plain_ids(self, target: HFTarget, stopped: Callable[[], bool]) -> list[int] | None:
        text = self._checkpoint.to_json()
        return next(iter(self._calls.plain(self.request.model, list(self.info.prompt_ids), text)))
