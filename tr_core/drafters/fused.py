"""Copies from the text and recycled rows in one tree (RASD: Quan et al., arXiv 2503.03434).

Taken from there: a tree of tokens copied from the text and a tree of a drafter with probabilities
become one, which holds shared beginnings once. Unlikely nodes are cut, then the whole is cut to the
budget.

Done differently: both trees are merged while they grow, node by node, the most likely first. This
equals merging and cutting both whole trees, and lets either continue below the other's nodes. A
token with chance a as a copy and b in the row begins with a + (1 − a) · b, as if both were
independent. They are not: the worth of such agreements, or disagreements, so far corrects it. The
row's other tokens share the rest.
"""

from __future__ import annotations

import torch

from tr_core.drafters.shared.best_first import Child
from tr_core.drafters.shared.calibration import Corrections
from tr_core.drafters.shared.copies_and_rows import COPY_CHANCES, CopiesAndRows, Cursor
from tr_core.drafters.token_recycling_dynamic import TokenRecyclingDynamic
from tr_core.trace import Source

# The row about a copied token: no row, token absent, token present, or token first.
_VERDICTS = 4


class Fused(CopiesAndRows):
    """One tree of copied and recycled tokens."""

    name = "fused"
    summary = "copies from the text and recycled rows, merged into one tree (Quan et al. 2025)"
    form = "fused-1"

    def __init__(self, matrix: TokenRecyclingDynamic, device: torch.device | str = "cpu") -> None:
        super().__init__(matrix, device)
        self._agreement = Corrections(_VERDICTS * len(COPY_CHANCES))

    def below(self, cursor: Cursor) -> list[Child]:
        copied, row = self.copies.below(cursor[0]), self.rows.below(*cursor[1:])
        if not copied:
            return row
        token, _, source = copied[0]
        raw, recycled, kind = _together(copied[0], row)
        chance = min(0.99, raw * self._agreement.factors[kind])
        if recycled:
            source = Source("fused", source.key, source.place)
        left = (1 - chance) / (1 - recycled) if recycled < 1 else 0.0
        merged = [(other, left * share, where) for other, share, where in row if other != token]
        merged.append((token, chance, source))
        merged.sort(key=lambda child: -child[1])
        return merged

    def judge(self, cursor: Cursor, choice: int) -> None:
        for child in self.copies.below(cursor[0]):
            raw, _, kind = _together(child, self.rows.below(*cursor[1:]))
            self._agreement.observe(kind, raw, child[0] == choice)
        super().judge(cursor, choice)

    def all_corrections(self) -> dict[str, Corrections]:
        return super().all_corrections() | {"agreement": self._agreement}


def _together(copied: Child, row: list[Child]) -> tuple[float, float, int]:
    """A copied token's chance as if copies and rows were independent, the row's own, its kind."""
    token, chance, source = copied
    ranks = [rank for rank, (other, _, _) in enumerate(row) if other == token]
    recycled = row[ranks[0]][1] if ranks else 0.0
    verdict = (3 if ranks[0] == 0 else 2) if ranks else (1 if row else 0)
    kind = _VERDICTS * (min(source.key, len(COPY_CHANCES)) - 1) + verdict
    return chance + (1 - chance) * recycled, recycled, kind
