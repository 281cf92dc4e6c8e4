"""What one browser tab has, and the tabs that are open. No gradio here.

A tab owns its workspace (the run on the screen), its comparisons and its files. Two tabs share
nothing but the models.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import viz
from tr_core.errors import TokenRecyclingError, TraceError
from tr_core.models import memory
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import Request
from ui.runs.start import RunFactory
from ui.server.limits import Limits
from ui.tab.browser_state import BrowserState, SaveRequest
from ui.tab.compare import Comparing
from ui.tab.examples import Example
from ui.tab.save import Saving
from ui.tab.workspace import Workspace

# A tab whose closing was never reported, as when the network broke, is forgotten after this long
# without a click.
IDLE_SECONDS = 3600
# Freed memory goes back to the system at most this often, since allocations wait meanwhile.
TRIM_SECONDS = 10


class Tab:
    """One browser tab; each button is a method.

    Attributes:
        workspace: the run on the screen.
        comparing: the runs side by side.
        saving: writes files of all these.
    """

    def __init__(self, models: LoadedModels, limits: Limits) -> None:
        runs = RunFactory(models, limits)
        self.workspace = Workspace(models, limits, runs)
        self.comparing = Comparing(self.workspace)
        self.saving = Saving(self.workspace, self.comparing, models, runs)
        self._busy = threading.Lock()

    def step(self, request: Request, browser: BrowserState | None = None) -> Iterator[str]:
        """Exactly one engine step; it begins a new run if ``request`` is not the last one's."""
        yield from self._alone(self.workspace.advance(request, 1, browser))

    def run(self, request: Request, browser: BrowserState | None = None) -> Iterator[str]:
        """Steps until the run ends or ``stop`` is called; a run that has ended starts again."""
        yield from self._alone(self.workspace.advance(request, None, browser))

    def compare(self, base: Request, texts: Sequence[str]) -> Iterator[str]:
        """Run ``base``, then once with each variation in ``texts``; see ``Comparing.compare``."""
        yield from self._alone(self.comparing.compare(base, texts))

    def stop(self) -> None:
        """Stop after the present step. Step or Run resume from there."""
        self.workspace.stop()
        self.comparing.stop()

    def leave(self) -> None:
        """Stop, and free all memory."""
        self.comparing.stop()
        self.workspace.leave()

    def reset(self) -> str:
        """Forget the run and what it learned."""
        self.leave()
        return viz.reset_record()

    def open(self, paths: Sequence[Path]) -> str:
        """Show a saved run, or several of one prompt side by side; a bad file changes nothing."""
        try:
            if len(paths) == 1:
                return self.workspace.open(paths[0])
            return self.comparing.open(paths)
        except TokenRecyclingError as error:
            return viz.error_record(str(error))

    def open_example(self, example: Example) -> str:
        """Show a recorded run, verdict included, at its most telling step."""
        try:
            return self.workspace.open_example(example)
        except TokenRecyclingError as error:
            return viz.error_record(str(error))

    def _alone(self, records: Iterator[str]) -> Iterator[str]:
        """Refuse a second run of this tab while the first is under way."""
        if not self._busy.acquire(blocking=False):
            yield viz.error_record("A run is under way in this tab: press Stop first.")
            return
        try:
            yield from records
        finally:
            self._busy.release()


class Tabs:
    """The open tabs by their sessions. Files made for download live as long as the server."""

    def __init__(
        self, models: LoadedModels, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._models, self._limits, self._clock = models, limits, clock
        self._tabs: dict[str, tuple[Tab, float]] = {}  # with the time of the last click
        self._lock = threading.Lock()
        self._trimmed: float = -TRIM_SECONDS
        self._folder = tempfile.TemporaryDirectory(prefix="tr-")

    def __len__(self) -> int:
        return len(self._tabs)

    def get(self, session: str) -> Tab:
        """The tab of a session, made at its first click."""
        now = self._clock()
        with self._lock:
            known = self._tabs.pop(session, None)
            tab = known[0] if known is not None else Tab(self._models, self._limits)
            self._tabs[session] = tab, now
            expired = [key for key, (_, used) in self._tabs.items() if now - used > IDLE_SECONDS]
            idle = [self._tabs.pop(key)[0] for key in expired]
        for other in idle:
            other.leave()
        return tab

    def save(self, session: str, wanted: SaveRequest) -> str | None:
        """Write a file for download and return its path; None if the browser must send more.

        Raises:
            TokenRecyclingError: there is nothing to save, or no room for it.
        """
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(dir=self._folder.name))
            return self.get(session).saving.save(wanted, folder)
        except OSError as error:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise TraceError(
                f"The file cannot be written ({error.strerror}): nothing on the screen is lost; try"
                " again later."
            ) from error

    def leave(self, session: str) -> None:
        """Forget a closed tab: its run ends with its step, and its memory is free."""
        with self._lock:
            known = self._tabs.pop(session, None)
            now = self._clock()
            due = now - self._trimmed >= TRIM_SECONDS
            if due:
                self._trimmed = now
        if known is not None:
            known[0].leave()
        if due:
            memory.trim()

    def close(self) -> None:
        """Delete the files made for download."""
        self._folder.cleanup()
