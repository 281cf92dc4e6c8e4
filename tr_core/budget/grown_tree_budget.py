"""Where a tree that its drafter grows best-first is cut: where the next node no longer pays. No
torch here.

A drafter that grows its own trees tells for each node, before the pass, the chance that it will be
accepted. A step over the n best nodes emits E(n) = 1 + Σ chances tokens on average and costs t(n)
milliseconds (``CostCurve``). Of all ways to size the drafts of a run the fastest cuts each where
E(n) − rate · t(n) is highest, the rate being the tokens per millisecond of the run itself (the
marginal value theorem): a poor draft is cut sooner than its own E(n) / t(n) would have it, and a
good one later. n = 0 is plain decoding.

Of a size that is never drafted nothing is learned, so the one above the best is tried now and then,
if its cost is in doubt and it would pay at the least that it may cost (``probe``). Nor is anything
learned of plain decoding's, by which all are judged: if the best size's ratio to it is in doubt, a
step is plain now and then.

Chances are corrected by what came of them, by place in the order of growth: where long copies fail,
the far nodes are believed less and the near ones hardly. And the first nodes are worth something
even if rejected, as all write rows; less so in a run that drafting hardly makes faster, and nothing
where plain decoding would be as fast.

    growth.begin()
    while growth.admits(chance of the best node left):
        take that node in
    keep the first growth.size nodes
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import numpy as np

from tr_core.budget.cost_curve import KNOTS
from tr_core.budget.state import GrowthState
from tr_core.budget.template_budget import MEMORY, CostCurve, rows_that_pay
from tr_core.trace import BudgetChoice

MOST = KNOTS[-1]
# Growing a node takes the host's time too: milliseconds of one, until it is known, and what a
# measured one counts. Of fewer nodes than this nothing is told, since most of such a draft's time
# would be taken without them.
_NODE_MS = 0.015
_NEWEST = 0.1
_TELLING = 8
# At least this share of a plain step.
_LEAST_SLOPE = 0.0005
# Places up to each of these are corrected together. What is believed of the first ones' chances
# before they have shown how right they are on this text, of the next ones' for what is believed of
# those before them, expected tokens that these beliefs count for, and how far chances may be
# corrected.
GROUPS = KNOTS[1:]
_AT_FIRST = 0.6
_NEXT = 0.65
_BELIEF = 4.0
_TRUST = (0.05, 1.25)
# Tokens that the row written by a rejected node saves later on: for the first place, and halved
# every so many.
_TEACHES = 0.12
_HALVED = 6.0
# It saves that much in a run that is at least this share faster than plain decoding, and less in a
# slower one.
_PAYS = 0.65
# How many times as fast as plain decoding the run is believed to be at first, and tokens that this
# counts for.
_SPEED = 1.8
_SPEED_BELIEF = 16.0
# A cost is in doubt above this standard deviation of its logarithm; then so many steps lie between
# two that are spent on it. Both are above those of a budget, as a draft that grows has larger ones
# within reach.
_DOUBT = 0.25
_PROBE_EVERY = 32
# The same for a plain step: on a restless machine costs drift apart without any
# (docs/decisions.md).
_PLAIN_DOUBT = 0.12

_ABOVE = dict(pairwise(KNOTS)) | {MOST: MOST}
_GROUP = [bisect_left(GROUPS, place) for place in range(MOST + 1)]
_LATER = [_TEACHES * 2 ** (-place / _HALVED) for place in range(MOST + 1)]
_LATER_SUMS = [0.0, *accumulate(_LATER[1:])]
# Rows of ``Growth.terms``.
NUMBERS, SLOPES, GROUP, LATER, SUMS = range(5)


class Growth:
    """Chooses the size of each draft of one run.

    A pass over a number of nodes that has not been seen yet may take a plain step's time longer, as
    kernels are made for it; so drafts have the sizes that were measured, ``KNOTS``.

    Args:
        curve: what a step costs.
        timed: whether somebody measures the host's own time, which then stands beside the curve;
            else the curve is all.
        doubt: of a number of nodes, how far its cost may be off, as ``LiveCurve`` has it; None if
            costs are certain.
    """

    def __init__(
        self, curve: CostCurve, *, timed: bool = False, doubt: Callable[[int], float] | None = None
    ) -> None:
        self._node_ms = _NODE_MS if timed else 0.0
        self._doubt = doubt
        self._since = _PROBE_EVERY  # steps since the last probe
        self._drafted = _PROBE_EVERY // 2  # steps since the last plain one, or fewer
        self._accepted, self._expected = [0.0] * len(GROUPS), [0.0] * len(GROUPS)
        self._tokens = self._spent = 0.0
        self._terms, self._told = np.zeros((5, MOST + 1)), None
        self._terms[GROUP], self._terms[LATER] = _GROUP, _LATER
        self.reprice(curve)
        self.begin()

    def reprice(self, curve: CostCurve) -> None:
        """Steps cost this from the next draft on."""
        self.curve = curve
        self._ms = [curve.at(n) + n * self._node_ms for n in range(MOST + 1)]
        self._least = _cheapest(self._ms)
        doubts = [0.0 if self._doubt is None else self._doubt(n) for n in KNOTS]
        self._unsure = {n for n, doubt in zip(KNOTS, doubts, strict=True) if doubt > _PLAIN_DOUBT}
        self._hopes = max(doubts) > _DOUBT
        if self._hopes:
            spread = np.interp(range(MOST + 1), KNOTS, [d if d > _DOUBT else 0.0 for d in doubts])
            self._hoped = (np.array(self._ms) * np.exp(-spread)).tolist()
            self._least_hoped = _cheapest(self._hoped)

    @property
    def trust(self) -> tuple[float, ...]:
        """(groups,) what the chances at the places of each group are multiplied by: accepted ÷
        expected so far.
        """
        (low, high), believed, found = _TRUST, _AT_FIRST, []
        for accepted, expected in zip(self._accepted, self._expected, strict=True):
            trust = min(high, max(low, (accepted + believed * _BELIEF) / (expected + _BELIEF)))
            found.append(trust)
            believed = trust * _NEXT
        return tuple(found)

    @property
    def rate(self) -> float:
        """Tokens per millisecond of the run so far, plain decoding's at least."""
        plain = 1 / self._ms[0]
        return max(
            plain, (self._tokens + _SPEED_BELIEF) / (self._spent + _SPEED_BELIEF / (_SPEED * plain))
        )

    @property
    def size(self) -> int:
        """Nodes of the draft under way that pay, or may; 0 where a plain step is to tell its cost."""
        return 0 if self._plain else self._probe or self._chosen

    def begin(self) -> None:
        """A new draft."""
        self._trusted = self.trust
        self._rate = self.rate
        gain = self._rate * self._ms[0] - 1
        self._teaches = min(1.0, self._trusted[0] / _AT_FIRST) * min(1.0, gain / _PAYS)
        self._tries = self._hopes and self._since >= _PROBE_EVERY
        self._slopes = self._least_hoped if self._tries else self._least
        self._sums = [1.0]
        self._asked = self._plain = False
        self._chosen = self._probe = 0

    def terms(self) -> np.ndarray:
        """(5, MOST + 1) float64, what ``admits`` weighs by, for a drafter that does so itself in a
        compiled loop.

        It admits the nth node if its chance · trust + LATER[n] · teaches reaches rate · SLOPES[n],
        and leaves in SUMS[n] what the first n promise. NUMBERS begins with rate, teaches and the
        trust of each group, which GROUP tells for each place.
        """
        if self._told is not self._slopes:
            self._terms[SLOPES], self._told = self._slopes, self._slopes
        self._terms[NUMBERS, : 2 + len(GROUPS)] = (self._rate, self._teaches, *self._trusted)
        return self._terms

    def admits(self, chance: float) -> bool:
        """Whether a node with this chance, the best that is left, may pay or lead to one that does;
        asked once each.
        """
        n = len(self._sums)
        self._asked = True
        if n > MOST:
            return False
        chance *= self._trusted[_GROUP[n]]
        if chance + _LATER[n] * self._teaches < self._rate * self._slopes[n]:
            return False
        self._sums.append(self._sums[-1] + chance)
        return True

    def admitted(self, nodes: int, *, offered: bool) -> None:
        """So many passed by ``terms``; ``offered``: whether there was any to admit."""
        self._sums, self._asked = self._terms[SUMS, : nodes + 1].tolist(), offered

    def decide(self) -> int:
        """How many of the nodes that were admitted to keep."""
        self._chosen = self._probe = 0
        best = 1.0 - self._rate * self._ms[0]
        for n in GROUPS:
            if n >= len(self._sums):
                break
            worth = self._sums[n] + _LATER_SUMS[n] * self._teaches
            if worth - self._rate * self._ms[n] > best:
                best, self._chosen, self._probe = worth - self._rate * self._ms[n], n, 0
            elif (
                self._tries
                and n == _ABOVE[self._chosen]
                and worth - self._rate * self._hoped[n] > best
            ):
                self._probe = n
        self._plain = self._chosen in self._unsure and self._drafted >= _PROBE_EVERY
        return self.size

    def choice(self) -> BudgetChoice:
        """Why the draft has its size, for the trace."""
        sizes = [n for n in KNOTS if n < len(self._sums)]
        if self._probe or self._plain:
            reason = "probe"
        else:
            reason = "best" if self.size else "plain" if self._asked else "unseen"
        return BudgetChoice(
            chosen=self.size,
            reason=reason,
            spine=0,
            sizes=tuple(sizes),
            expected=tuple(round(self._sums[n], 4) for n in sizes),
            ms=tuple(round(self._ms[n], 3) for n in sizes),
            later=tuple(round(_LATER_SUMS[n] * self._teaches, 4) for n in sizes),
            rate=round(self._rate, 6),
        )

    def prompt_rows(self, new_tokens: int) -> int:
        """How many rows of the prompt may be computed for an output of so many tokens; see
        ``Budget.prompt_rows``.
        """
        return rows_that_pay(self.curve, new_tokens)

    def spent(self, expected: Sequence[float], path: Sequence[int]) -> None:
        """A step is over.

        Args:
            expected: (N + 1,) chance of each node of its draft, as the drafter told them, the
                root's first.
            path: the nodes that were accepted.
        """
        keep, nodes = 1 - 1 / MEMORY, len(expected) - 1
        self._since = 0 if self._probe and nodes else self._since + 1
        self._drafted = self._drafted + 1 if nodes else 0
        right = set(path)
        # The likeliest node was taken in first.
        order = sorted(range(1, nodes + 1), key=expected.__getitem__, reverse=True)
        for group, (start, end) in enumerate(pairwise((0, *GROUPS))):
            mine = order[start:end]
            self._accepted[group] = self._accepted[group] * keep + sum([n in right for n in mine])
            self._expected[group] = self._expected[group] * keep + sum([expected[n] for n in mine])
        self._tokens = self._tokens * keep + len(path) + 1
        self._spent = self._spent * keep + self._ms[nodes]

    def worked(self, ms: float) -> None:
        """The host took so long to grow the draft at hand; heard of from the next ``reprice`` on."""
        grown = len(self._sums) - 1
        if grown >= _TELLING:
            self._node_ms += _NEWEST * (ms / grown - self._node_ms)

    def state(self) -> GrowthState:
        """What was learned, for a checkpoint between two steps."""
        return GrowthState(
            self.curve.nodes, self.curve.ms, tuple(self._accepted), tuple(self._expected), self._tokens, self._spent,
            self._node_ms,
        )  # fmt: skip

    def restore(self, state: GrowthState) -> None:
        """Go on from ``state``; this growth was made with the state's curve.

        Raises:
            CheckpointError: no growth can have learned it.
        """
        state.check(len(GROUPS))
        self._accepted, self._expected = list(state.accepted), list(state.expected)
        self._tokens, self._spent, self._node_ms = state.tokens, state.spent, state.node_ms
        self.reprice(self.curve)


def _cheapest(ms: Sequence[float]) -> list[float]:
    """(MOST + 1,) what the cheapest node from the nth on costs, of those that ``ms`` prices; the
    first line is none.
    """
    steps = np.maximum(_LEAST_SLOPE * ms[0], np.diff(ms, prepend=ms[0]))
    return np.minimum.accumulate(steps[::-1])[::-1].tolist()
