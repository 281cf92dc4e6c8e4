"""Comparisons: run a prompt with other settings, and lay a tab's runs side by side. No gradio."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

import viz
from tr_core import files
from tr_core.analysis import alignment, comparison_report
from tr_core.drafters.registry import DRAFTERS
from tr_core.errors import CompareError, SettingsError, TokenRecyclingError
from tr_core.trace import RunTrace, read_trace
from ui.runs.run import Request
from ui.tab.controls import BY_KEY
from ui.tab.workspace import Workspace

MOST = alignment.MOST - 1
# Runs that a tab can return to; the oldest is dropped.
KEPT = 8
_EXAMPLE = (
    "“tree small-16”, “drafter none”, “k 16”, “temperature 0.8”, “hot”, or several of them"
    " separated by commas"
)


def choices() -> list[tuple[str, str]]:
    """The comparisons that the page offers: labels and their values."""
    drafters = [
        ("plain decoding" if name == "none" else name, f"drafter {name}") for name in DRAFTERS
    ]
    return [
        *drafters,
        *((tree, f"tree {tree}") for tree in ("paper", "small-16", "small-8", "chain-4", "auto")),
        ("hot start", "hot"),
        *((setting, setting) for setting in ("k 16", "temperature 0.8")),
    ]


def variation(text: str, base: Request) -> Request:
    """``base`` with the settings that a text names, as in ``tree 24, k 4``.

    Raises:
        SettingsError: the text names no setting or a value out of range, or changes nothing.
    """
    if not isinstance(text, str):
        raise SettingsError(f"What to compare with must be text, got {str(text)[:60]!r}.")
    values: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    # A typed label means its value.
    for part in dict(choices()).get(text, text).split(","):
        key, _, value = " ".join(part.split()).partition(" ")
        key = key.lower().replace("-", "_")
        control = BY_KEY.get(key)
        if key in ("hot", "cold") and not value:
            fields["hot"] = key == "hot"
        elif key == "model":
            fields["model"] = BY_KEY["model"].parse(value)
        elif control is not None and control.varies:
            values[control.setting] = control.parse(value)
        else:
            raise SettingsError(f"“{text[:60]}” is nothing to compare with: write {_EXAMPLE}.")
    if None in values.values() or fields.get("model", "") is None:
        raise SettingsError(f"“{text[:60]}” does not fit: write {_EXAMPLE}.")
    settings = dataclasses.replace(base.settings, **values)
    varied = dataclasses.replace(base, settings=settings, **fields)
    if varied == base:
        raise SettingsError(f"“{text[:60]}” changes nothing: the run has that already.")
    return varied


class Comparing:
    """The runs that one tab can lay side by side: its own, those kept or opened, and variations."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._runs: OrderedDict[str, RunTrace] = OrderedDict()
        self._beside: Workspace | None = None
        self._stop = False

    def compare(self, base: Request, texts: Sequence[str]) -> Iterator[str]:
        """Run ``base`` on the screen, then each variation out of sight, and lay all side by side.

        ``stop`` ends the variations too, and keeps what they wrote.

        Args:
            base: as the page runs it; a run that has ended is not run again.
            texts: what differs in each variation, as ``variation`` reads it.
        """
        try:
            if not 1 <= len(texts) <= MOST:
                raise SettingsError(f"Choose one to {MOST} settings to compare with.")
            variations = [(text, variation(text, base)) for text in texts]
        except TokenRecyclingError as error:
            yield viz.error_record(str(error))
            return
        if not self._workspace.has_run(base):
            yield from self._workspace.advance(base, None)
        own = self._workspace.own
        # It was stopped, or has already reported its error.
        if own is None or own.trace is None or not self._workspace.has_run(base):
            return
        self.put(own.run.number, own.trace)
        yield viz.compare_record([], known=[own.run.number], replace=True)
        self._stop = False
        try:
            for text, request in variations:
                yield from self._run_beside(text, request)
                if self._stop:
                    return
        finally:
            self._beside = None
            yield viz.progress_record(None)

    def _run_beside(self, text: str, request: Request) -> Iterator[str]:
        self._beside = beside = self._workspace.beside()
        try:
            done = 0
            for batch in beside.advance(request, None):
                content = msgspec.json.decode(batch)
                for record in content if isinstance(content, list) else [content]:
                    if record["type"] == "error":
                        yield viz.error_record(record["sentence"])
                    done += len(record.get("emitted", ()))
                yield viz.progress_record(text, done, request.settings.max_new_tokens)
            trace = beside.trace
        finally:
            beside.leave()
        if trace is not None and trace.steps:
            name = viz.run_name(trace)
            self.put(name, trace)
            yield viz.compare_record([(trace, name)])
            yield viz.analysis_record(trace, name)

    def stop(self) -> None:
        """End the variation under way after its step, and begin no other."""
        self._stop = True
        if self._beside is not None:
            self._beside.stop()

    def open(self, paths: Sequence[Path]) -> str:
        """Lay saved runs of one prompt side by side, with the first of them on the screen.

        Raises:
            TraceError, CompareError: one cannot be read, or they do not belong together.
        """
        traces = [read_trace(path) for path in paths]
        alignment.align(traces)
        runs = [(trace, viz.run_name(trace)) for trace in traces]
        for trace, name in runs:
            self.put(name, trace)
        self._workspace.look_at(traces[0])
        analyses = (viz.analysis_record(*run) for run in runs)
        return viz.batch([viz.run_record(traces[0]), viz.compare_record(runs), *analyses])

    def keep(self, name: str, *, shown: bool = False) -> None:
        """Remember a run that lies side by side with others; ``shown`` puts it on the screen."""
        trace = self.find(name)
        if trace is not None:
            self.put(name, trace)
        own = name == self._workspace.own_name
        if shown and (trace is not None or own):
            self._workspace.look_at(None if own else trace)

    def find(self, name: str) -> RunTrace | None:
        """A run of this tab; None if it is not here, or not all of it."""
        own = self._workspace.own
        if own is not None and name == own.run.number and own.trace is not None:
            return own.trace
        shown = self._workspace.trace
        if shown is not None and viz.run_name(shown) == name:
            return shown
        return self._runs.get(name)

    def save(self, folder: Path, format: str, names: Sequence[str]) -> str:
        """Write runs of this tab side by side as ``html`` or ``csv`` and return the file's path.

        Raises:
            CompareError: a run is no longer kept, or they do not belong together.
        """
        for name in names:
            self.keep(name)
        if not set(names) <= self._runs.keys():
            raise CompareError(
                "A run of this comparison is no longer kept here: remove it, or run or open it"
                " again."
            )
        traces = [self._runs[name] for name in names]
        aligned = alignment.align(traces)
        html = format == "html"
        text = viz.to_html(traces) if html else comparison_report.positions_csv(traces, aligned)
        path = folder / f"comparison.{'html' if html else 'csv'}"
        files.write_text(path, text)
        return str(path)

    def put(self, name: str, trace: RunTrace) -> None:
        """Remember a run by its name."""
        self._runs[name] = trace
        self._runs.move_to_end(name)
        while len(self._runs) > KEPT:
            self._runs.popitem(last=False)
