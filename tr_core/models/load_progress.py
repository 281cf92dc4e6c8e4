"""What libraries print while a model loads: kept off stderr, and read as progress in bytes.

A progress function may raise to end the loading: ``LoadStoppedError`` if no request waits for the
model any more.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from huggingface_hub.utils import logging as hub_logging
from huggingface_hub.utils import tqdm
from transformers.utils import logging

DOWNLOADING, READING = "downloading", "reading the weights"
# What huggingface_hub calls its bar of the bytes that are on this machine; another one is of bytes
# on the wire.
_BYTES_BAR = "huggingface_hub.snapshot_download"
_MB, _GB = 10**6, 10**9


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        doing: ``DOWNLOADING`` or ``READING``.
        done, whole: bytes; ``whole`` grows while a download finds out about its files.
    """

    doing: str
    done: int
    whole: int

    def __str__(self) -> str:
        unit, digits, name = (_GB, 2, "GB") if self.whole >= _GB else (_MB, 1, "MB")
        return (
            f"{self.doing}, {self.done / unit:.{digits}f} of {self.whole / unit:.{digits}f} {name}"
        )


ReportProgress = Callable[[Progress], None]


def no_progress(progress: Progress) -> None:
    """Report nothing."""


def line_on(terminal: TextIO) -> ReportProgress:
    """Report on one line of a terminal, which is empty again at the end."""
    width = 0

    def report(progress: Progress) -> None:
        nonlocal width
        words = str(progress) if progress.done < progress.whole else ""
        terminal.write(f"\r{words:<{width}}" + ("" if words else "\r"))
        terminal.flush()
        width = len(words)

    return report


def download_bars(report: ReportProgress) -> type[tqdm]:
    """A class of bars for ``snapshot_download`` that draw nothing and report all files' bytes."""

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            self._counts_bytes = options.get("name") == _BYTES_BAR
            super().__init__(*args, **options | {"disable": True})

        def update(self, n: float | None = 1) -> None:
            with self.get_lock():  # files are fetched side by side
                self.n += n or 0
                if self._counts_bytes and self.total:
                    report(Progress(DOWNLOADING, int(self.n), int(self.total)))

    return Bar


@contextmanager
def report_weights(report: ReportProgress, sizes: Mapping[str, int]) -> Iterator[None]:
    """Report after each parameter that transformers reads in this thread within the block.

    Args:
        sizes: bytes of each tensor of the files; see ``tensor_sizes``.
    """
    thread, whole = threading.get_ident(), sum(sizes.values())

    def hook(factory: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if threading.get_ident() == thread and options.get("desc") == "Loading weights":
            return _reporting(args[0], report, sizes, whole)
        return factory(*args, **options) if before is None else before(factory, args, options)

    before = logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)


def _reporting(
    parameters: Any, report: ReportProgress, sizes: Mapping[str, int], whole: int
) -> Iterator[Any]:
    """transformers' list of parameters to read; each knows its names in the files."""
    done = 0
    for name, mapping in parameters:
        report(Progress(READING, done, whole))
        names = set(getattr(mapping, "layer_targets", {}).get(name, ()))
        yield name, mapping
        done += sum(sizes.get(stored, 0) for stored in names)
    report(Progress(READING, whole, whole))


def tensor_sizes(files: list[Path]) -> dict[str, int]:
    """Bytes of each tensor, out of the heads of safetensors files that are whole."""
    sizes = {}
    for file in files:
        with file.open("rb") as opened:
            head = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        for name, tensor in head.items():
            if name != "__metadata__":
                begin, end = tensor["data_offsets"]
                sizes[name] = end - begin
    return sizes


@contextmanager
def silence_libraries() -> Iterator[None]:
    """Keep bars and reports of transformers and the Hub's client off stderr."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    of_hub = hub_logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    hub_logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(of_hub)
        if bars:
            logging.enable_progress_bar()
