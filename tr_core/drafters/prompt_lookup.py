"""Prompt look-up (Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding): copy what followed
the last time.

The end of the text, three tokens of it, else two, else one, is looked up in the text itself; the
tokens that followed its latest earlier place are the draft, a chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tr_core.drafters.base import RowUpdates, TextAlone, convert
from tr_core.target import Draft
from tr_core.trace import ROOT, Source
from tr_core.trees.templates import chain
from tr_core.trees.tree import TreeTemplate

LONGEST = 3


class PromptLookup:
    """A chain of at most ``template.nodes`` tokens; the root alone where nothing matches."""

    name = "prompt_lookup"
    rows_seen = 0

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = device
        self.begin()

    def begin(self) -> None:
        # Where each n-gram last ended, kept up to date so that a step costs what it added, not the
        # whole text.
        self._after: dict[tuple[int, ...], int] = {}
        self._indexed = 0

    def propose(self, context: Sequence[int], template: TreeTemplate) -> Draft:
        # The n-grams that end the text are left out: they would find themselves.
        for end in range(self._indexed + 1, len(context)):
            for n in range(1, min(LONGEST, end) + 1):
                self._after[tuple(context[end - n : end])] = end
        self._indexed = max(self._indexed, len(context) - 1)
        place, n = self._match(context)
        copied = context[place : place + template.nodes] if n else ()
        tokens = [context[-1], *copied]
        shape = chain(len(tokens) - 1)
        return Draft(
            shape,
            torch.tensor(tokens, dtype=torch.int64, device=self._device),
            torch.ones(len(tokens), dtype=torch.bool, device=self._device),
            # What goes on from a match of n tokens is a match of n + 1.
            (ROOT, *(Source("lookup", n + i, place + i) for i in range(len(copied)))),
        )

    def observe_prompt(self, tokens: torch.Tensor, candidates: torch.Tensor) -> None:
        """Learns from the text alone."""

    def observe(self, draft: Draft, candidates: torch.Tensor) -> RowUpdates | None:
        return None

    def state(self) -> dict[str, Any]:
        return {}

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        convert(state, TextAlone)

    def _match(self, context: Sequence[int]) -> tuple[int, int]:
        """Where to copy from, and how many tokens stand alike there; (0, 0) if none do."""
        for n in range(min(LONGEST, len(context)), 0, -1):
            place = self._after.get(tuple(context[-n:]))
            if place is not None:
                return place, n
        return 0, 0
