"""Token Recycling as published (Luo et al., arXiv 2408.08696): a fixed tree filled from rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tr_core.budget.grown_tree_budget import GrownTreeBudget
from tr_core.drafters.base import Drafter, RowsState, convert
from tr_core.drafters.candidate_matrix import CandidateMatrix, RowUpdates
from tr_core.target import Draft
from tr_core.trees.tree import TreeTemplate

FILLER = 0
_PLANS = 256


class TokenRecycling(Drafter):
    """Fills a template breadth-first from its nodes' rows; every scored node overwrites its row."""

    name = "token_recycling"
    summary = "a tree of recycled candidates of every token scored so far (Luo et al. 2025)"
    has_matrix = True
    uses_tree = True
    last_wins = True
    saves = True

    def __init__(self, matrix: CandidateMatrix) -> None:
        self.matrix = matrix
        self.k = matrix.k
        self._levels: dict[TreeTemplate, list[torch.Tensor]] = {}

    @classmethod
    def create(cls, vocab_size: int, k: int, device: torch.device) -> TokenRecycling:
        return cls(CandidateMatrix(vocab_size, k, device))

    @property
    def rows_seen(self) -> int:
        return self.matrix.rows_seen

    def save(self, path: str | Path, fingerprint: str) -> None:
        """See ``CandidateMatrix.save``."""
        self.matrix.save(path, fingerprint)

    @classmethod
    def load(
        cls, path: str | Path, fingerprint: str, vocab_size: int, device: torch.device
    ) -> TokenRecycling:
        """See ``CandidateMatrix.load``."""
        return cls(
            CandidateMatrix.load(
                path, fingerprint=fingerprint, vocab_size=vocab_size, device=device
            )
        )

    def propose(
        self, context: Sequence[int], template: TreeTemplate, growth: GrownTreeBudget | None = None
    ) -> Draft:
        rows = self.matrix.here
        if rows is None:
            root = torch.tensor(context[-1:], dtype=torch.int64, device=self.matrix.device)
            return Draft(template, *self.fill(root, self.plan(template)))
        levels = [np.array(context[-1:])]
        for index in self.plan(template):
            levels.append(rows[levels[-1]].ravel()[index.numpy()])
        tokens = np.concatenate(levels, dtype=np.int64)
        seen = tokens >= 0
        return Draft(
            template, torch.from_numpy(np.where(seen, tokens, FILLER)), torch.from_numpy(seen)
        )

    def fill(
        self, root: torch.Tensor, plan: list[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (N + 1,) int64 and seen (N + 1,) bool below ``root`` (1,), on the device."""
        levels = [root]
        for index in plan:
            # Below a row never written all is −1, and −1 is the index of a row of −1.
            levels.append(self.matrix.padded[levels[-1]].flatten()[index].long())
        tokens = torch.cat(levels)
        seen = tokens >= 0
        return torch.where(seen, tokens, FILLER), seen

    def fill_any(
        self,
        root: torch.Tensor,
        parents: torch.Tensor,
        ranks: torch.Tensor,
        real: torch.Tensor,
        depth: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``fill`` for a shape in tensors (n,), at most ``depth`` deep; fillers not ``real``."""
        tokens = torch.where(parents == torch.arange(len(parents), device=root.device), root, -1)
        for _ in range(depth):
            # After d rounds all nodes down to depth d are right. The root is its own parent.
            tokens = torch.cat((root, self.matrix.padded[tokens[parents[1:]], ranks[1:]].long()))
        seen = real & (tokens >= 0)
        return torch.where(seen, tokens, FILLER), seen

    def observe_prompt(self, tokens: torch.Tensor, candidates: torch.Tensor) -> None:
        self.matrix.overwrite(tokens, candidates)

    def observe(self, draft: Draft, candidates: torch.Tensor) -> RowUpdates:
        return self.matrix.overwrite(draft.tokens, candidates, draft.seen)

    def state(self) -> dict[str, Any]:
        return {"rows": self.matrix.to_rows()}

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        self.matrix.fill(convert(state, RowsState).rows)

    def plan(self, template: TreeTemplate) -> list[torch.Tensor]:
        """Per level, on the device: each node's index into the flattened rows of the last."""
        if template not in self._levels:
            template.check_k(self.matrix.k)
            if len(self._levels) >= _PLANS:
                # A budget makes many shapes over a long life; each is cheap to make again.
                self._levels.clear()
            above, plan = 0, []
            for level in template.levels:
                index = [
                    (template.parents[n] - above) * self.matrix.k + template.ranks[n] for n in level
                ]
                plan.append(torch.tensor(index, device=self.matrix.device))
                above = level.start
            self._levels[template] = plan
        return self._levels[template]
