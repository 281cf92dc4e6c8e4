"""No drafting: the root alone, one token a pass. Plain decoding, and the baseline of every
comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tr_core.drafters.base import RowUpdates, TextAlone, convert
from tr_core.target import Draft
from tr_core.trees.templates import chain
from tr_core.trees.tree import TreeTemplate


class Plain:
    """Drafts nothing, learns nothing."""

    name = "none"
    rows_seen = 0

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = device

    def begin(self) -> None:
        """Nothing is kept over prompts."""

    def propose(self, context: Sequence[int], template: TreeTemplate) -> Draft:
        tokens = torch.tensor([context[-1]], dtype=torch.int64, device=self._device)
        return Draft(chain(0), tokens, torch.ones(1, dtype=torch.bool, device=self._device))

    def observe_prompt(self, tokens: torch.Tensor, candidates: torch.Tensor) -> None:
        """Learns nothing."""

    def observe(self, draft: Draft, candidates: torch.Tensor) -> RowUpdates | None:
        return None

    def state(self) -> dict[str, Any]:
        return {}

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        convert(state, TextAlone)
