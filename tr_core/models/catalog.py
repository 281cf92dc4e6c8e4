"""The models on offer: bundled ones, and ids of the Hub by the hardware they fit. No torch here.

What a model needs is its weights in the dtype named, and room for keys and values, a logits row for
each of 81 nodes, and what the libraries hold: a fifth on top of the weights, and a gigabyte.
Measured was the bundled one alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BUNDLED = Path(__file__).resolve().parents[2] / "assets" / "models"


@dataclass(frozen=True)
class ModelEntry:
    """A model to choose.

    Attributes:
        name: what the user types or picks.
        source: the folder or Hub id to load.
        summary: one line for the page and the command line: its purpose.
        parameters: in 10⁹; 0 for the bundled ones, which fit everywhere.
        dtype: that it is run in where it is offered.
        gpu_gb: smallest memory of a GPU, in 10⁹ bytes, that it is offered on; 0 for a CPU too.
    """

    name: str
    source: str
    summary: str
    parameters: float = 0.0
    dtype: str = "float32"
    gpu_gb: int = 0

    @property
    def needs_gb(self) -> float:
        """Memory for weights and all around them, in 10⁹ bytes."""
        return self.parameters * (4 if self.dtype == "float32" else 2) * 1.2 + 1


def _hub(source: str, parameters: float, gpu_gb: int, summary: str) -> ModelEntry:
    return ModelEntry(
        source, source, summary, parameters, "bfloat16" if gpu_gb else "float32", gpu_gb
    )


SUGGESTED = (
    _hub(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        0.135,
        0,
        "135 M: the smallest that follows instructions, for a CPU",
    ),
    _hub("HuggingFaceTB/SmolLM2-360M-Instruct", 0.362, 0, "360 M: better text, still for a CPU"),
    _hub(
        "Qwen/Qwen2.5-0.5B-Instruct",
        0.494,
        0,
        "0.5 B: a vocabulary of 152,000, for a CPU or any GPU",
    ),
    _hub("Qwen/Qwen2.5-1.5B-Instruct", 1.54, 16, "1.5 B: quick on a GPU of 16 GB"),
    _hub("HuggingFaceTB/SmolLM3-3B", 3.08, 16, "3 B: open data and recipe, for a GPU of 16 GB"),
    _hub(
        "Qwen/Qwen2.5-7B-Instruct",
        7.62,
        24,
        "7 B: the size of the paper's smallest, for a GPU of 24 GB",
    ),
    _hub(
        "mistralai/Mistral-7B-Instruct-v0.3",
        7.25,
        24,
        "7 B: another family and tokenizer, for a GPU of 24 GB",
    ),
    _hub(
        "Qwen/Qwen2.5-14B-Instruct",
        14.8,
        48,
        "14 B: the size of the paper's second, for a GPU of 48 GB",
    ),
    _hub(
        "Qwen/Qwen2.5-32B-Instruct",
        32.8,
        80,
        "32 B: the size of the paper's largest, for a GPU of 80 GB",
    ),
)


def bundled() -> tuple[ModelEntry, ...]:
    """The models that come with the repository, found by their folders."""
    folders = sorted(p.parent for p in BUNDLED.glob("*/config.json"))
    return tuple(
        ModelEntry(f.name, str(f), "bundled: stories, maths and Python; no download")
        for f in folders
    )


def entries() -> tuple[ModelEntry, ...]:
    """All, wherever they fit."""
    return bundled() + SUGGESTED


def fitting(gpu_gb: float) -> tuple[ModelEntry, ...]:
    """The models for a GPU with this many 10⁹ bytes, 0 for a CPU."""
    # Cards hold a little less than they are called by: 24 GB are 23.6, or 25.4 if counted in 2³⁰.
    return bundled() + tuple(entry for entry in SUGGESTED if entry.gpu_gb <= gpu_gb * 1.06)


def source(name: str) -> str:
    """The folder or Hub id of a name; any other text is returned as it is."""
    return next((e.source for e in bundled() if e.name == name), name)
