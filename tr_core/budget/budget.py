"""What every budget offers: it gives each draft of one run as many nodes as pay on this machine.

template = budget.next(root)   # the shape of the draft, or the most nodes that it may grow to
…                              # draft, pass, verdict
budget.observe(outcome)        # learn from it
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tr_core.budget import constants as c
from tr_core.budget.cost_curve import Costs
from tr_core.trace import BudgetChoice
from tr_core.trees.tree import TreeTemplate

State = TypeVar("State")


@dataclass(frozen=True)
class StepOutcome:
    """What a step brought.

    Attributes:
        nodes: of its draft.
        path: (n,) accepted nodes, the root excluded.
        tokens: (n + 1,) the root and the tokens of the path.
        ranks: (n + 1,) place of the model's choice in the row of each of these, None where it was
            not in the row; the last may be missing if it is not known.
        rows: (token, first candidate) of the rows that the step wrote, in that order.
        root_seen: whether the row of the next root is written.
        expected: (nodes + 1,) chance of each node, the root's first; empty if its drafter has none.
        ms: what the step took; None if that is unknown or says nothing about its size.
        draft_ms: the part of it in which the drafter proposed.
    """

    nodes: int
    path: Sequence[int]
    tokens: Sequence[int]
    ranks: Sequence[int | None] = ()
    rows: Sequence[tuple[int, int]] = ()
    root_seen: bool = True
    expected: Sequence[float] = ()
    ms: float | None = None
    draft_ms: float = 0.0


class Budget(ABC, Generic[State]):
    """Sizes the drafts of one run.

    Args:
        costs: what a step costs.

    Attributes:
        curve: the costs as they were last weighed.
        root_seen: whether the row of the next root is written; set before the first step, and
            learned from each.
    """

    def __init__(self, costs: Costs) -> None:
        self._costs = costs
        self.curve = costs.curve()
        self.root_seen = True

    @abstractmethod
    def next(self, root: int) -> TreeTemplate:
        """The shape of the next draft, or the largest that it may grow to, below token ``root``."""

    @abstractmethod
    def choice(self) -> BudgetChoice:
        """Why the last draft has its size."""

    @abstractmethod
    def observe(self, outcome: StepOutcome) -> None:
        """Learn from the step that ``next`` was last asked about."""

    @abstractmethod
    def state(self) -> State:
        """All that was learned, for a checkpoint between two steps."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Continue from ``state``; this budget was made with the state's curve, which is fixed.

        Raises:
            CheckpointError, TemplateError: no such budget can have learned it.
        """

    def prompt_rows(self, new_tokens: int) -> int:
        """How many rows of the prompt may be computed for an output of so many tokens.

        A row costs less than a further node of a wide draft, which is all that is known of it: its
        forward pass is done anyway, its logits are not.
        """
        row = (self.curve.at(80) - self.curve.at(16)) / 64
        return int(min(c.MAX_ROWS, c.PROMPT_SHARE * new_tokens * self.curve.at(0) / max(row, 1e-9)))
