"""What a budget has learned, as plain data that may travel through other hands. No torch here."""

from __future__ import annotations

import math

import msgspec

from tr_core.errors import CheckpointError
from tr_core.trace import BudgetChoice
from tr_core.trees.tree import TreeTemplate

MOST_SIZES = 64
MOST = (
    1e6  # of a count or of milliseconds: far above what occurs, and far below where floats overflow
)


class AcceptanceState(msgspec.Struct, frozen=True):
    """Statistics of one kind of rows: (k,) weighted hits of each rank, and weighted tries."""

    hits: tuple[float, ...]
    tries: float


class AccountState(msgspec.Struct, frozen=True):
    """See ``Account``: tokens promised and kept, and plain steps that the run is behind plain
    decoding.
    """

    promised: float
    kept: float
    debt: float


class PlanState(msgspec.Struct, frozen=True):
    """A shape, why it was chosen, the tokens it promised, and the number of steps after which to
    choose again.
    """

    template: TreeTemplate
    choice: BudgetChoice
    promised: float
    until: int


class BudgetState(msgspec.Struct, frozen=True):
    """See ``Budget``, whose fields these are.

    Attributes:
        nodes, ms: what steps cost, as believed then; a run that goes on elsewhere keeps to it.
        steps: observed so far.
        kinds: statistics of each kind of rows.
        sure: token → whether its row was right at rank 0 when last asked. first: token → its best
            candidate.
        plans: shape in use, by the length of the spine.
        account: what drafts promised, kept and cost.
    """

    nodes: tuple[int, ...]
    ms: tuple[float, ...]
    steps: int
    kinds: tuple[AcceptanceState, ...]
    sure: dict[int, bool]
    first: dict[int, int]
    plans: dict[int, PlanState]
    account: AccountState

    def check(self, *, kinds: int, ranks: int) -> None:
        """Refuse what no budget with ``kinds`` statistics over ``ranks`` ranks can have learned.

        Raises:
            CheckpointError, TemplateError: it does not fit.
        """
        numbers = [*self.ms, *(x for kind in self.kinds for x in (*kind.hits, kind.tries))]
        numbers += [self.account.promised, self.account.kept, abs(self.account.debt)]
        numbers += [plan.promised for plan in self.plans.values()]
        whole = [self.steps, *self.nodes, *(p.until for p in self.plans.values())]
        if (
            len(self.kinds) != kinds
            or any(len(kind.hits) != ranks for kind in self.kinds)
            or not all(math.isfinite(x) and 0 <= x <= MOST for x in numbers)
            or not all(0 <= n <= MOST for n in whole)
        ):
            raise CheckpointError(
                "The budget's part of the checkpoint is damaged: its numbers do not fit."
            )
        for plan in self.plans.values():
            plan.template.check_k(ranks)
            if len(plan.choice.sizes) > MOST_SIZES or len(plan.choice.expected) != len(
                plan.choice.sizes
            ):
                raise CheckpointError(
                    "The budget's part of the checkpoint is damaged: a choice has no sizes."
                )


class GrowthState(msgspec.Struct, frozen=True):
    """See ``Growth``.

    Attributes:
        nodes, ms: what steps cost, as believed then.
        accepted, expected: nodes accepted of those expected, by group of places in the order of
            growth.
        tokens, spent: tokens emitted, and milliseconds that they took by the curve; the old ones
            faded.
        node_ms: the host's time for a node.
    """

    nodes: tuple[int, ...]
    ms: tuple[float, ...]
    accepted: tuple[float, ...]
    expected: tuple[float, ...]
    tokens: float
    spent: float
    node_ms: float

    def check(self, groups: int) -> None:
        """Refuse what no growth with so many groups can have learned.

        Raises:
            CheckpointError: it does not fit.
        """
        numbers = [
            *self.ms,
            *self.nodes,
            *self.accepted,
            *self.expected,
            self.tokens,
            self.spent,
            self.node_ms,
        ]
        fits = len(self.accepted) == len(self.expected) == groups
        if not fits or not all(math.isfinite(x) and 0 <= x <= MOST for x in numbers):
            raise CheckpointError(
                "The budget's part of the checkpoint is damaged: its numbers do not fit."
            )
