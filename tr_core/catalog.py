"""Models that can be chosen: the bundled ones on disk, and ids of the Hub known to work. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BUNDLED = Path(__file__).resolve().parent.parent / "assets" / "models"


@dataclass(frozen=True)
class ModelEntry:
    """A model to choose.

    Attributes:
        name: what the user types or picks.
        source: the folder or Hub id to load.
        summary: one line for the page and the command line.
    """

    name: str
    source: str
    summary: str


SUGGESTED = (
    ModelEntry("HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct", "135 M, runs on a CPU"),
    ModelEntry("Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct", "0.5 B, a CPU or any GPU"),
    ModelEntry("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "7 B, a GPU of 24 GB in bfloat16"),
)


def bundled() -> tuple[ModelEntry, ...]:
    """The models that come with the repository, found by their folders."""
    folders = sorted(p.parent for p in BUNDLED.glob("*/config.json"))
    return tuple(ModelEntry(f.name, str(f), "bundled: stories, maths and Python; no download") for f in folders)


def entries() -> tuple[ModelEntry, ...]:
    return bundled() + SUGGESTED


def source(name: str) -> str:
    """The folder or Hub id behind a name; any other text stands for itself."""
    return next((e.source for e in bundled() if e.name == name), name)
