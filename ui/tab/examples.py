"""Recorded runs that are shown before a model has loaded, or where none can be. No gradio here.

An example is a trace in ``assets/examples``, named like the preset that it was recorded from by
``scripts/record_examples.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tr_core.trace import RunTrace, read_trace

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "examples"


@dataclass(frozen=True)
class Example:
    """One recorded run.

    Attributes:
        name: of its file, without the ending.
        word: on its button.
        title: the preset's name.
    """

    name: str
    word: str
    title: str

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.json"

    def read(self) -> RunTrace:
        """The trace.

        Raises:
            TraceError: the file is of another schema: record it again.
        """
        return read_trace(self.path)


def named(preset: str) -> Example:
    """The example of a preset, recorded or not: ``Story: a lost kite`` is in ``story.json``."""
    word = preset.split(":")[0].strip()
    return Example(word.lower(), word, preset)


def recorded(presets: list[str]) -> dict[str, Example]:
    """The recorded examples of these presets, by name."""
    examples = (named(preset) for preset in presets)
    return {example.name: example for example in examples if example.path.is_file()}


def telling_step(trace: RunTrace) -> int:
    """Number of the step to begin with: the one that accepted most; 1 if there is none."""
    return max(trace.steps, key=lambda step: len(step.path)).index if trace.steps else 1
