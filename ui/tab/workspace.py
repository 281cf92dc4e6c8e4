"""One visitor's run: started, stepped, stopped and compared with plain decoding. No gradio here.

A workspace yields the records that the explorer draws. It belongs to one browser tab, so two
visitors share nothing but the model's weights.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

import viz
from tr_core.decoding.checkpoint import Checkpoint
from tr_core.decoding.recording import Recording, tokens_of
from tr_core.drafters import registry
from tr_core.errors import SettingsError, TokenRecyclingError
from tr_core.models.hf_target import HFTarget
from tr_core.trace import RunInfo, RunTrace, StepTrace, read_trace
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import Request, Run
from ui.runs.start import Starts
from ui.server.limits import Limits
from ui.server.log import FAILED, LOGGER
from ui.server.turns import QueuePosition
from ui.tab.browser_state import BrowserState
from ui.tab.compare import Comparing
from ui.tab.examples import Example, telling_step
from ui.tab.save import Saving
from viz.records import serving_records as serving

# Steps of a run before the browser is given a new checkpoint; what came after it is computed again
# if need be.
CHECKPOINT_EVERY = 8
# How often a visitor is told that the model is still being loaded.
TELL_SECONDS = 0.5


class Workspace:
    """The run of one browser tab, and what its drafter has learned so far.

    Attributes:
        comparing: what lies side by side in this tab.
        saving: makes files of what it shows.
    """

    def __init__(self, models: LoadedModels, limits: Limits) -> None:
        self._models = models
        self._limits = limits
        self._starts = Starts(models, limits)
        self._over: Callable[[], None] = lambda: None
        self._run: Run | None = None
        self._coming: Run | None = None
        self._before: Run | None = None
        self._recording: Recording | None = None
        self._identical: bool | None = None
        self._opened: RunTrace | None = None
        self._told = 0
        self._stop = False
        self._busy = threading.Lock()
        self.comparing = Comparing(self)
        self.saving = Saving(self, models, self._starts)

    @property
    def trace(self) -> RunTrace | None:
        """The run on the screen: the one opened from a file, or the visitor's own so far; None if
        it is not here.
        """
        if self._opened is not None:
            return self._opened
        return self.own[1]

    def step(self, request: Request, claim: BrowserState | None = None) -> Iterator[str]:
        """Exactly one engine step, of a new run if the request is another than the last one's."""
        yield from self._guarded(self._advance(request, 1, claim))

    def run(self, request: Request, claim: BrowserState | None = None) -> Iterator[str]:
        """Steps until the run ends or ``stop`` is called; an ended run is started again."""
        yield from self._guarded(self._advance(request, None, claim))

    def stop(self) -> None:
        """End ``run`` after the step under way. The record stays, and Step or Run go on from it."""
        self._stop = True
        self.comparing.stop()

    def leave(self) -> None:
        """Stop, and let go of all memory."""
        self.stop()
        self._over()
        for run in (self._run, self._coming):
            if run is not None:
                run.forget()
        self._run = self._coming = self._before = self._recording = self._opened = None

    def reset(self) -> Iterator[str]:
        """Forget the run and what was learned."""
        self.leave()
        yield viz.reset_record()

    def open(self, path: Path) -> Iterator[str]:
        """Show a saved run in place of the run under way. A file that cannot be read changes
        nothing.
        """
        try:
            yield viz.run_record(self._show(read_trace(path)))
        except TokenRecyclingError as error:
            yield viz.error_record(str(error))

    def look_at(self, trace: RunTrace | None) -> None:
        """The reader turned to another run, or back to the visitor's own: that is what is saved
        from now on.
        """
        self._opened = trace

    def has_run(self, request: Request) -> bool:
        """Whether the run of this request is on the screen and has ended."""
        run = self._run
        on_screen = run is not None and self._opened is None and run.request == request
        return on_screen and run.is_whole and run.stop_reason is not None

    @property
    def own(self) -> tuple[str, RunTrace | None]:
        """The visitor's own run, on the screen or not: its name in the records, and its trace if
        all of it is here.
        """
        run = self._run
        if run is None or self._recording is None:
            return "", None
        return run.number, (
            self._recording.trace(reference_identical=self._identical) if run.is_whole else None
        )

    @property
    def begun(self) -> Run | None:
        """The visitor's own run, on the screen or not, once it has begun."""
        return self._run if self._run is not None and self._run.info is not None else None

    def beside(self) -> Workspace:
        """A workspace for a run out of sight, which knows what this one has learned."""
        other = Workspace(self._models, self._limits)
        other._before = self._run
        return other

    def open_example(self, example: Example) -> Iterator[str]:
        """Show a recorded example at its most telling step, verdict included."""
        try:
            trace = self._show(example.read())
            step = viz.view_record(telling_step(trace), "accept")
            yield viz.batch([viz.run_record(trace, name=example.title), step])
        except TokenRecyclingError as error:
            yield viz.error_record(str(error))

    def _show(self, trace: RunTrace) -> RunTrace:
        self._stop, self._opened = True, trace
        return trace

    def analysis(self) -> str | None:
        """What the panels tell about the run on the screen so far; None if there is none."""
        if self._opened is not None:
            return viz.analysis_record(self._opened)
        name, trace = self.own
        return viz.analysis_record(trace, name) if trace is not None and trace.steps else None

    def _stopped(self) -> bool:
        return self._stop

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        """Around a run: one of those that are counted, until it ends or its visitor leaves."""
        over = self._over = self._models.turns.admit()
        try:
            yield
        finally:
            over()

    def _guarded(self, records: Iterator[str]) -> Iterator[str]:
        """Turn bad input into a record, and refuse a second run of one tab while the first goes on."""
        if self.comparing.is_busy or not self._busy.acquire(blocking=False):
            yield viz.error_record("A run is going on in this tab: press Stop first.")
            return
        try:
            yield from records
        except TokenRecyclingError as error:
            self._models.metrics.error(error)
            yield viz.error_record(str(error))
        except Exception as error:  # a bug: seen in the log, and the page stays up
            self._models.metrics.error(error)
            LOGGER.exception("a run failed")
            yield viz.error_record(FAILED)
        finally:
            self._busy.release()

    def _advance(
        self, request: Request, steps: int | None, claim: BrowserState | None
    ) -> Iterator[str]:
        self._stop = False
        if (
            claim is not None
            and (self._run is None or self._run.number != claim.run)
            and not claim.checkpoint
        ):
            yield serving.forgotten_record(claim.run)
            return
        yield from self._loaded(request.model)
        yield from self._prepared(request.settings.drafter)
        if self._stop:
            return
        target = self._models.get(request.model)
        run = self._chosen(request, steps, claim, target)
        if (
            claim is not None
            and run.number == claim.run
            and run is not self._run
            and steps is not None
        ):
            steps += max(0, min(claim.steps - run.checkpoint().steps, self._limits.max_new_tokens))
        self._coming = run
        with self._under_way():
            for told in run.go(target, steps, self._stopped):
                if run.gone:
                    return  # the visitor has left, or begun again
                if isinstance(told, QueuePosition):
                    yield serving.queue_record(told.ahead, told.seconds)
                elif isinstance(told, RunInfo):
                    yield viz.batch([self._begun(run, told, target), *self._kept(run)])
                elif run is not self._run:
                    return  # it was reset or another one was started meanwhile
                else:
                    yield self._told_steps(run, told, running=steps is None)
        if run is not self._run or (run.stop_reason is None and not self._stop):
            return
        # One value: of two that follow at once, Gradio may show the browser the second alone.
        yield viz.batch([_end(self._recording, run, None), *self._kept(run)])
        if run.stop_reason is not None and len(run.output_ids) <= self._limits.check_tokens:
            plain = run.plain_ids(target, self._stopped)
            if plain is None or run is not self._run:
                return
            self._identical = plain == run.output_ids
            yield _end(self._recording, run, self._identical)

    def _begun(self, run: Run, info: RunInfo, target: HFTarget) -> str:
        """The run takes the screen; the one before stays in place until all has gone well."""
        self._starts.note("page", run, info)
        if self._run is not None and self._run is not run:
            self._run.forget()
        self._run, self._opened, self._identical, self._told = run, None, None, 0
        told = run.told
        if told is None:
            recording = Recording.of(info, target.vocabulary, run.earlier)
        else:
            info = told.info
            recording = Recording.of(info, target.vocabulary)
            for step in told.steps:
                recording.add(step)
        self._recording = recording
        return viz.start_record(run.number, info, recording.pieces, recording.partial_bytes)

    def _told_steps(self, run: Run, steps: tuple[StepTrace, ...], running: bool) -> str:
        recording = self._recording
        records = [
            viz.step_record(
                run.number, step, recording.add(step), recording.partial_bytes, running=running
            )
            for step in steps
        ]
        self._told += len(steps)
        self._models.metrics.steps(steps)
        if self._told >= CHECKPOINT_EVERY and run.stop_reason is None:
            records += self._kept(run)
        return records[0] if len(records) == 1 else viz.batch(records)

    def _kept(self, run: Run) -> list[str]:
        """The checkpoint for the browser."""
        self._told = 0
        return [serving.checkpoint_record(run.number, run.checkpoint().to_json())]

    def _loaded(self, model: str) -> Iterator[str]:
        """Wait for the model, and tell how long already."""
        with self._models.waiting(model) as coming:
            while coming.wait(TELL_SECONDS) is None and not self._stop:
                yield serving.loading_record(model, coming.seconds, coming.doing)

    def _prepared(self, drafter: str) -> Iterator[str]:
        """Wait for what the first use of a drafter must wait for, and tell how long already."""
        waited = threading.Thread(target=registry.entry(drafter).prepare, daemon=True)
        began = time.monotonic()
        waited.start()
        waited.join(TELL_SECONDS)
        while waited.is_alive() and not self._stop:
            yield serving.loading_record(drafter, time.monotonic() - began, "compiling its loops")
            waited.join(TELL_SECONDS)

    def _chosen(
        self, request: Request, steps: int | None, claim: BrowserState | None, target: HFTarget
    ) -> Run:
        """The run under way, the one that the browser claims, or a new one."""
        run = self._run
        # A run that is no longer on the screen could not be gone on with.
        if run is not None and run.request == request and self._opened is None:
            if run.stop_reason is None:
                return run
            if steps == 1:
                raise SettingsError(
                    "This run has ended: press Run to start it again, or change the prompt or a"
                    " setting."
                )
        if claim is not None and claim.checkpoint and (run is None or run.number != claim.run):
            known = Checkpoint.from_json(claim.checkpoint)
            ids = target.vocabulary.encode(request.prompt, chat_template=request.chat)
            same = (known.model, known.settings, list(known.prompt_ids)) == (
                request.model,
                request.settings,
                ids,
            )
            if same and known.stop_reason is None:
                run = self._starts.adopted(request, target, known, claim.run)
                run.told = _told(claim, known)
                return run
        return self._starts.new(request, target, before=run or self._before)


def _told(claim: BrowserState, known: Checkpoint) -> RunTrace | None:
    """The steps before a checkpoint, as the browser was told them; None if it did not keep all of
    them.
    """
    try:
        name, trace = viz.read_run(claim.record)
    except TokenRecyclingError:  # no words of a visitor: the run goes on without them
        return None
    info, steps = trace.info, trace.steps[: known.steps]
    place = len(known.prompt_ids)
    for number, step in enumerate(steps, start=1):
        ids = tokens_of(step)
        if (step.index, step.committed) != (number, place) or not 0 <= min(ids) <= max(
            ids
        ) < known.vocab_size:
            return None
        place += len(step.emitted)
    trace = msgspec.structs.replace(trace, steps=steps)
    same = (name, info.tokenizer, info.prompt_ids) == (claim.run, known.tokenizer, known.prompt_ids)
    return (
        trace
        if same and len(steps) == known.steps and trace.output_ids == known.output_ids
        else None
    )


def _end(recording: Recording, run: Run, identical: bool | None) -> str:
    text = recording.trace().text
    return viz.end_record(
        run.number, stop_reason=run.stop_reason, text=text, reference_identical=identical
    )
