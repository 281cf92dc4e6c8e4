"""Where a tree that its drafter grows best-first is cut: where the next node no longer pays. No torch here.

A drafter that grows its own trees tells for each node, before the pass, the chance that it will be accepted. A step
over the n best nodes emits E(n) = 1 + Σ chances tokens on average and costs t(n) milliseconds (``CostCurve``); the
tree is cut where E(n) / t(n) is highest, and n = 0 is plain decoding. Chances that turn out too high or too low over
the run are corrected as a whole, so that an over-confident drafter cannot make a run slower for long; and a run that is
behind plain decoding must promise more (``Account``), so that it stays behind by little.

    growth.begin()
    while growth.admits(chance of the best node left):
        take that node in
    keep the first growth.size nodes
"""

from __future__ import annotations

from tr_core.account import Account
from tr_core.budget import MEMORY, SIZES, CostCurve, rows_that_pay
from tr_core.budget_state import GrowthState
from tr_core.trace import BudgetChoice

MOST = SIZES[-1]
# Growing a node takes the host's time too: milliseconds of one, until it is known, and what a measured one counts. Of
# fewer nodes than this nothing is told, since most of such a draft's time would be taken without them.
_NODE_MS = 0.015
_NEWEST = 0.1
_TELLING = 8
# At least this share of a plain step.
_LEAST_SLOPE = 0.0005
# Expected tokens that the belief in the drafter's chances counts for, what is believed of them before it has shown how
# right it is on this text, and how far it may be corrected.
_BELIEF = 4.0
_AT_FIRST = 0.6
_TRUST = (0.1, 1.25)


class Growth:
    """Chooses the size of each draft of one run.

    Args:
        curve: what a step costs.
        timed: whether somebody measures the host's own time, which then stands beside the curve; else the curve is all.

    Attributes:
        size: nodes of the draft under way that pay.
    """

    def __init__(self, curve: CostCurve, *, timed: bool = False) -> None:
        self._node_ms = _NODE_MS if timed else 0.0
        self._accepted = self._expected = 0.0
        self._account = Account()
        self.reprice(curve)
        self.begin()

    def reprice(self, curve: CostCurve) -> None:
        """Steps cost this from the next draft on."""
        self.curve = curve
        self._ms = [curve.at(n) + n * self._node_ms for n in range(MOST + 1)]
        # What the cheapest node behind n others costs; none may follow the last.
        self._least = [float("inf")] * (MOST + 1)
        for n in reversed(range(MOST)):
            slope = max(_LEAST_SLOPE * self._ms[0], self._ms[n + 1] - self._ms[n])
            self._least[n] = min(slope, self._least[n + 1])

    @property
    def trust(self) -> float:
        """What the drafter's chances are multiplied by: accepted ÷ expected so far."""
        low, high = _TRUST
        return min(high, max(low, (self._accepted + _AT_FIRST * _BELIEF) / (self._expected + _BELIEF)))

    def begin(self) -> None:
        """A new draft."""
        self._factor = self.trust
        self._sums = [1.0]
        self._best = 1.0 / self._ms[0]
        self._needed = self._account.margin * self._best
        self._asked = False
        self.size = 0

    def admits(self, chance: float) -> bool:
        """Whether a node with this chance, the best that is left, may pay or lead to one that does; asked once each."""
        self._asked, sums = True, self._sums
        chance *= self._factor
        if chance < self._best * self._least[len(sums) - 1]:
            return False
        total = sums[-1] + chance
        rate = total / self._ms[len(sums)]
        sums.append(total)
        if rate > self._best:
            self._best = rate
            if rate >= self._needed:
                self.size = len(sums) - 1
        return True

    def choice(self) -> BudgetChoice:
        """Why the draft has its size, for the trace."""
        grown = len(self._sums) - 1
        sizes = sorted({n for n in SIZES if n <= grown} | {self.size, grown})
        return BudgetChoice(
            chosen=self.size,
            reason="best" if self.size else "plain" if self._asked else "unseen",
            spine=0,
            sizes=tuple(sizes),
            expected=tuple(round(self._sums[n], 4) for n in sizes),
            ms=tuple(round(self._ms[n], 3) for n in sizes),
        )

    def prompt_rows(self, new_tokens: int) -> int:
        """How many rows of the prompt may be computed for an output of so many tokens; see ``Budget.prompt_rows``."""
        return rows_that_pay(self.curve, new_tokens)

    def spent(self, expected: float, nodes: int, accepted: int) -> None:
        """A step is over.

        Args:
            expected: chances of its draft's nodes, summed, as the drafter told them.
            nodes: how many these are.
            accepted: how many are on the path.
        """
        keep = 1 - 1 / MEMORY
        self._expected = self._expected * keep + expected
        self._accepted = self._accepted * keep + accepted
        self._account.enter(1.0 + expected, accepted + 1, self._ms[nodes] / self._ms[0])

    def worked(self, ms: float) -> None:
        """The host took so long to grow the draft at hand; heard of from the next ``reprice`` on."""
        grown = len(self._sums) - 1
        if grown >= _TELLING:
            self._node_ms += _NEWEST * (ms / grown - self._node_ms)

    def state(self) -> GrowthState:
        """What was learned, for a checkpoint between two steps."""
        return GrowthState(
            self.curve.nodes, self.curve.ms, self._accepted, self._expected, self._node_ms, self._account.state()
        )

    def restore(self, state: GrowthState) -> None:
        """Go on from ``state``; this growth was made with the state's curve.

        Raises:
            CheckpointError: no growth can have learned it.
        """
        state.check()
        self._accepted, self._expected, self._node_ms = state.accepted, state.expected, state.node_ms
        self._account.restore(state.account)
        self.reprice(self.curve)
