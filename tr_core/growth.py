"""Where a tree that its drafter grows best-first is cut: where the next node no longer pays. No torch here.

A drafter that grows its own trees tells for each node, before the pass, the chance that it will be accepted. A step
over the n best nodes emits E(n) = 1 + Σ chances tokens on average and costs t(n) milliseconds (``CostCurve``); the
tree is cut where E(n) / t(n) is highest, and n = 0 is plain decoding. Chances that turn out too high or too low over
the run are corrected as a whole, so that an over-confident drafter cannot make a run slower for long.

    growth.begin()
    while growth.admits(chance of the best node left):
        take that node in
    keep the first growth.size nodes
"""

from __future__ import annotations

from tr_core.budget import MARGIN, MEMORY, SIZES, CostCurve
from tr_core.budget_state import GrowthState
from tr_core.trace import BudgetChoice

MOST = SIZES[-1]
# Growing a node takes the host's time too, even where the model's pass costs no more with it: share of a plain step.
_LEAST_SLOPE = 0.0005
# Expected tokens that the belief in the drafter's chances counts for, and how far it may be corrected.
_BELIEF = 8.0
_TRUST = (0.25, 1.25)


class Growth:
    """Chooses the size of each draft of one run.

    Args:
        curve: what a step costs.

    Attributes:
        size: nodes of the draft under way that pay.
    """

    def __init__(self, curve: CostCurve) -> None:
        self._accepted = self._expected = 0.0
        self.reprice(curve)
        self.begin()

    def reprice(self, curve: CostCurve) -> None:
        """Steps cost this from the next draft on."""
        self.curve = curve
        self._ms = [curve.at(n) for n in range(MOST + 1)]
        # What the cheapest node behind n others costs; none may follow the last.
        self._least = [float("inf")] * (MOST + 1)
        for n in reversed(range(MOST)):
            slope = max(_LEAST_SLOPE * self._ms[0], self._ms[n + 1] - self._ms[n])
            self._least[n] = min(slope, self._least[n + 1])

    @property
    def trust(self) -> float:
        """What the drafter's chances are multiplied by: accepted ÷ expected so far."""
        low, high = _TRUST
        return min(high, max(low, (self._accepted + _BELIEF) / (self._expected + _BELIEF)))

    def begin(self) -> None:
        """A new draft."""
        self._factor = self.trust
        self._sums = [1.0]
        self._plain_rate = self._best = 1.0 / self._ms[0]
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
            if rate >= MARGIN * self._plain_rate:
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

    def observe(self, expected: float, accepted: int) -> None:
        """A draft whose nodes were ``expected`` to be accepted, in sum, had ``accepted`` nodes on its path."""
        keep = 1 - 1 / MEMORY
        self._expected = self._expected * keep + expected
        self._accepted = self._accepted * keep + accepted

    def state(self) -> GrowthState:
        """What was learned, for a checkpoint between two steps."""
        return GrowthState(self.curve.nodes, self.curve.ms, self._accepted, self._expected)

    def restore(self, state: GrowthState) -> None:
        """Go on from ``state``; this growth was made with the state's curve.

        Raises:
            CheckpointError: no growth can have learned it.
        """
        state.check()
        self._accepted, self._expected = state.accepted, state.expected
