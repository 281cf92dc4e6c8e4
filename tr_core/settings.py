"""All settings of a run, their defaults and their checks. No torch.

A new setting is one field of ``Settings``. The command line makes its flag from the field
(``cli/shared.py``), the page takes its default from it. One that says how tokens are drawn is
``_drawn``, and needs its warper in ``decoding/sampling.py``.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any

from tr_core.errors import SettingsError
from tr_core.trees.tree import MAX_K, TreeTemplate

MAX_NEW_TOKENS = 100_000
MAX_STOP_STRINGS = 16
CAPTURES = ("auto", "on", "off", "compile")


def _flag(help: str, choices: Collection[str] | None = None) -> dict[str, Any]:
    """The command line's help for a field."""
    return {"help": help, "choices": choices}


def _drawn(help: str) -> dict[str, Any]:
    """The same of a field of ``Settings.sampling``, named like ``generate``'s argument."""
    return _flag(help) | {"sampling": True}


@dataclass(frozen=True)
class Settings:
    """How to decode. The defaults here hold for Python, the command line, the page and the API.

    Each field's help is beside its default. Three need more words:

    Attributes:
        tree: ``auto`` sizes the tree by what a step costs on this machine. Python also takes a
            ``TreeTemplate``.
        trace: false leaves everything but the ids on the device. The command line's ``--trace``
            is something else: the file to save the run to.
        capture: ``auto`` captures on an accelerator only. ``compile`` goes through torch.compile
            first, which takes minutes for a large model.

    Raises:
        SettingsError: a value is out of range, or two settings exclude each other.
    """

    drafter: str = field(
        default="token_recycling", metadata=_flag("how drafts are made; see the command drafters")
    )
    tree: str | TreeTemplate = field(
        default="auto", metadata=_flag("auto, a named template, a number of nodes, or a JSON file")
    )
    k: int = field(default=8, metadata=_flag(f"candidates in a matrix row, 1 … {MAX_K}"))
    max_new_tokens: int = field(default=128, metadata=_flag("stop after this many new tokens"))
    temperature: float = field(default=0.0, metadata=_drawn("0 is greedy"))
    top_p: float = field(
        default=1.0, metadata=_drawn("sample from the smallest set with this probability; 1 is off")
    )
    top_k: int = field(default=0, metadata=_drawn("sample from this many best tokens; 0 is off"))
    seed: int = field(default=0, metadata=_flag("seed of the sampling noise"))
    stop: tuple[str, ...] = field(
        default=(), metadata=_flag("end the output at this text; can be given several times")
    )
    ignore_eos: bool = field(default=False, metadata=_flag("continue after an end token"))
    prompt_rows: bool = field(default=True, metadata=_flag("fill matrix rows from the prompt"))
    strict: bool = field(
        default=False,
        metadata=_flag(
            "settle near-ties by one-token passes: exact in half precision; greedy only"
        ),
    )
    trace: bool = field(default=True, metadata=_flag("record trees, candidates and rows"))
    capture: str = field(
        default="off", metadata=_flag("static steps, recorded as one graph", CAPTURES)
    )

    def __post_init__(self) -> None:
        _whole("k", self.k, 1, MAX_K)
        _whole("Max new tokens", self.max_new_tokens, 1, MAX_NEW_TOKENS)
        _whole("Top-k", self.top_k, 0, 1_000_000)
        _whole("The seed", self.seed, 0, 2**63 - 1)
        _number("The temperature", self.temperature, 0, 100, "0 (greedy) … 100")
        _number("Top-p", self.top_p, 0, 1, "above 0 and at most 1")
        # transformers refuses whole numbers, and scripts write them.
        object.__setattr__(self, "temperature", float(self.temperature))
        object.__setattr__(self, "top_p", float(self.top_p))
        if self.top_p == 0:
            raise SettingsError("Top-p must be above 0 and at most 1, got 0.")
        if self.temperature == 0 and (self.top_p < 1 or self.top_k):
            raise SettingsError(
                "Top-p and top-k only matter when sampling: set a temperature above 0, or keep"
                " them at 1 and 0."
            )
        if 0 < self.temperature < 1e-3:
            raise SettingsError("A temperature below 0.001 overflows: use 0 for greedy decoding.")
        if self.strict and self.temperature > 0:
            raise SettingsError(
                "Strict is for greedy decoding only, since rounding can change any sample: use"
                " temperature 0, or float32."
            )
        if self.capture not in CAPTURES:
            raise SettingsError(
                f"Capture must be one of {', '.join(CAPTURES)}, got {_shown(self.capture)}."
            )
        if len(self.stop) > MAX_STOP_STRINGS or not all(
            isinstance(s, str) and s for s in self.stop
        ):
            raise SettingsError(
                f"Give at most {MAX_STOP_STRINGS} stop strings, none of them empty."
            )

    @property
    def sampling(self) -> dict[str, float]:
        """``generate``'s own arguments for drawing tokens; empty where decoding is greedy."""
        return {name: getattr(self, name) for name in SAMPLING} if self.temperature > 0 else {}

    @property
    def tree_name(self) -> str:
        return self.tree.name if isinstance(self.tree, TreeTemplate) else str(self.tree)


# Names and defaults of the settings that say how tokens are drawn.
SAMPLING: dict[str, float] = {
    f.name: getattr(Settings, f.name) for f in fields(Settings) if f.metadata.get("sampling")
}


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingsError(
            f"{name} must be a whole number from {low} to {high}, got {_shown(value)}."
        )


def _number(name: str, value: object, low: float, high: float, span: str) -> None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not low <= number <= high:
        raise SettingsError(f"{name} must be a number, {span}, got {_shown(value)}.")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
