"""Token Recycling as published (Luo et al., arXiv 2408.08696): a static tree filled from the candidate matrix."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tr_core.drafters.base import RowUpdates
from tr_core.matrix import CandidateMatrix
from tr_core.target import Draft
from tr_core.tree import TreeTemplate

FILLER = 0
_PLANS = 256


class TokenRecycling:
    """Fills a template breadth-first from the rows of its nodes, and overwrites the row of every scored node."""

    name = "token_recycling"

    def __init__(self, matrix: CandidateMatrix) -> None:
        self.matrix = matrix
        self._levels: dict[TreeTemplate, list[tuple[slice, torch.Tensor, torch.Tensor]]] = {}

    @property
    def rows_seen(self) -> int:
        return self.matrix.rows_seen

    def begin(self) -> None:
        """The rows stay over prompts: that is the hot start."""

    def propose(self, context: Sequence[int], template: TreeTemplate) -> Draft:
        rows = self.matrix.rows
        size = template.nodes + 1
        tokens = torch.full((size,), FILLER, dtype=torch.int64, device=rows.device)
        tokens[0] = context[-1]
        seen = torch.ones(size, dtype=torch.bool, device=rows.device)
        for level, parents, ranks in self._plan(template):
            children = rows[tokens[parents], ranks].long()
            seen[level] = seen[parents] & (children >= 0)
            tokens[level] = torch.where(seen[level], children, FILLER)
        return Draft(template, tokens, seen)

    def observe_prompt(self, tokens: torch.Tensor, candidates: torch.Tensor) -> None:
        self.matrix.overwrite(tokens, candidates)

    def observe(self, draft: Draft, candidates: torch.Tensor) -> RowUpdates:
        return self.matrix.overwrite(draft.tokens, candidates, draft.seen)

    def _plan(self, template: TreeTemplate) -> list[tuple[slice, torch.Tensor, torch.Tensor]]:
        """Per level: its nodes, their parents and their ranks, as indices on the device."""
        if template not in self._levels:
            template.check_k(self.matrix.k)
            if len(self._levels) >= _PLANS:
                self._levels.clear()  # a budget makes many shapes over a long life, and each is cheap to make again
            device = self.matrix.device
            self._levels[template] = [
                (
                    slice(level.start, level.stop),
                    torch.tensor([template.parents[n] for n in level], device=device),
                    torch.tensor([template.ranks[n] for n in level], device=device),
                )
                for level in template.levels
            ]
        return self._levels[template]
