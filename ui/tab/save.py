"""Files of the runs on the screen: traces, pages, tables, matrices, comparisons. No gradio here.

The browser names the runs that it shows. One that this server does not have, or not all of, is
asked for: the browser hands back what it was told of it, and asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import viz
from tr_core import files as saving
from tr_core.analysis import csv_tables as tables
from tr_core.analysis.diagnosis import diagnose
from tr_core.decoding.checkpoint import Checkpoint
from tr_core.drafters import registry
from tr_core.errors import MatrixError, TraceError
from tr_core.trace import RunTrace
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import Request
from ui.runs.start import Starts
from ui.tab.browser_state import SaveRequest

if TYPE_CHECKING:
    from ui.tab.workspace import Workspace

_RENDER: Mapping[str, Callable[[RunTrace], str]] = {
    "json": RunTrace.to_json,
    "html": viz.to_html,
    "steps.csv": lambda trace: tables.steps_csv(trace, diagnose(trace)),
    "nodes.csv": tables.nodes_csv,
}


class Saving:
    """Writes what one tab shows."""

    def __init__(self, workspace: Workspace, models: LoadedModels, starts: Starts) -> None:
        self._workspace, self._models, self._starts = workspace, models, starts

    def save(self, wish: SaveRequest, folder: Path) -> str | None:
        """Write below ``folder`` and return the file; None if the browser has to hand in what is
        not here.

        Raises:
            TraceError, MatrixError, CompareError: there is nothing to save, or what was handed in
                does not fit.
            OSError: the file cannot be written.
        """
        for record in wish.records:
            self._workspace.comparing.put(*viz.read_run(record))
        if wish.what == "matrix":
            return self._matrix(wish, folder)
        if wish.what in ("comparison html", "comparison csv"):
            return self._comparison(wish, folder)
        trace = self._shown(wish)
        if trace is None and wish.runs:
            if not wish.handed:
                return None
            raise TraceError(
                "Not all of this run was kept, here and on the page: run it again to save it."
            )
        if trace is None:
            raise TraceError("There is no run to save yet: press Step or Run first.")
        path = folder / f"{_file_name(trace)}.{wish.what}"
        saving.write_text(path, _RENDER[wish.what](trace))
        return str(path)

    def _shown(self, wish: SaveRequest) -> RunTrace | None:
        """The run that the browser shows, all of it; where it names none, what is on the screen
        here.
        """
        if not wish.runs:
            return self._workspace.trace
        found = self._workspace.comparing.find(wish.runs[0])
        return found if found is not None and len(found.steps) >= wish.steps else None

    def _comparison(self, wish: SaveRequest, folder: Path) -> str | None:
        comparing = self._workspace.comparing
        if not wish.handed and any(comparing.find(name) is None for name in wish.runs):
            return None
        return comparing.save(folder, wish.what.removeprefix("comparison "), wish.runs)

    def _matrix(self, wish: SaveRequest, folder: Path) -> str | None:
        run = self._workspace.begun
        if run is None and wish.runs and not wish.handed:
            return None
        if run is None and wish.checkpoint:
            known = Checkpoint.from_json(wish.checkpoint)
            request = Request(known.model, "", known.settings)
            run = self._starts.adopted(request, self._models.get(request.model), known)
        if run is None or not registry.entry(run.request.settings.drafter).saves:
            raise MatrixError("There is no matrix to save: run token_recycling first.")
        target = self._models.get(run.request.model)
        with self._models.turns:
            drafter = run.drafter(target)
        path = folder / "matrix.safetensors"
        drafter.save(path, target.vocabulary.fingerprint)
        return str(path)


def _file_name(trace: RunTrace) -> str:
    """What a saved run is called. An opened trace is somebody else's, so of its words only what is
    harmless is used.
    """
    words = f"run-{trace.info.model.split('/')[-1]}-{trace.info.drafter}"
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in words)[:80]
