"""One visitor's run: started, stepped, stopped and compared with plain decoding. No gradio here.

A workspace yields the records that the explorer draws. It belongs to one browser tab, so two visitors share
nothing but the model's weights.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

import viz
from tr_core import metrics, reference, tables
from tr_core.commands import load_drafter
from tr_core.diagnosis import diagnose
from tr_core.drafters import registry
from tr_core.drafters.base import Drafter
from tr_core.errors import MatrixError, PromptError, SettingsError, TokenRecyclingError, TraceError
from tr_core.recording import Recording
from tr_core.session import Session
from tr_core.settings import Settings
from tr_core.trace import SCHEMA, RunTrace, read_trace
from ui.compare import Comparing
from ui.examples import Example, telling_step
from ui.limits import Limits
from ui.shelf import Shelf


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


@dataclass
class _Run:
    """A run under way."""

    request: Request
    session: Session
    recording: Recording
    number: str
    reference_identical: bool | None = None


class Workspace:
    """The run of one browser tab, and what its drafter has learned so far.

    Attributes:
        comparing: what lies side by side in this tab.
    """

    def __init__(self, shelf: Shelf, limits: Limits) -> None:
        self._shelf = shelf
        self._limits = limits
        self._run: _Run | None = None
        self._opened: RunTrace | None = None
        self._learned: tuple[tuple[str, str, int], Drafter] | None = None
        self._runs = 0
        self._stop = False
        self._busy = threading.Lock()
        self.comparing = Comparing(self)

    @property
    def trace(self) -> RunTrace | None:
        """The run on the screen: the one opened from a file, or the visitor's own so far; None before the first."""
        if self._opened is not None:
            return self._opened
        return self.own[1]

    def step(self, request: Request) -> Iterator[str]:
        """Exactly one engine step, of a new run if the request is another than the last one's."""
        yield from self._guarded(self._advance(request, steps=1))

    def run(self, request: Request) -> Iterator[str]:
        """Steps until the run ends or ``stop`` is called; an ended run is started again."""
        yield from self._guarded(self._advance(request, steps=None))

    def stop(self) -> None:
        """End ``run`` after the step under way. The record stays, and Step or Run go on from it."""
        self._stop = True
        self.comparing.stop()

    def reset(self) -> Iterator[str]:
        """Forget the run and what was learned."""
        self.stop()
        self._run, self._learned, self._opened = None, None, None
        yield viz.reset_record()

    def open(self, path: Path) -> Iterator[str]:
        """Show a saved run in place of the run under way. A file that cannot be read changes nothing."""
        try:
            yield viz.run_record(self._show(read_trace(path)))
        except TokenRecyclingError as error:
            yield viz.error_record(str(error))

    def look_at(self, trace: RunTrace | None) -> None:
        """The reader turned to another run, or back to the visitor's own: that is what is saved from now on."""
        self._opened = trace

    def has_run(self, request: Request) -> bool:
        """Whether the run of this request is on the screen and has ended."""
        run = self._run
        on_screen = run is not None and self._opened is None and run.request == request
        return on_screen and run.session.stop_reason is not None

    @property
    def own(self) -> tuple[str, RunTrace | None]:
        """The visitor's own run, on the screen or not: its name in the records, and its trace so far."""
        if self._run is None:
            return "", None
        return self._run.number, self._run.recording.trace(reference_identical=self._run.reference_identical)

    def beside(self) -> Workspace:
        """A workspace for a run out of sight, which knows what this one has learned."""
        other = Workspace(self._shelf, self._limits)
        other._learned = self._learned
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
        return viz.analysis_record(self.trace, self._run.number) if self._run and self._run.recording.steps else None

    def save_trace(self, folder: Path) -> str:
        """Write the run on the screen below ``folder`` as a trace and return the file.

        Raises:
            TraceError: there is no run yet.
        """
        return self._write(folder, "json", RunTrace.to_json)

    def save_page(self, folder: Path) -> str:
        """Write the run on the screen below ``folder`` as one web page and return the file.

        Raises:
            TraceError: there is no run yet.
        """
        return self._write(folder, "html", viz.to_html)

    def save_steps(self, folder: Path) -> str:
        """Write a table with one line a step of the run on the screen, diagnosis included, and return the file.

        Raises:
            TraceError: there is no run yet.
        """
        return self._write(folder, "steps.csv", lambda trace: tables.steps_csv(trace, diagnose(trace)))

    def save_nodes(self, folder: Path) -> str:
        """Write a table with one line a node of the run on the screen and return the file.

        Raises:
            TraceError: there is no run yet.
        """
        return self._write(folder, "nodes.csv", tables.nodes_csv)

    def _write(self, folder: Path, suffix: str, render: Callable[[RunTrace], str]) -> str:
        trace = self.trace
        if trace is None:
            raise TraceError("There is no run to save yet: press Step or Run first.")
        path = folder / f"{_file_name(trace)}.{suffix}"
        path.write_text(render(trace), encoding="utf-8", newline="")
        return str(path)

    def save_matrix(self, folder: Path) -> str:
        """Write the run's matrix below ``folder`` and return the file.

        Raises:
            MatrixError: there is no run yet, or its drafter has no matrix.
        """
        drafter = self._run.session.drafter if self._run else None
        if drafter is None or registry.entry(drafter.name).load is None:
            raise MatrixError("There is no matrix to save: run token_recycling first.")
        path = folder / "matrix.safetensors"
        drafter.save(path, self._run.session.target.vocabulary.fingerprint)
        return str(path)

    def trace_records(self, request: Request) -> Iterator[str]:
        """A whole new run as records of the trace itself, for the API: start, one per step, end.

        Raises:
            TokenRecyclingError: the request does not fit the model or the limits.
        """
        run = self._begin(request)
        encode = msgspec.json.encode
        yield encode({"type": "start", "schema": SCHEMA, "info": run.recording.info}).decode()
        while run.session.stop_reason is None:
            with self._shelf.turn:
                step = run.session.step()
            yield encode({"type": "step", "step": step, "pieces": run.recording.add(step)}).decode()
        end = {
            "type": "end",
            "output_ids": run.session.output_ids,
            "text": self.trace.text,
            "stop_reason": run.session.stop_reason,
            "steps": run.session.steps,
            "mean_accepted_tokens": metrics.mean_accepted_tokens(run.recording.steps),
        }
        yield encode(end).decode()

    def _guarded(self, records: Iterator[str]) -> Iterator[str]:
        """Turn bad input into a record, and refuse a second run of one tab while the first goes on."""
        if self.comparing.is_busy or not self._busy.acquire(blocking=False):
            yield viz.error_record("A run is going on in this tab: press Stop first.")
            return
        try:
            yield from records
        except TokenRecyclingError as error:
            yield viz.error_record(str(error))
        finally:
            self._busy.release()

    def _advance(self, request: Request, steps: int | None) -> Iterator[str]:
        self._stop = False
        run = self._run
        ended = run is not None and run.session.stop_reason is not None
        # A run that is no longer on the screen could not be gone on with.
        hidden = self._opened is not None
        if run is not None and run.request == request and ended and steps == 1 and not hidden:
            raise SettingsError("This run has ended: press Run to start it again, or change the prompt or a setting.")
        if run is None or run.request != request or ended or hidden:
            run = self._begin(request)
            yield viz.start_record(run.number, run.recording.info, run.recording.pieces, run.recording.partial_bytes)
        made = 0
        while run.session.stop_reason is None and made != steps and not self._stop and run is self._run:
            with self._shelf.turn:
                step = run.session.step()
            new = run.recording.add(step)
            made += 1
            yield viz.step_record(run.number, step, new, run.recording.partial_bytes, running=steps is None)
        if run is not self._run or (run.session.stop_reason is None and not self._stop):
            return
        yield _end(run)
        if run.session.stop_reason is not None and len(run.session.output_ids) <= self._limits.check_tokens:
            with self._shelf.turn:
                plain = reference.plain_ids(run.session.target, run.session.prompt_ids, request.settings)
            run.reference_identical = plain == run.session.output_ids
            yield _end(run)

    def _begin(self, request: Request) -> _Run:
        """Start a run. The run before stays in place until all of this has gone well."""
        if len(request.prompt) > self._limits.max_prompt_chars:
            raise PromptError(
                f"The prompt has {len(request.prompt):,} characters, {self._limits.max_prompt_chars:,} are allowed: "
                "shorten it."
            )
        if request.settings.max_new_tokens > self._limits.max_new_tokens:
            raise SettingsError(
                f"Max new tokens is {request.settings.max_new_tokens:,}, at most {self._limits.max_new_tokens:,} are "
                "allowed here: choose fewer."
            )
        target = self._shelf.get(request.model).fork()
        key = (request.model, request.settings.drafter, request.settings.k)
        known = self._learned[1] if request.hot and self._learned and self._learned[0] == key else None
        if request.matrix is not None:
            known = load_drafter(target, request.settings, request.matrix)
        ids = target.vocabulary.encode(request.prompt, chat_template=request.chat)
        # Both may record graphs, meanwhile nothing else may run the model.
        with self._shelf.turn:
            session = Session(target, request.settings, drafter=known)
            session.start(ids)
        self._runs += 1
        self._learned = (key, session.drafter)
        self._opened = None
        self._run = _Run(request, session, Recording(session), str(self._runs))
        return self._run


def _file_name(trace: RunTrace) -> str:
    """What a saved run is called. An opened trace is somebody else's, so of its words only what is harmless is used."""
    words = f"run-{trace.info.model.split('/')[-1]}-{trace.info.drafter}"
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in words)[:80]


def _end(run: _Run) -> str:
    session = run.session
    text = session.target.vocabulary.decode(session.output_ids)
    return viz.end_record(
        run.number, stop_reason=session.stop_reason, text=text, reference_identical=run.reference_identical
    )
