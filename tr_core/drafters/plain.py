"""No drafting: the root alone, one token a pass. Plain decoding, the baseline of comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from tr_core.budget.grown_tree_budget import GrownTreeBudget
from tr_core.drafters.base import HostDrafter
from tr_core.target import Draft
from tr_core.trees.tree import TreeTemplate


class Plain(HostDrafter):
    """Drafts nothing, learns nothing."""

    name = "none"
    summary = "plain decoding: one token per pass"
    drafts = False

    def propose(
        self, context: Sequence[int], template: TreeTemplate, growth: GrownTreeBudget | None = None
    ) -> Draft:
        return self.chain(context[-1], [])
