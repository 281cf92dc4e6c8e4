"""Prompt look-up: copy what followed the last time (Saxena 2023).

The end of the text, three tokens of it, else two, else one, is looked up in the text itself; the
tokens that followed its latest earlier occurrence are the draft, a chain
(github.com/apoorvumang/prompt-lookup-decoding).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tr_core.budget.grown_tree_budget import GrownTreeBudget
from tr_core.drafters.base import HostDrafter
from tr_core.target import Draft
from tr_core.trace import Source
from tr_core.trees.tree import TreeTemplate

LONGEST = 3


class PromptLookup(HostDrafter):
    """A chain of at most ``template.nodes`` tokens; the root alone where nothing matches."""

    name = "prompt_lookup"
    summary = (
        "a chain copied from where the last three, two or one tokens last occurred (Saxena 2023)"
    )

    def __init__(self, device: torch.device | str = "cpu") -> None:
        super().__init__(device)
        self.begin()

    def begin(self) -> None:
        # Position after each n-gram's last occurrence, kept up to date so that a step costs what
        # it added, not the whole text.
        self._after: dict[tuple[int, ...], int] = {}
        self._indexed = 0

    def propose(
        self, context: Sequence[int], template: TreeTemplate, growth: GrownTreeBudget | None = None
    ) -> Draft:
        # The n-grams that end the text are left out: they would find themselves.
        for end in range(self._indexed + 1, len(context)):
            for n in range(1, min(LONGEST, end) + 1):
                self._after[tuple(context[end - n : end])] = end
        self._indexed = max(self._indexed, len(context) - 1)
        position, n = self._match(context)
        copied = context[position : position + template.nodes] if n else ()
        # A match of n tokens that continues is a match of n + 1.
        sources = [Source("lookup", n + i, position + i) for i in range(len(copied))]
        return self.chain(context[-1], copied, sources)

    def _match(self, context: Sequence[int]) -> tuple[int, int]:
        """Where to copy from, and how many tokens agree there; (0, 0) if none do."""
        for n in range(min(LONGEST, len(context)), 0, -1):
            position = self._after.get(tuple(context[-n:]))
            if position is not None:
                return position, n
        return 0, 0
