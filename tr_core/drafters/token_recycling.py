"""Token Recycling as published (Luo et al., arXiv 2408.08696): a static tree filled from the
candidate matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tr_core.drafters.base import RowsState, RowUpdates, convert
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.target import Draft
from tr_core.trees.tree import TreeTemplate

FILLER = 0
_PLANS = 256


class TokenRecycling:
    """Fills a template breadth-first from the rows of its nodes, and overwrites the row of every
    scored node.
    """

    name = "token_recycling"

    def __init__(self, matrix: CandidateMatrix) -> None:
        self.matrix = matrix
        self._levels: dict[TreeTemplate, list[torch.Tensor]] = {}

    @property
    def rows_seen(self) -> int:
        return self.matrix.rows_seen

    @property
    def k(self) -> int:
        return self.matrix.k

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

    def begin(self) -> None:
        """The rows stay over prompts: that is the hot start."""

    def propose(self, context: Sequence[int], template: TreeTemplate) -> Draft:
        rows = self.matrix.here
        if rows is None:
            root = torch.tensor(context[-1:], dtype=torch.int64, device=self.matrix.device)
            return Draft(template, *self.fill(root, self.plan(template)))
        levels = [np.array(context[-1:])]
        for places in self.plan(template):
            levels.append(rows[levels[-1]].ravel()[places.numpy()])
        tokens = np.concatenate(levels, dtype=np.int64)
        seen = tokens >= 0
        return Draft(
            template, torch.from_numpy(np.where(seen, tokens, FILLER)), torch.from_numpy(seen)
        )

    def fill(
        self, root: torch.Tensor, plan: list[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (N + 1,) int64 and seen (N + 1,) bool of a draft below ``root`` (1,), all on the
        device.
        """
        levels = [root]
        for places in plan:
            # What stands below a row never written is −1, and so is all below that: −1 is the index
            # of a row of −1.
            levels.append(self.matrix.padded[levels[-1]].flatten()[places].long())
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
        """The same for a shape that comes as tensors (n,), no deeper than ``depth``; nodes not
        ``real`` are fillers.
        """
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
        """Per level, for each of its nodes, the place of its rank among the rows of the level
        above, on the device.
        """
        if template not in self._levels:
            template.check_k(self.matrix.k)
            if len(self._levels) >= _PLANS:
                # a budget makes many shapes over a long life, and each is cheap to make again
                self._levels.clear()
            above, plan = 0, []
            for level in template.levels:
                places = [
                    (template.parents[n] - above) * self.matrix.k + template.ranks[n] for n in level
                ]
                plan.append(torch.tensor(places, device=self.matrix.device))
                above = level.start
            self._levels[template] = plan
        return self._levels[template]
