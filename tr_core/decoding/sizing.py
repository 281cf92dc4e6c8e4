"""How many nodes each draft of a run has: those of a tree that the settings name, or as a budget
chooses where the tree is ``auto``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from tr_core.budget.budget import Budget, StepOutcome
from tr_core.budget.constants import COPY_ACCEPTANCE
from tr_core.budget.cost_curve import CostCurve, Costs
from tr_core.budget.grown_tree_budget import GrownTreeBudget, GrownTreeState
from tr_core.budget.template_budget import TemplateBudget, TemplateState
from tr_core.decoding.readout import Readout
from tr_core.drafters.base import Drafter
from tr_core.errors import CheckpointError
from tr_core.settings import Settings
from tr_core.target import Draft
from tr_core.trace import BudgetChoice
from tr_core.trees import templates
from tr_core.trees.tree import MAX_K, DraftTree, TreeTemplate, Verdict


def is_auto(settings: Settings, entry: type[Drafter]) -> bool:
    """Whether a budget chooses sizes: no tree is named, and there is something to draft."""
    tree = settings.tree
    return entry.drafts and not isinstance(tree, TreeTemplate) and tree.strip() == "auto"


def fixed_template(settings: Settings, entry: type[Drafter]) -> TreeTemplate:
    """The tree that the settings name; a root alone for a drafter that drafts nothing.

    Raises:
        TemplateError: it is none, or does not fit k.
    """
    # Of a grown tree only the number of nodes counts.
    tree, k = settings.tree, MAX_K if entry.grows else settings.k
    if isinstance(tree, TreeTemplate):
        tree.check_k(k)
        return tree
    return templates.resolve(tree, k) if entry.drafts else templates.chain(0)


class Sizing:
    """The sizes of one run's drafts; it knows nothing yet but what steps cost here.

    Args:
        settings: of the run.
        entry: of its drafter.
        costs: what a step costs; None where the settings name a tree or nothing is drafted.
        clock: seconds; times the drafter.

    Raises:
        TemplateError: the settings' tree is none, or does not fit k.
    """

    def __init__(
        self,
        settings: Settings,
        entry: type[Drafter],
        costs: Costs | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._settings, self._entry, self._clock = settings, entry, clock
        self._draft_ms = 0.0
        self._budget: Budget[Any] | None = None
        self._growth: tuple[GrownTreeBudget, ...] = ()
        if costs is None:
            return
        if entry.grows:
            self._budget = growth = GrownTreeBudget(costs)
            self._growth = (growth,)
        elif entry.uses_tree:
            self._budget = TemplateBudget(costs, templates.rank_acceptance(settings.k))
        else:
            self._budget = TemplateBudget(costs, [COPY_ACCEPTANCE], least=2)

    @property
    def curve(self) -> CostCurve | None:
        """What a step costs here, as last weighed; None where sizes are fixed."""
        return self._budget.curve if self._budget else None

    @property
    def choice(self) -> BudgetChoice | None:
        """Why the last draft has its size; None where sizes are fixed, or grown without a trace."""
        if self._budget is None or (self._growth and not self._settings.trace):
            return None
        return self._budget.choice()

    @property
    def needs_rows(self) -> bool:
        """Whether ``observe`` is to learn which rows of the drafter's matrix are written."""
        return self._budget is not None and self._entry.has_matrix and not self._growth

    def positions_to_learn(self, prompt: Sequence[int]) -> Sequence[int]:
        """Positions of the prompt whose logits are worth computing, rising.

        Under a budget no more than pay.
        """
        if not (self._settings.prompt_rows and (self._entry.has_matrix or self._entry.learns)):
            return ()
        positions: Sequence[int] = range(len(prompt))
        if self._entry.last_wins:
            positions = sorted({token: n for n, token in enumerate(prompt)}.values())
        if self._budget is not None:
            rows = self._budget.prompt_rows(self._settings.max_new_tokens)
            positions = positions[max(0, len(positions) - rows) :]
        return positions

    def start(self, root_seen: bool) -> None:
        """The prompt was read; ``root_seen``: whether the row of its last token is written."""
        if self._budget is not None:
            self._budget.root_seen = root_seen

    def next(self, template: TreeTemplate, root: int) -> TreeTemplate:
        """The shape of the next draft, or the most nodes of it; ``template`` without a budget."""
        return self._budget.next(root) if self._budget is not None else template

    def propose(self, drafter: Drafter, context: Sequence[int], template: TreeTemplate) -> Draft:
        """The drafter's next draft, cut where a further node no longer pays."""
        began = self._clock()
        draft = drafter.propose(context, template, *self._growth)
        self._draft_ms = (self._clock() - began) * 1e3
        return draft

    def observe(
        self,
        tree: DraftTree,
        verdict: Verdict,
        host: Readout,
        draft: Draft | None,
        ms: float | None,
    ) -> None:
        """Learn from a step that is over.

        Args:
            tree, verdict, host: of the step.
            draft: as it was proposed; None where it was made in a graph.
            ms: what the step took; None if that is unknown or says nothing about its size.
        """
        if self._budget is None:
            return
        nodes = (0, *verdict.path)
        ranks: list[int | None]
        rows: Sequence[tuple[int, int]]
        if host.known is not None:
            ranks = [host.rank_of_choice(n) for n in nodes]
            rows, root_seen = host.written(), bool(host.known[nodes[-1]])
        else:
            # Only what was drafted is known. After the last node of a chain nothing was.
            ranks, rows, root_seen = [0] * len(verdict.path), (), True
            ranks += [None] if nodes[-1] < tree.template.nodes else []
        self._budget.observe(
            StepOutcome(
                nodes=tree.template.nodes,
                path=verdict.path,
                tokens=[tree.tokens[n] for n in nodes],
                ranks=ranks,
                rows=rows,
                root_seen=root_seen,
                expected=draft.expected if draft is not None else (),
                ms=ms,
                draft_ms=self._draft_ms,
            )
        )

    def state(self) -> TemplateState | GrownTreeState | None:
        """What the budget has learned, for a checkpoint between two steps."""
        return self._budget.state() if self._budget is not None else None

    def restore(self, state: TemplateState | GrownTreeState | None) -> None:
        """Continue from what a checkpoint says.

        Raises:
            CheckpointError, TemplateError: no such sizing can have learned it.
        """
        if type(state) is not type(self.state()):
            raise CheckpointError("This checkpoint is damaged: a budget goes with the tree “auto”.")
        if self._budget is not None:
            self._budget.restore(state)
