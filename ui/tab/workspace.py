"""The run of one browser tab, as the records that the explorer draws. No gradio here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from ui.runs.start import RunFactory
from ui.server.limits import Limits
from ui.server.log import FAILED, LOGGER
from ui.server.turns import QueuePosition
from ui.tab.browser_state import BrowserState
from ui.tab.examples import Example, telling_step
from viz.records import serving_records as serving

# Steps between two checkpoints for the browser; later steps are computed again if need be.
CHECKPOINT_EVERY = 8
# Seconds between two reports that a model is still loading.
TELL_SECONDS = 0.5


@dataclass
class OwnRun:
    """The tab's own run, on the screen or not.

    Attributes:
        run: it has begun.
        recording: its steps so far.
        identical: whether plain decoding wrote the same; None until it was compared.
        unsaved: steps since the browser's last checkpoint.
    """

    run: Run
    recording: Recording
    identical: bool | None = None
    unsaved: int = 0

    @property
    def trace(self) -> RunTrace | None:
        """All of the run so far; None if some of its steps are not known here."""
        if not self.run.is_whole:
            return None
        return self.recording.trace(reference_identical=self.identical)

    def end_record(self) -> str:
        return viz.end_record(
            self.run.number,
            stop_reason=self.run.stop_reason,
            text=self.recording.trace().text,
            reference_identical=self.identical,
        )


class Workspace:
    """The run on the screen: the tab's own, or one opened from a file.

    Args:
        before: a run of the same tab, whose rows a hot start takes over.

    Attributes:
        own: the tab's own run; None before its first step.
    """

    def __init__(
        self, models: LoadedModels, limits: Limits, runs: RunFactory, before: Run | None = None
    ) -> None:
        self._models, self._limits, self._runs, self._before = models, limits, runs, before
        self.own: OwnRun | None = None
        self._coming: Run | None = None
        self._opened: RunTrace | None = None
        self._stop = False
        self._release: Callable[[], None] = lambda: None

    @property
    def trace(self) -> RunTrace | None:
        """The run on the screen; None if there is none, or not all of it is here."""
        if self._opened is not None:
            return self._opened
        return self.own.trace if self.own is not None else None

    @property
    def own_name(self) -> str:
        """The own run's name in the records; empty before its first step."""
        return self.own.run.number if self.own is not None else ""

    def has_run(self, request: Request) -> bool:
        """Whether the run of this request is on the screen and has ended."""
        if self.own is None or self._opened is not None:
            return False
        run = self.own.run
        return run.request == request and run.is_whole and run.stop_reason is not None

    def advance(
        self, request: Request, steps: int | None, browser: BrowserState | None = None
    ) -> Iterator[str]:
        """Go on with the run, or begin one if ``request`` is not the last one's.

        Args:
            steps: at most; None for all until the run ends or ``stop`` is called.
            browser: what the browser has of the run on its screen.

        Yields:
            Records. Bad input is one too; a bug is logged, and the page stays up.
        """
        try:
            yield from self._advance(request, steps, browser)
        except TokenRecyclingError as error:
            self._models.metrics.error(error)
            yield viz.error_record(str(error))
        except Exception as error:
            self._models.metrics.error(error)
            LOGGER.exception("a run failed")
            yield viz.error_record(FAILED)

    def stop(self) -> None:
        """End ``advance`` after the step under way. The run stays, and can go on."""
        self._stop = True

    def leave(self) -> None:
        """Stop, and free all memory."""
        self.stop()
        self._release()
        for run in (self.own.run if self.own is not None else None, self._coming):
            if run is not None:
                run.forget()
        self.own = self._coming = self._before = self._opened = None

    def open(self, path: Path) -> str:
        """Show a saved run in place of the run under way.

        Raises:
            TraceError: the file cannot be read; nothing has changed.
        """
        return viz.run_record(self._show(read_trace(path)))

    def open_example(self, example: Example) -> str:
        """Show a recorded run, verdict included, at its most telling step.

        Raises:
            TraceError: the example is of another schema.
        """
        trace = self._show(example.read())
        view = viz.view_record(telling_step(trace), "accept")
        return viz.batch([viz.run_record(trace, name=example.title), view])

    def look_at(self, trace: RunTrace | None) -> None:
        """Put a run on the screen, for saving too; None is the tab's own."""
        self._opened = trace

    def beside(self) -> Workspace:
        """A workspace for a run out of sight, which knows what this one has learned."""
        before = self.own.run if self.own is not None else None
        return Workspace(self._models, self._limits, self._runs, before)

    def analysis(self) -> str | None:
        """The panels' record of the run on the screen so far; None if there is none."""
        if self._opened is not None:
            return viz.analysis_record(self._opened)
        trace = self.trace
        if trace is None or not trace.steps:
            return None
        return viz.analysis_record(trace, self.own_name)

    def _show(self, trace: RunTrace) -> RunTrace:
        self._stop, self._opened = True, trace
        return trace

    def _is_stopped(self) -> bool:
        return self._stop

    def _is_own(self, run: Run) -> bool:
        return self.own is not None and self.own.run is run

    def _advance(
        self, request: Request, steps: int | None, browser: BrowserState | None
    ) -> Iterator[str]:
        self._stop = False
        if browser is not None and browser.run != self.own_name and not browser.checkpoint:
            yield serving.forgotten_record(browser.run)
            return
        yield from self._wait_for_model(request.model)
        yield from self._wait_for_drafter(request.settings.drafter)
        if self._stop:
            return
        target = self._models.get(request.model)
        run = self._choose_run(request, steps, browser, target)
        resumed = browser is not None and run.number == browser.run and not self._is_own(run)
        if browser is not None and resumed and steps is not None:
            # Steps since the checkpoint, which the screen has already.
            again = browser.steps - run.checkpoint().steps
            steps += max(0, min(again, self._limits.max_new_tokens))
        self._coming = run
        with self._counted():
            yield from self._steps(run, target, steps)
        own = self.own
        if own is None or own.run is not run or (run.stop_reason is None and not self._stop):
            return
        # One value: of two in quick succession, Gradio may show the browser only the second.
        yield viz.batch([own.end_record(), *self._checkpoint(own)])
        if run.stop_reason is not None and len(run.output_ids) <= self._limits.check_tokens:
            plain = run.plain_ids(target, self._is_stopped)
            if plain is None or not self._is_own(run):
                return
            own.identical = plain == run.output_ids
            yield own.end_record()

    def _steps(self, run: Run, target: HFTarget, steps: int | None) -> Iterator[str]:
        """Records of the steps; ends early if the tab has left, begun again or started another."""
        for event in run.advance(target, steps, self._is_stopped):
            if run.gone:
                return
            if isinstance(event, QueuePosition):
                yield serving.queue_record(event.ahead, event.seconds)
            elif isinstance(event, RunInfo):
                own = self._begin(run, event, target)
                recording = own.recording
                start = viz.start_record(
                    run.number, recording.info, recording.pieces, recording.partial_bytes
                )
                yield viz.batch([start, *self._checkpoint(own)])
            elif self.own is not None and self.own.run is run:
                yield self._step_records(self.own, event, running=steps is None)
            else:
                return

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count a run as under way until it ends or its tab leaves."""
        release = self._release = self._models.turns.admit()
        try:
            yield
        finally:
            release()

    def _begin(self, run: Run, info: RunInfo, target: HFTarget) -> OwnRun:
        """Put the run on the screen; the one before stays until all has gone well."""
        self._runs.report_start("page", run, info)
        if self.own is not None and self.own.run is not run:
            self.own.run.forget()
        earlier = run.earlier_trace
        if earlier is None:
            recording = Recording.of(info, target.vocabulary, run.earlier_ids)
        else:
            recording = Recording.of(earlier.info, target.vocabulary)
            for step in earlier.steps:
                recording.add(step)
        self.own, self._opened = OwnRun(run, recording), None
        return self.own

    def _step_records(self, own: OwnRun, steps: tuple[StepTrace, ...], running: bool) -> str:
        run, recording = own.run, own.recording
        records = [
            viz.step_record(
                run.number, step, recording.add(step), recording.partial_bytes, running=running
            )
            for step in steps
        ]
        own.unsaved += len(steps)
        self._models.metrics.steps(steps)
        if own.unsaved >= CHECKPOINT_EVERY and run.stop_reason is None:
            records += self._checkpoint(own)
        return records[0] if len(records) == 1 else viz.batch(records)

    def _checkpoint(self, own: OwnRun) -> list[str]:
        """A checkpoint for the browser to keep."""
        own.unsaved = 0
        return [serving.checkpoint_record(own.run.number, own.run.checkpoint().to_json())]

    def _wait_for_model(self, model: str) -> Iterator[str]:
        with self._models.waiting(model) as loading:
            while loading.wait(TELL_SECONDS) is None and not self._stop:
                yield serving.loading_record(model, loading.seconds, loading.doing)

    def _wait_for_drafter(self, drafter: str) -> Iterator[str]:
        """Wait for what a drafter's first use compiles."""
        compiling = threading.Thread(target=registry.entry(drafter).prepare, daemon=True)
        began = time.monotonic()
        compiling.start()
        compiling.join(TELL_SECONDS)
        while compiling.is_alive() and not self._stop:
            yield serving.loading_record(drafter, time.monotonic() - began, "compiling its loops")
            compiling.join(TELL_SECONDS)

    def _choose_run(
        self, request: Request, steps: int | None, browser: BrowserState | None, target: HFTarget
    ) -> Run:
        """The run under way, the one that the browser has a checkpoint of, or a new one."""
        run = self.own.run if self.own is not None else None
        # A run that is no longer on the screen cannot go on.
        if run is not None and run.request == request and self._opened is None:
            if run.stop_reason is None:
                return run
            if steps == 1:
                raise SettingsError(
                    "This run has ended: press Run to start it again, or change the prompt or a"
                    " setting."
                )
        if browser is not None and browser.checkpoint and browser.run != self.own_name:
            checkpoint = Checkpoint.from_json(browser.checkpoint)
            ids = target.vocabulary.encode(request.prompt, chat_template=request.chat)
            kept = (checkpoint.model, checkpoint.settings, list(checkpoint.prompt_ids))
            same = kept == (request.model, request.settings, ids)
            if same and checkpoint.stop_reason is None:
                run = self._runs.resumed(request, target, checkpoint, browser.run)
                run.earlier_trace = _earlier_trace(browser, checkpoint)
                return run
        return self._runs.new(request, target, before=run or self._before)


def _earlier_trace(browser: BrowserState, checkpoint: Checkpoint) -> RunTrace | None:
    """The steps before a checkpoint as the browser has kept them; None if any is missing."""
    try:
        name, trace = viz.read_run(browser.record)
    except TokenRecyclingError:  # not typed by a visitor: the run continues without it
        return None
    info, steps = trace.info, trace.steps[: checkpoint.steps]
    committed = len(checkpoint.prompt_ids)
    for number, step in enumerate(steps, start=1):
        ids = tokens_of(step)
        if (step.index, step.committed) != (number, committed):
            return None
        if not 0 <= min(ids) <= max(ids) < checkpoint.vocab_size:
            return None
        committed += len(step.emitted)
    trace = msgspec.structs.replace(trace, steps=steps)
    same = (name, info.tokenizer, info.prompt_ids) == (
        browser.run,
        checkpoint.tokenizer,
        checkpoint.prompt_ids,
    )
    whole = len(steps) == checkpoint.steps and trace.output_ids == checkpoint.output_ids
    return trace if same and whole else None
