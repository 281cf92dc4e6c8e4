"""Comparisons: a prompt run again with other settings, and the runs that a tab can lay side by side. No gradio."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import viz
from tr_core import alignment, side_by_side
from tr_core.drafters.registry import DRAFTERS
from tr_core.errors import CompareError, SettingsError, TokenRecyclingError
from tr_core.trace import RunTrace
from ui.links import PARSERS

if TYPE_CHECKING:
    from ui.workspace import Request, Workspace

MOST = alignment.MOST - 1
# Runs that a tab can come back to, the one on the screen not counted.
KEPT = 8
SETTINGS = ("drafter", "tree", "k", "temperature", "top_p", "top_k", "seed")
_EXAMPLE = "“tree small-16”, “drafter none”, “k 16”, “temperature 0.8”, “hot”, or several of them parted by commas"


def choices() -> list[tuple[str, str]]:
    """What the page offers to compare with: a label and what it stands for."""
    drafters = [("plain decoding" if name == "none" else name, f"drafter {name}") for name in DRAFTERS]
    return [
        *drafters, *((tree, f"tree {tree}") for tree in ("paper", "small-16", "small-8", "chain-4", "auto")),
        ("hot start", "hot"), ("k 16", "k 16"), ("temperature 0.8", "temperature 0.8"),
    ]  # fmt: skip


def variation(text: str, base: Request) -> Request:
    """A request that is ``base`` but for the settings that a text names, as in ``tree 24, k 4``.

    Raises:
        SettingsError: the text names no setting or a value out of range, or changes nothing.
    """
    settings, more = {}, {}
    for part in text.split(","):
        key, _, value = " ".join(part.split()).partition(" ")
        key = key.lower().replace("-", "_")
        if key in ("hot", "cold") and not value:
            more["hot"] = key == "hot"
        elif key == "model":
            more["model"] = PARSERS["model"](value)
        elif key in SETTINGS:
            settings[key] = PARSERS[key](value)
        else:
            raise SettingsError(f"“{text[:60]}” is nothing to compare with: write {_EXAMPLE}.")
    if None in settings.values() or more.get("model", "") is None:
        raise SettingsError(f"“{text[:60]}” does not fit: write {_EXAMPLE}.")
    found = dataclasses.replace(base, settings=dataclasses.replace(base.settings, **settings), **more)
    if found == base:
        raise SettingsError(f"“{text[:60]}” changes nothing: the run has that already.")
    return found


def compare(workspace: Workspace, base: Request, texts: Sequence[str]) -> Iterator[str]:
    """Run ``base`` as the page runs it, then once with each of the settings named, and lay them side by side.

    The others are run out of sight; ``Workspace.stop`` ends them too, and what has been decoded stays.
    """
    try:
        if not 1 <= len(texts) <= MOST:
            raise SettingsError(f"Choose one to {MOST} settings to compare with.")
        wanted = [(text, variation(text, base)) for text in texts]
    except TokenRecyclingError as error:
        yield viz.error_record(str(error))
        return
    if not workspace.has_run(base):
        yield from workspace.run(base)
    # Bad input or a run going on in this tab has been told; a run that was stopped is not gone on with.
    if not workspace.has_run(base):
        return
    yield viz.compare_record([], known=[workspace.run_name], anew=True)
    try:
        for text, request in wanted:
            beside = workspace.beside()
            done = 0
            for record in beside.run(request):
                told = msgspec.json.decode(record)
                if told["type"] == "error":
                    yield record
                done += len(told.get("emitted", ()))
                yield viz.progress_record(text, done, request.settings.max_new_tokens)
            if (trace := beside.trace) is not None and trace.steps:
                name = viz.run_name(trace)
                workspace.album.put(name, trace)
                yield viz.compare_record([(trace, name)])
                yield viz.analysis_record(trace, name)
            if workspace.stopped:
                return
    finally:
        workspace.done_beside()
        yield viz.progress_record(None)


class Album:
    """The runs that a tab has had on its screen or made for a comparison, by name; the oldest is let go."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, RunTrace] = OrderedDict()

    def put(self, name: str, trace: RunTrace) -> None:
        self._runs[name] = trace
        self._runs.move_to_end(name)
        while len(self._runs) > KEPT:
            self._runs.popitem(last=False)

    def get(self, name: str) -> RunTrace | None:
        return self._runs.get(name)


def save(traces: Sequence[RunTrace | None], format: str, folder: Path) -> str:
    """Write a comparison below ``folder`` as ``html`` or ``csv`` and return the file.

    Raises:
        CompareError: a run is no longer kept, or they do not belong together.
    """
    kept = [trace for trace in traces if trace is not None]
    if len(kept) < len(traces):
        raise CompareError("A run of this comparison is no longer kept here: remove it, or run or open it again.")
    found = alignment.align(kept)
    text = viz.to_html(kept) if format == "html" else side_by_side.positions_csv(kept, found)
    path = folder / f"comparison.{'html' if format == 'html' else 'csv'}"
    path.write_text(text, encoding="utf-8", newline="")
    return str(path)
