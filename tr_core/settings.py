"""All settings of a run, checked when they are made. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tr_core.errors import SettingsError
from tr_core.trees.tree import MAX_K, TreeTemplate

MAX_NEW_TOKENS = 100_000
MAX_STOP_STRINGS = 16
CAPTURES = ("auto", "on", "off", "compile")


@dataclass(frozen=True)
class Settings:
    """How to decode. Everything has a default that a newcomer would choose.

    Attributes:
        drafter: name in the registry.
        tree: ``auto``, a named template, a number of nodes, a JSON file, or a ``TreeTemplate``.
        k: candidates a matrix row, 1 … 32.
        max_new_tokens: tokens to write at most.
        temperature: 0 is greedy.
        top_p: sample from the smallest set of tokens with this probability; 1 is off.
        top_k: sample from this many best tokens; 0 is off.
        seed: of the sampling noise.
        stop: strings that end the output once written.
        ignore_eos: go on after an end token.
        prompt_rows: fill matrix rows from the prompt's positions too.
        strict: settle near-ties by one-token passes: plain decoding's ids in half precision too;
            greedy only.
        trace: record trees, candidates and rows; without it only ids leave the device.
        capture: static steps, recorded as one graph where the device can: ``off``, ``auto`` (on an
            accelerator), ``on``, or ``compile``, through torch.compile first, which takes minutes
            for a large model. Off by default until benchmarks/gpu/checks.py has run on a GPU.

    Raises:
        SettingsError: a value is out of range, or two cannot go together.
    """

    drafter: str = "token_recycling"
    tree: str | TreeTemplate = "auto"
    k: int = 8
    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    prompt_rows: bool = True
    strict: bool = False
    trace: bool = True
    capture: str = "off"

    def __post_init__(self) -> None:
        _whole("k", self.k, 1, MAX_K)
        _whole("Max new tokens", self.max_new_tokens, 1, MAX_NEW_TOKENS)
        _whole("Top-k", self.top_k, 0, 1_000_000)
        _whole("The seed", self.seed, 0, 2**63 - 1)
        _number("The temperature", self.temperature, 0, 100, "0 (greedy) … 100")
        _number("Top-p", self.top_p, 0, 1, "above 0 and at most 1")
        if self.top_p == 0:
            raise SettingsError("Top-p must be above 0 and at most 1, got 0.")
        if self.temperature == 0 and (self.top_p < 1 or self.top_k):
            raise SettingsError(
                "Top-p and top-k only matter when sampling: set a temperature above 0, or leave"
                " them at 1 and 0."
            )
        if 0 < self.temperature < 1e-3:
            raise SettingsError("A temperature below 0.001 overflows: use 0 for greedy decoding.")
        if self.strict and self.temperature > 0:
            raise SettingsError(
                "Strict is for greedy decoding, as rounding can turn a sample anywhere: use"
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
                f"Stop strings must not be empty, and there may be {MAX_STOP_STRINGS} at most."
            )

    @property
    def tree_name(self) -> str:
        return self.tree.name if isinstance(self.tree, TreeTemplate) else str(self.tree)


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingsError(
            f"{name} must be a whole number from {low} to {high}, got {_shown(value)}."
        )


def _number(name: str, value: object, low: float, high: float, span: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:
        raise SettingsError(f"{name} must be a number, {span}, got {_shown(value)}.")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
