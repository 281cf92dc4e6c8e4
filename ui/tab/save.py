"""Files of the runs on the screen: traces, pages, tables, matrices, comparisons. No gradio here.

The browser names the runs that it shows. If this server does not have one, or not all of it, the
browser asks again and sends the records that it has kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import viz
from tr_core import files
from tr_core.analysis import csv_tables
from tr_core.analysis.diagnosis import diagnose
from tr_core.decoding.checkpoint import Checkpoint
from tr_core.drafters import registry
from tr_core.errors import MatrixError, TraceError
from tr_core.trace import RunTrace
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import Request
from ui.runs.start import RunFactory
from ui.tab.browser_state import SaveRequest
from ui.tab.compare import Comparing
from ui.tab.workspace import Workspace

_RENDER: Mapping[str, Callable[[RunTrace], str]] = {
    "json": RunTrace.to_json,
    "html": viz.to_html,
    "steps.csv": lambda trace: csv_tables.steps_csv(trace, diagnose(trace)),
    "nodes.csv": csv_tables.nodes_csv,
}


class Saving:
    """Writes files of what one tab shows."""

    def __init__(
        self, workspace: Workspace, comparing: Comparing, models: LoadedModels, runs: RunFactory
    ) -> None:
        self._workspace, self._comparing = workspace, comparing
        self._models, self._runs = models, runs

    def save(self, wanted: SaveRequest, folder: Path) -> str | None:
        """Write below ``folder`` and return the path; None if the browser must send its records.

        Raises:
            TraceError, MatrixError, CompareError: there is nothing to save, or what the browser
                sent does not fit.
            OSError: the file cannot be written.
        """
        for record in wanted.records:
            self._comparing.put(*viz.read_run(record))
        if wanted.what == "matrix":
            return self._matrix(wanted, folder)
        if wanted.what in ("comparison html", "comparison csv"):
            return self._comparison(wanted, folder)
        trace = self._shown(wanted)
        if trace is None and wanted.runs:
            if not wanted.handed:
                return None
            raise TraceError(
                "Not all of this run was kept, here and on the page: run it again to save it."
            )
        if trace is None:
            raise TraceError("There is no run to save yet: press Step or Run first.")
        path = folder / f"{_file_name(trace)}.{wanted.what}"
        files.write_text(path, _RENDER[wanted.what](trace))
        return str(path)

    def _shown(self, wanted: SaveRequest) -> RunTrace | None:
        """The run that the browser names, all of it; the one on the screen if it names none."""
        if not wanted.runs:
            return self._workspace.trace
        trace = self._comparing.find(wanted.runs[0])
        return trace if trace is not None and len(trace.steps) >= wanted.steps else None

    def _comparison(self, wanted: SaveRequest, folder: Path) -> str | None:
        missing = any(self._comparing.find(name) is None for name in wanted.runs)
        if missing and not wanted.handed:
            return None
        return self._comparing.save(folder, wanted.what.removeprefix("comparison "), wanted.runs)

    def _matrix(self, wanted: SaveRequest, folder: Path) -> str | None:
        run = self._workspace.own.run if self._workspace.own is not None else None
        if run is None and wanted.runs and not wanted.handed:
            return None
        if run is None and wanted.checkpoint:
            checkpoint = Checkpoint.from_json(wanted.checkpoint)
            request = Request(checkpoint.model, "", checkpoint.settings)
            run = self._runs.resumed(request, self._models.get(request.model), checkpoint)
        if run is None or not registry.entry(run.request.settings.drafter).saves:
            raise MatrixError("There is no matrix to save: run token_recycling first.")
        target = self._models.get(run.request.model)
        with self._models.turns:
            drafter = run.drafter(target)
        path = folder / "matrix.safetensors"
        drafter.save(path, target.vocabulary.fingerprint)
        return str(path)


def _file_name(trace: RunTrace) -> str:
    """The name of a saved run's file, without the unsafe characters an opened trace may hold."""
    words = f"run-{trace.info.model.split('/')[-1]}-{trace.info.drafter}"
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in words)[:80]
