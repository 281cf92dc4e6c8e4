"""Cuts the tree that a drafter grows best-first where the next node no longer pays. No torch here.

Such a drafter gives for each node, before the pass, the chance that it will be accepted. A step
over the n best nodes emits E(n) = 1 + Σ chances tokens on average and costs t(n) milliseconds. A
run is fastest if each draft is cut where E(n) − rate · t(n) is highest, the rate being the tokens
per millisecond of the run itself (the marginal value theorem). So a poor draft is cut sooner than
its own E(n) / t(n) would have it, and a good one later. n = 0 is plain decoding.

Nothing is learned of a size that is never drafted. So the one above the best is tried now and then,
if its cost is in doubt and it would pay at the least that it may cost (``probe``). Nor is anything
learned of plain decoding, by which all sizes are judged: if the best size's ratio to it is in
doubt, a step is plain now and then.

Chances are corrected by what came of them, by place in the order of growth: where long copies fail,
far nodes are believed less and near ones hardly. The first nodes are worth something even if they
are rejected, since all nodes write rows: less in a run that drafting hardly makes faster, and
nothing where plain decoding would be as fast.

    budget.next(root)
    while budget.admits(chance of the best node left):
        take that node in
    keep the first budget.decide() nodes
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate, pairwise
from typing import Annotated

import msgspec
import numpy as np

from tr_core.budget import constants as c
from tr_core.budget.budget import Budget, StepOutcome
from tr_core.budget.constants import KNOTS
from tr_core.budget.cost_curve import Amount, CostCurve, Costs, LiveCurve
from tr_core.trace import BudgetChoice, BudgetReason
from tr_core.trees.templates import chain
from tr_core.trees.tree import TreeTemplate

MOST = KNOTS[-1]
# Places up to each of these, in the order of growth, are corrected together.
GROUPS = KNOTS[1:]
# Rows of ``terms``.
TRUST, WORTH, PRICE, SUMS = range(4)

_GROUP = np.array([bisect_left(GROUPS, place) for place in range(MOST + 1)])
_ROW_WORTH = np.array(
    [c.ROW_WORTH * 2 ** (-place / c.ROW_WORTH_HALVES) for place in range(MOST + 1)]
)
# Of the first n nodes.
_ROW_WORTHS = [0.0, *accumulate(_ROW_WORTH[1:].tolist())]
_ABOVE = dict(pairwise(KNOTS)) | {MOST: MOST}
_PerGroup = Annotated[list[Amount], msgspec.Meta(min_length=len(GROUPS), max_length=len(GROUPS))]


class GrownTreeState(msgspec.Struct, tag="grown", forbid_unknown_fields=True):
    """What a ``GrownTreeBudget`` has learned; the old fades.

    Attributes:
        curve: what steps cost, as last weighed; a run that continues elsewhere keeps to it.
        node_ms: the host's time for a node.
        accepted, expected: (groups,) nodes accepted, and those expected to be, by place in the
            order of growth.
        tokens, spent: tokens emitted, and milliseconds that they took by the curve.
    """

    curve: CostCurve
    node_ms: Amount
    accepted: _PerGroup = msgspec.field(default_factory=lambda: [0.0] * len(GROUPS))
    expected: _PerGroup = msgspec.field(default_factory=lambda: [0.0] * len(GROUPS))
    tokens: Amount = 0.0
    spent: Amount = 0.0


class GrownTreeBudget(Budget[GrownTreeState]):
    """Chooses the size of each draft of one run.

    A pass over a number of nodes that is new may take a plain step's time longer, as kernels are
    made for it. So drafts have the sizes that were measured, ``KNOTS``.

    Args:
        costs: what a step costs. The host's time for a node is learned, and stands beside them,
            where they are learned too; fixed ones are all.
    """

    def __init__(self, costs: Costs) -> None:
        super().__init__(costs)
        self._timed = isinstance(costs, LiveCurve)
        self._learned = GrownTreeState(self.curve, c.NODE_MS if self._timed else 0.0)
        self._steps = 0
        self._since = c.GROWN_PROBE_EVERY  # steps since the last probe
        self._drafted = c.GROWN_PROBE_EVERY // 2  # steps since the last plain one, or fewer
        # (4, MOST + 1) float64 what nodes are admitted by, by place; see ``admits``. A compiled
        # loop does the same.
        self.terms = np.zeros((4, MOST + 1))
        self.reprice()
        self.next(-1)

    @property
    def trust(self) -> tuple[float, ...]:
        """(groups,) what chances at the places of each group are multiplied by."""
        (low, high), believed, trusts = c.TRUST_LIMITS, c.FIRST_TRUST, []
        for accepted, expected in zip(self._learned.accepted, self._learned.expected, strict=True):
            trust = (accepted + believed * c.TRUST_BELIEF) / (expected + c.TRUST_BELIEF)
            trusts.append(min(high, max(low, trust)))
            believed = trusts[-1] * c.NEXT_TRUST
        return tuple(trusts)

    @property
    def rate(self) -> float:
        """Tokens per millisecond of the run so far, plain decoding's at least."""
        plain = 1 / self._ms[0]
        believed_ms = c.SPEED_BELIEF / (c.FIRST_SPEED * plain)
        return max(
            plain, (self._learned.tokens + c.SPEED_BELIEF) / (self._learned.spent + believed_ms)
        )

    def next(self, root: int) -> TreeTemplate:
        """See ``Budget``: the largest tree, which ``decide`` cuts."""
        self._rate, trust = self.rate, self.trust
        gain = self._rate * self._ms[0] - 1
        self._worth = min(1.0, trust[0] / c.FIRST_TRUST) * min(1.0, gain / c.FULL_WORTH_GAIN)
        hoped = self._least_hoped if self._since >= c.GROWN_PROBE_EVERY else None
        self._tries = hoped is not None
        slopes = self._least if hoped is None else hoped
        self.terms[TRUST] = np.array(trust)[_GROUP]
        self.terms[WORTH] = _ROW_WORTH * self._worth
        self.terms[PRICE] = slopes * self._rate
        self.terms[SUMS, 0] = 1.0
        self._admitted = self._chosen = self._probe = 0
        self._offered = self._plain = False
        return _LARGEST

    def admits(self, chance: float) -> bool:
        """Whether a node with this chance, the best that is left, may pay or lead to one that does.

        It does if its chance · TRUST + WORTH reaches PRICE at its place; SUMS takes the tokens that
        the nodes so far promise. To be asked once for each node.
        """
        place = self._admitted + 1
        self._offered = True
        if place > MOST:
            return False
        chance *= self.terms[TRUST, place]
        if chance + self.terms[WORTH, place] < self.terms[PRICE, place]:
            return False
        self.terms[SUMS, place] = self.terms[SUMS, place - 1] + chance
        self._admitted = place
        return True

    def admitted(self, nodes: int, *, offered: bool) -> None:
        """A compiled loop admitted so many nodes; ``offered``: whether there was any to admit."""
        self._admitted, self._offered = nodes, offered

    @property
    def size(self) -> int:
        """Nodes of the draft that pay, or may; 0 where a plain step is to show its cost."""
        return 0 if self._plain else self._probe or self._chosen

    def decide(self) -> int:
        """How many of the nodes that were admitted to keep."""
        self._chosen = self._probe = 0
        best = 1.0 - self._rate * self._ms[0]
        for n in GROUPS:
            if n > self._admitted:
                break
            tokens = float(self.terms[SUMS, n]) + _ROW_WORTHS[n] * self._worth
            hoped = self._tries and n == _ABOVE[self._chosen]
            if tokens - self._rate * self._ms[n] > best:
                best, self._chosen, self._probe = tokens - self._rate * self._ms[n], n, 0
            elif hoped and tokens - self._rate * self._hoped[n] > best:
                self._probe = n
        self._plain = self._chosen in self._unsure and self._drafted >= c.GROWN_PROBE_EVERY
        return self.size

    def choice(self) -> BudgetChoice:
        """See ``Budget``."""
        sizes = [n for n in KNOTS if n <= self._admitted]
        reason: BudgetReason
        if self._probe or self._plain:
            reason = "probe"
        else:
            reason = "best" if self.size else "plain" if self._offered else "unseen"
        return BudgetChoice(
            chosen=self.size,
            reason=reason,
            spine=0,
            sizes=tuple(sizes),
            expected=tuple(round(float(self.terms[SUMS, n]), 4) for n in sizes),
            ms=tuple(round(self._ms[n], 3) for n in sizes),
            later=tuple(round(_ROW_WORTHS[n] * self._worth, 4) for n in sizes),
            rate=round(self._rate, 6),
        )

    def observe(self, outcome: StepOutcome) -> None:
        """See ``Budget``."""
        learned, keep = self._learned, 1 - 1 / c.MEMORY
        nodes, expected = outcome.nodes, outcome.expected
        if self._timed and outcome.ms is not None:
            self._costs.observe(nodes, outcome.ms - outcome.draft_ms)
        # Of fewer nodes the host's time says nothing: most of it would be spent without them.
        if self._timed and self._admitted >= c.NODE_MS_LEAST:
            node_ms = outcome.draft_ms / self._admitted
            learned.node_ms += c.NODE_MS_RATE * (node_ms - learned.node_ms)
        self._since = 0 if self._probe and nodes else self._since + 1
        self._drafted = self._drafted + 1 if nodes else 0
        right = set(outcome.path)
        # The likeliest node was taken in first.
        order = sorted(range(1, nodes + 1), key=expected.__getitem__, reverse=True)
        for group, (start, end) in enumerate(pairwise((0, *GROUPS))):
            mine = order[start:end]
            hits, hoped = sum([n in right for n in mine]), sum([expected[n] for n in mine])
            learned.accepted[group] = learned.accepted[group] * keep + hits
            learned.expected[group] = learned.expected[group] * keep + hoped
        learned.tokens = learned.tokens * keep + len(right) + 1
        learned.spent = learned.spent * keep + self._ms[nodes]
        self._steps += 1
        if self._steps % c.EVERY == 0:
            self.reprice()

    def state(self) -> GrownTreeState:
        """See ``Budget``."""
        learned = self._learned
        return msgspec.structs.replace(
            learned, curve=self.curve, accepted=learned.accepted.copy(),
            expected=learned.expected.copy(),
        )  # fmt: skip

    def restore(self, state: GrownTreeState) -> None:
        """See ``Budget``."""
        self._learned = state
        self._learned = self.state()
        self.reprice()

    def reprice(self) -> None:
        """Weigh by what steps cost now, from the next draft on."""
        self.curve = self._costs.curve()
        ms = np.array([self.curve.at(n) + n * self._learned.node_ms for n in range(MOST + 1)])
        self._ms, self._least = ms.tolist(), _cheapest(ms)
        doubts = [self._costs.doubt(n) for n in KNOTS]
        self._unsure = {n for n, doubt in zip(KNOTS, doubts, strict=True) if doubt > c.PLAIN_DOUBT}
        self._least_hoped: np.ndarray | None = None
        if max(doubts) > c.GROWN_DOUBT:
            spread = np.interp(
                range(MOST + 1), KNOTS, [d if d > c.GROWN_DOUBT else 0.0 for d in doubts]
            )
            hoped = ms * np.exp(-spread)
            self._hoped, self._least_hoped = hoped.tolist(), _cheapest(hoped)


def _cheapest(ms: np.ndarray) -> np.ndarray:
    """(MOST + 1,) what the cheapest node from the nth on costs, by the price ``ms`` of n nodes."""
    steps = np.maximum(c.LEAST_SLOPE * ms[0], np.diff(ms, prepend=ms[0]))
    return np.minimum.accumulate(steps[::-1])[::-1]


_LARGEST = chain(MOST)
