"""Who is here: a workspace for each open tab. No gradio here."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tr_core.errors import TraceError
from tr_core.models import memory
from ui.runs.loaded_models import LoadedModels
from ui.server.limits import Limits
from ui.tab.workspace import Workspace

# A tab whose closing was never told, as when the network broke, is forgotten after this long
# without a click.
IDLE_SECONDS = 3600
# What those who left have freed goes back to the system at most this often, since all allocating
# waits meanwhile.
TRIM_SECONDS = 10


class Tabs:
    """A workspace for each open tab, dropped when it closes. Files made for download live as long
    as the server.
    """

    def __init__(
        self, models: LoadedModels, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._models, self._limits, self._clock = models, limits, clock
        self._workspaces: dict[str, tuple[Workspace, float]] = {}
        self._change = threading.Lock()
        self._trimmed = -TRIM_SECONDS
        self._folder = tempfile.TemporaryDirectory(prefix="tr-")

    def __len__(self) -> int:
        return len(self._workspaces)

    def workspace(self, tab: str) -> Workspace:
        """The tab's own, made at its first click."""
        now = self._clock()
        with self._change:
            found, _ = self._workspaces.pop(tab, (None, 0))
            workspace = found or Workspace(self._models, self._limits)
            self._workspaces[tab] = workspace, now
            gone = [key for key, (_, used) in self._workspaces.items() if now - used > IDLE_SECONDS]
            idle = [self._workspaces.pop(key)[0] for key in gone]
        for other in idle:
            other.leave()
        return workspace

    def save(self, tab: str, write: Callable[[Workspace, Path], str | None]) -> str | None:
        """Let ``write`` make a file for download.

        Raises:
            TokenRecyclingError: there is nothing to save, or no room for it.
        """
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(dir=self._folder.name))
            return write(self.workspace(tab), folder)
        except OSError as error:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            raise TraceError(
                f"The file cannot be written, the server says “{error.strerror}”: nothing on the"
                " screen is lost; try again later."
            ) from error

    def close(self) -> None:
        """Delete the files made for download."""
        self._folder.cleanup()

    def leave(self, tab: str) -> None:
        """A closed tab's run ends with its step, and its memory is free."""
        with self._change:
            workspace, _ = self._workspaces.pop(tab, (None, 0))
            now = self._clock()
            due = now - self._trimmed >= TRIM_SECONDS
            if due:
                self._trimmed = now
        if workspace is not None:
            workspace.leave()
        if due:
            memory.trim()
