"""How many nodes a draft may have: as many as pay on this machine, none if none do. No torch here.

A step over N draft nodes costs t(N) milliseconds (``CostCurve``, measured by ``cost.py``) and emits
E(N) = 1 + Σ P(node) tokens on average, where P(node) is the product of the chances on the way from
the root (``Acceptance``). ``Budget`` grows the tree of the most probable nodes and cuts it where
E(N) / t(N), tokens per millisecond, is highest; N = 0 is plain decoding.

The statistics need no exploring: at every node on the accepted path the row that was drafted from
and the model's choice are both known, so the rank of the choice is counted even where the tree had
no child for it, or no child at all. Costs do: of a size that is never drafted nothing is learned.
Where the ratio of two costs decides and is in doubt, a step is spent on it now and then
(``probe``). What a run may lose by trying is bounded by its ``Account``.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from tr_core.budget.cost_curve import CostCurve, LiveCurve
from tr_core.budget.state import AcceptanceState, BudgetState, PlanState
from tr_core.budget.trust import MARGIN, Account
from tr_core.trace import BudgetChoice, BudgetReason
from tr_core.trees.templates import chain
from tr_core.trees.tree import TreeTemplate

# Sizes to choose from: few, so that shapes come again and what is kept per shape is found.
SIZES = (0, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80)
# Steps that a choice holds once the statistics have settled; at first it holds as many as there
# were before it.
EVERY = 12
# Observations that the statistics remember, and how many the prior counts for.
MEMORY = 64
PRIOR_WEIGHT = 6.0
# A ratio of costs is in doubt above this standard deviation of its logarithm; then, that many steps
# apart, a step is spent on it.
DOUBT = 0.15
PROBE_EVERY = 8
# Rows of the prompt may cost this share of decoding the output plainly, at most so many.
PROMPT_SHARE = 0.1
MAX_ROWS = 100_000
# The spine is not followed further.
LONGEST_SPINE = 16
# Longer spines are right more often: below 4, below 16 and 16 rows have statistics of their own.
SPINES = (4, LONGEST_SPINE)

S = TypeVar("S")
T = TypeVar("T")


class Acceptance:
    """Chance of each rank of a kind of rows to be the model's choice, the newest observations
    counting most.

    Args:
        prior: (k,) chances believed before anything was seen.
    """

    def __init__(self, prior: Sequence[float]) -> None:
        self._prior = tuple(prior)
        self._hits = [0.0] * len(prior)
        self._tries = 0.0

    def observe(self, rank: int | None) -> None:
        """The choice stood at ``rank`` of a row, or nowhere in it (None)."""
        keep = 1 - 1 / MEMORY
        self._tries = self._tries * keep + 1
        self._hits = [h * keep for h in self._hits]
        if rank is not None:
            self._hits[rank] += 1

    def state(self) -> AcceptanceState:
        """What was observed so far."""
        return AcceptanceState(tuple(self._hits), self._tries)

    def restore(self, state: AcceptanceState) -> None:
        """Go on from ``state``, which has been checked."""
        self._hits, self._tries = list(state.hits), state.tries

    def chances(self) -> list[float]:
        """(k,) chances of the children of an accepted node."""
        weight = self._tries + PRIOR_WEIGHT
        return [
            (h + PRIOR_WEIGHT * p) / weight for h, p in zip(self._hits, self._prior, strict=True)
        ]


class Budget:
    """Chooses the template of each step of one run.

    A row that had the model's choice at rank 0 when it was last asked is *sure*: on the bundled
    model such rows are right again nine times of ten, others four times. How far the first
    candidates below the root lead through sure rows, its *spine*, is known before drafting, and
    each length of it has a shape of its own.

    Args:
        curve: what a step costs; a live one changes with what the steps take, which its owner is
            told.
        prior: (k,) chances of the ranks believed at first; one alone makes chains.
        least: the smallest size; above 0 for a drafter that can only learn from what it drafts.
    """

    def __init__(
        self, curve: CostCurve | LiveCurve, prior: Sequence[float], *, least: int = 0
    ) -> None:
        self._live = curve if isinstance(curve, LiveCurve) else None
        self.curve = curve.curve() if isinstance(curve, LiveCurve) else curve
        self._least = SIZES.index(least)
        # A sure row is a quarter as likely to be wrong at rank 0, and its other ranks are worth a
        # quarter.
        surer = [1 - (1 - prior[0]) / 4, *(p / 4 for p in prior[1:])]
        self._sure_rows = [Acceptance(surer) for _ in range(len(SPINES) + 1)]
        self._unsure_rows, self._unknown_rows = Acceptance(prior), Acceptance(prior)
        self._sure: dict[int, bool] = {}
        self._first: dict[int, int] = {}
        self._plans: dict[int, _Plan] = {}
        self._account = Account()
        self._steps = 0
        self._spine = 0
        self._asked = _UNSEEN
        self._since = [
            PROBE_EVERY
        ] * 2  # steps since the last plain one, and since the last one with a draft

    def next(self, root: int, seen: bool = True) -> tuple[TreeTemplate, BudgetChoice]:
        """The template of the next step and why; the root alone where its row was never seen, which
        drafts nothing.
        """
        self._spine, self._asked = 0, _UNSEEN
        if not seen:
            return chain(0), BudgetChoice(
                0, "unseen", 0, (0,), (1.0,), (round(self.curve.at(0), 3),)
            )
        token: int | None = root
        while self._spine < LONGEST_SPINE and token is not None and self._sure.get(token, False):
            self._spine += 1
            token = self._first.get(token)
        plan = self._plans.get(self._spine)
        if plan is None or self._steps >= plan.until:
            plan = self._plans[self._spine] = self._choose(
                plan.offer.template if plan else chain(0)
            )
        self._asked = plan.offer
        # What is in doubt is looked at now and then: plain steps while drafting, drafts while they
        # seem not to pay.
        if plan.probe is not None and self._since[plan.probe.template.nodes > 0] >= PROBE_EVERY:
            self._asked = plan.probe
        return self._asked.template, self._asked.choice

    def observe(
        self,
        tokens: Sequence[int],
        ranks: Sequence[int | None],
        rows: Iterable[tuple[int, int]] = (),
        seen: bool = True,
    ) -> None:
        """Learn from the step that ``next`` was asked about last.

        Args:
            tokens: (n,) the root and the tokens of the path.
            ranks: (n,) where in the row of each the model's choice stood, None for nowhere in it;
                the last may be missing if nobody knows.
            rows: (token, first candidate) of the rows that the step wrote, in that order.
            seen: whether the root's row was; if not, it says nothing about those that were.
        """
        self._steps += 1
        on_spine = True
        for depth, (token, rank) in enumerate(zip(tokens, ranks, strict=False)):
            if seen:
                self._kinds().below(depth, on_spine).observe(rank)
            on_spine = on_spine and rank == 0
            self._sure[token] = rank == 0
        self._first.update(rows)

    def spent(self, nodes: int, emitted: int) -> None:
        """The step that ``next`` was asked about last drafted so many nodes and emitted so many
        tokens.
        """
        asked = self._asked
        # A look-up that found less than it might have has promised less.
        promised = 1 + (asked.promised - 1) * min(1.0, nodes / max(1, asked.template.nodes))
        self._account.enter(promised, emitted, self.curve.at(nodes) / self.curve.at(0))
        self._since = [n + 1 for n in self._since]
        self._since[nodes > 0] = 0

    def prompt_rows(self, new_tokens: int) -> int:
        """How many rows of the prompt may be computed for an output of so many tokens."""
        return rows_that_pay(self.curve, new_tokens)

    def state(self) -> BudgetState:
        """All that was learned, for a checkpoint between two steps; costs as believed when a size
        was last weighed.
        """
        return BudgetState(
            nodes=self.curve.nodes,
            ms=self.curve.ms,
            steps=self._steps,
            kinds=tuple(kind.state() for kind in self._all_kinds()),
            sure=dict(self._sure),
            first=dict(self._first),
            plans={
                spine: PlanState(
                    plan.offer.template, plan.offer.choice, plan.offer.promised, plan.until
                )
                for spine, plan in self._plans.items()
            },
            account=self._account.state(),
        )

    def restore(self, state: BudgetState) -> None:
        """Go on from ``state``; this budget was made with the state's curve, which is fixed:
        nothing is probed.

        Raises:
            CheckpointError, TemplateError: no such budget can have learned it.
        """
        state.check(kinds=len(self._all_kinds()), ranks=len(self._unsure_rows.chances()))
        for kind, learned in zip(self._all_kinds(), state.kinds, strict=True):
            kind.restore(learned)
        self._steps, self._sure, self._first = state.steps, dict(state.sure), dict(state.first)
        self._plans = {
            spine: _Plan(_Offer(plan.template, plan.choice, plan.promised), None, plan.until)
            for spine, plan in state.plans.items()
        }
        self._account.restore(state.account)

    def _all_kinds(self) -> tuple[Acceptance, ...]:
        return (*self._sure_rows, self._unsure_rows, self._unknown_rows)

    def _kinds(self) -> _Places[Acceptance]:
        """The statistics that hold at each place of a tree with the spine at hand."""
        sure = self._sure_rows[bisect_right(SPINES, self._spine)]
        return _Places(self._spine, sure, self._unsure_rows, self._unknown_rows)

    def _choose(self, in_use: TreeTemplate) -> _Plan:
        """The best shape for a spine of the length at hand, or the one in use if that is nearly as
        good.
        """
        if self._live is not None:
            self.curve = self._live.curve()
        curve, trust = self.curve, self._account.trust
        chances = self._kinds().map(Acceptance.chances)
        sizes, paths, total, expected, rates = [0], [], 1.0, [1.0], [1 / curve.at(0)]
        growth = _grow(chances)
        for size in SIZES[1:]:
            while len(paths) < size:
                chance, path = next(growth)
                paths.append(path)
                total += trust * chance
            sizes.append(size)
            expected.append(total)
            rates.append(total / curve.at(size))
            if trust * chance < max(rates) * curve.least_slope(size) and len(sizes) > self._least:
                break  # no later node can pay for itself
        told, ms = tuple(round(e, 4) for e in expected), tuple(round(curve.at(n), 3) for n in sizes)

        def offer(place: int, reason: BudgetReason) -> _Offer:
            template, promised = (
                _shape(tuple(paths[: sizes[place]])),
                1 + (expected[place] - 1) / trust,
            )
            if reason == "kept":
                template, promised = in_use, promised_in_use
            return _Offer(
                template,
                BudgetChoice(template.nodes, reason, self._spine, tuple(sizes), told, ms),
                promised,
            )

        # The smallest of those that promise most.
        best, reason = max(range(self._least, len(sizes)), key=rates.__getitem__), "best"
        promised_in_use = _expected(in_use, chances)
        rate_in_use = (1 + trust * (promised_in_use - 1)) / curve.at(in_use.nodes)
        needed = self._account.margin * rates[0]
        if rates[best] < needed:
            best, reason = self._least, "plain"
        elif in_use.nodes and rates[best] < MARGIN * rate_in_use:
            reason = "kept"
        chosen, probe = offer(best, reason), None
        if (
            self._live is not None
            and chosen.template.nodes
            and self._live.doubt(chosen.template.nodes) > DOUBT
        ):
            probe = offer(0, "probe")
        elif self._live is not None and reason == "plain":
            doubts = [self._live.doubt(n) for n in sizes]
            hope = max(range(len(sizes)), key=lambda p: rates[p] * math.exp(doubts[p]))
            if doubts[hope] > DOUBT and rates[hope] * math.exp(doubts[hope]) >= needed:
                probe = offer(hope, "probe")
        return _Plan(chosen, probe, self._steps + min(EVERY, max(1, self._steps)))


def rows_that_pay(curve: CostCurve, new_tokens: int) -> int:
    """How many rows of the prompt may be computed for an output of so many tokens.

    A row costs less than a further node of a wide draft, which is all that is known of it: its
    forward pass is done anyway, its logits are not.
    """
    row = (curve.at(80) - curve.at(16)) / 64
    return int(min(MAX_ROWS, PROMPT_SHARE * new_tokens * curve.at(0) / max(row, 1e-9)))


@dataclass(frozen=True)
class _Offer:
    """A shape, why it was chosen, and the tokens that it promises by chances taken as they are."""

    template: TreeTemplate
    choice: BudgetChoice
    promised: float


# What stands below a root whose row was never seen.
_UNSEEN = _Offer(chain(0), BudgetChoice(0, "unseen", 0, (0,), (1.0,), (0.0,)), 1.0)


@dataclass(frozen=True)
class _Plan:
    """What is done while nothing new is known, what is tried now and then, and when to think again
    (a step).
    """

    offer: _Offer
    probe: _Offer | None
    until: int


@dataclass(frozen=True)
class _Places(Generic[T]):
    """Something of the row at every place in a tree: such as its chances, given that the place
    itself is accepted.

    Attributes:
        spine: its length.
        sure: of the rows on it. unsure: of the row at its end. unknown: of all others.
    """

    spine: int
    sure: T
    unsure: T
    unknown: T

    def map(self, function: Callable[[T], S]) -> _Places[S]:
        return _Places(
            self.spine, function(self.sure), function(self.unsure), function(self.unknown)
        )

    def below(self, depth: int, on_spine: bool) -> T:
        """Of a place at ``depth``; ``on_spine`` if only ranks 0 lead there."""
        if not on_spine or depth > self.spine:
            return self.unknown
        return self.sure if depth < self.spine else self.unsure


def _grow(chances: _Places[list[float]]) -> Iterator[tuple[float, tuple[int, ...]]]:
    """The places of a tree, most probable first: (chance, ranks on the way from the root). Endless."""
    order = {
        id(row): sorted(range(len(row)), key=lambda r, row=row: -row[r])
        for row in (chances.sure, chances.unsure, chances.unknown)
    }
    # (−chance, path, its parent's chance, its place among its siblings, their chances)
    row = chances.below(0, True)
    first = order[id(row)][0]
    heap = [(-row[first], (first,), 1.0, 0, row)]
    while True:
        negative, path, above, place, row = heapq.heappop(heap)
        yield -negative, path
        ranked = order[id(row)]
        if place + 1 < len(ranked):
            rank = ranked[place + 1]
            heapq.heappush(heap, (-above * row[rank], (*path[:-1], rank), above, place + 1, row))
        row = chances.below(len(path), not any(path))
        rank = order[id(row)][0]
        heapq.heappush(heap, (negative * row[rank], (*path, rank), -negative, 0, row))


def _expected(template: TreeTemplate, chances: _Places[list[float]]) -> float:
    """Tokens a step emits on average with this shape."""
    reached, on_spine = [1.0], [True]
    for node in range(1, template.nodes + 1):
        parent, rank = template.parents[node], template.ranks[node]
        reached.append(
            reached[parent] * chances.below(template.depths[parent], on_spine[parent])[rank]
        )
        on_spine.append(on_spine[parent] and rank == 0)
    return sum(reached)


@lru_cache(maxsize=256)
def _shape(paths: tuple[tuple[int, ...], ...]) -> TreeTemplate:
    return TreeTemplate.from_paths(f"auto-{len(paths)}", paths) if paths else chain(0)
