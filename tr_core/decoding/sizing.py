"""How many nodes the drafts of a run have where the tree is ``auto``, whoever shapes them.

A ``Budget`` chooses templates for drafters that fill one; a ``Growth`` cuts the trees of those that
grow their own. Both weigh by the same costs, and both hear what each step brought.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tr_core.budget.cost_curve import CostCurve, LiveCurve
from tr_core.budget.grown_tree_budget import MOST, Growth
from tr_core.budget.state import BudgetState, GrowthState
from tr_core.budget.template_budget import Budget
from tr_core.decoding.readout import Readout
from tr_core.drafters.base import Drafter
from tr_core.errors import CheckpointError
from tr_core.settings import Settings
from tr_core.target import Draft
from tr_core.trace import BudgetChoice
from tr_core.trees import templates
from tr_core.trees.tree import MAX_K, DraftTree, TreeTemplate, Verdict

# Chance that a copied token is right, given that those before it were: what a look-up in the text
# believes at first.
_COPY_ACCEPTANCE = 0.5
# Steps after which a drafter that grows its own trees hears what steps cost by now.
_REPRICE = 12
_LARGEST = templates.chain(MOST)


def is_auto(settings: Settings, entry: type[Drafter]) -> bool:
    """Whether sizes are to be chosen: the settings name no tree, and there is something to draft."""
    return (
        entry.drafts
        and not isinstance(settings.tree, TreeTemplate)
        and settings.tree.strip() == "auto"
    )


def fixed_template(settings: Settings, entry: type[Drafter]) -> TreeTemplate:
    """The tree that the settings name; a root alone for a drafter that drafts nothing.

    Raises:
        TemplateError: it is none, or does not fit k.
    """
    tree, k = (
        settings.tree,
        MAX_K if entry.grows else settings.k,
    )  # of a grown tree only the number of nodes counts
    if isinstance(tree, TreeTemplate):
        tree.check_k(k)
        return tree
    return templates.resolve(tree, k) if entry.drafts else templates.chain(0)


class Sizing:
    """One run's sizes; it knows nothing yet but what steps cost here.

    Args:
        settings: of the run.
        entry: of its drafter.
        curve: what a step costs; None where the settings name a tree or nothing is drafted, and
            sizes are fixed.
        clock: seconds; times the growing of drafts where the curve is a live one.

    Attributes:
        budget, growth: at most one of them, by the drafter.
        root_known: whether the row of the next root is written, as far as a budget cares.
    """

    def __init__(
        self,
        settings: Settings,
        entry: type[Drafter],
        curve: CostCurve | LiveCurve | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._settings, self._entry = settings, entry
        self._clock = clock
        self._live = curve if isinstance(curve, LiveCurve) else None
        self._steps = 0
        self._host_ms = 0.0  # of the last draft that was grown; the curve is of all else
        self.root_known = True
        self.budget: Budget | None = None
        self.growth: Growth | None = None
        if curve is None:
            return
        if entry.grows:
            live = self._live
            self.growth = (
                Growth(curve)
                if live is None
                else Growth(live.curve(), timed=True, doubt=live.doubt)
            )
        elif entry.uses_tree:
            self.budget = Budget(curve, templates.rank_acceptance(settings.k))
        else:
            self.budget = Budget(curve, [_COPY_ACCEPTANCE], least=2)

    @property
    def curve(self) -> CostCurve | None:
        """What a step costs here, as believed when a size was last weighed; None where sizes are
        fixed.
        """
        weighing = self.budget or self.growth
        return weighing.curve if weighing else None

    def places_to_learn(self, prompt: Sequence[int]) -> Sequence[int]:
        """Places of the prompt whose logits are worth computing, rising: under a budget no more
        than pay.
        """
        if not (self._settings.prompt_rows and (self._entry.has_matrix or self._entry.learns)):
            return ()
        places: Sequence[int] = range(len(prompt))
        if self._entry.last_wins:
            places = sorted({token: place for place, token in enumerate(prompt)}.values())
        weighing = self.budget or self.growth
        if weighing is not None:
            places = places[
                max(0, len(places) - weighing.prompt_rows(self._settings.max_new_tokens)) :
            ]
        return places

    def next(self, template: TreeTemplate, root: int) -> tuple[TreeTemplate, BudgetChoice | None]:
        """The next step's template and why; the one given where no budget chooses."""
        return (
            self.budget.next(root, self.root_known) if self.budget is not None else (template, None)
        )

    def proposed(
        self,
        drafter: Drafter,
        context: Sequence[int],
        template: TreeTemplate,
        why: BudgetChoice | None,
    ) -> tuple[Draft, BudgetChoice | None]:
        """The drafter's next draft, and why it has its size for a trace that tells it."""
        if self.growth is None:
            return drafter.propose(context, template), why
        self.growth.begin()
        began = self._clock() if self._live is not None else 0.0
        draft = drafter.propose(context, _LARGEST, self.growth)
        if self._live is not None:
            self._host_ms = (self._clock() - began) * 1e3
            self.growth.worked(self._host_ms)
        return draft, self.growth.choice() if self._settings.trace else None

    def done(
        self,
        tree: DraftTree,
        verdict: Verdict,
        host: Readout,
        draft: Draft | None,
        ms: float | None,
    ) -> None:
        """A step is over: learn from it.

        Args:
            tree, verdict, host: of the step.
            draft: as it was proposed; None where it was made in a graph.
            ms: what the step took, or None if nobody knows, or it is no cost of its size.
        """
        self._steps += 1
        if self._live is not None and ms is not None:
            self._live.observe(tree.template.nodes, ms - self._host_ms)
        if self.budget is not None:
            self._inform(tree, verdict, host)
            self.budget.spent(tree.template.nodes, len(verdict.path) + 1)
        elif self.growth is not None:
            if draft is not None and draft.expected:
                self.growth.spent(draft.expected, verdict.path)
            if self._live is not None and self._steps % _REPRICE == 0:
                self.growth.reprice(self._live.curve())

    def restore(
        self, budget: BudgetState | None, growth: GrowthState | None, root_known: bool
    ) -> None:
        """Go on from what a checkpoint tells.

        Raises:
            CheckpointError, TemplateError: no such sizing can have learned it.
        """
        for mine, learned in ((self.budget, budget), (self.growth, growth)):
            if (mine is None) != (learned is None):
                raise CheckpointError(
                    "This checkpoint is damaged: a budget goes with the tree “auto”."
                )
            if mine is not None:
                mine.restore(learned)
        self.root_known = root_known

    def _inform(self, tree: DraftTree, verdict: Verdict, host: Readout) -> None:
        """Tell the budget where each choice on the path stood, and note whether the next root's row
        is known.
        """
        nodes = (0, *verdict.path)
        tokens = [tree.tokens[n] for n in nodes]
        if host.known is not None:
            ranks = [host.rank_of_choice(n) for n in nodes]
            self.budget.observe(tokens, ranks, host.written(), self.root_known)
            self.root_known = bool(host.known[nodes[-1]])
        else:
            # No rows: only what was drafted is known, and what stood behind the last node of a
            # chain is not.
            missed = [None] if nodes[-1] < tree.template.nodes else []
            self.budget.observe(tokens, [0] * len(verdict.path) + missed)
