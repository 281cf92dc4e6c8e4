"""Chooses a template for each step: as many nodes as pay on this machine, none if none do.

A step over N draft nodes costs t(N) milliseconds and emits E(N) = 1 + Σ P(node) tokens on average,
where P(node) is the product of the chances on the way from the root. ``TemplateBudget`` grows the
tree of the most probable nodes and cuts it where E(N) / t(N), tokens per millisecond, is highest;
N = 0 is plain decoding.

The statistics need no exploring. At every node of the accepted path both the row that was drafted
from and the model's choice are known, so the rank of the choice counts even where the tree had no
child for it. Costs do: nothing is learned of a size that is never drafted. Where the ratio of two
costs decides and is in doubt, a step is spent on it now and then (``probe``). ``Promises`` bounds
what a run may lose by trying. No torch here.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import Annotated

import msgspec

from tr_core.budget import constants as c
from tr_core.budget.budget import Budget, StepOutcome
from tr_core.budget.cost_curve import Amount, CostCurve, Costs, Count
from tr_core.errors import CheckpointError
from tr_core.trace import BudgetChoice, BudgetReason
from tr_core.trees.best_first import Path, best_first
from tr_core.trees.templates import chain
from tr_core.trees.tree import TreeTemplate

# Kinds of rows: sure ones, by the length of their spine; the one at its end; all others.
_END_OF_SPINE = len(c.SPINES) + 1
_OTHERS = _END_OF_SPINE + 1


class Acceptance(msgspec.Struct, forbid_unknown_fields=True):
    """How often each rank of a kind of rows was the model's choice, the newest counting most.

    Attributes:
        hits: (k,) weighted hits of each rank.
        tries: weighted tries.
    """

    hits: list[Amount]
    tries: Amount = 0.0

    def observe(self, rank: int | None) -> None:
        """The choice stood at ``rank`` of a row, or nowhere in it (None)."""
        keep = 1 - 1 / c.MEMORY
        self.tries = self.tries * keep + 1
        self.hits = [h * keep for h in self.hits]
        if rank is not None:
            self.hits[rank] += 1

    def chances(self, prior: Sequence[float]) -> list[float]:
        """(k,) chances of the children of an accepted node; ``prior``: (k,) the first beliefs."""
        weight = self.tries + c.PRIOR_WEIGHT
        return [(h + c.PRIOR_WEIGHT * p) / weight for h, p in zip(self.hits, prior, strict=True)]


class Promises(msgspec.Struct, forbid_unknown_fields=True):
    """Tokens that drafts promised and those that came, and how far the run is behind.

    A sum of chances is no better than the chances: on a text unlike those before, all are wrong to
    the same side. So the next promise is multiplied by the share that was kept, and a run that is
    behind plain decoding must promise more than one that is ahead.

    Attributes:
        made, kept: tokens, the old ones faded.
        debt: plain steps that the run is behind; below 0 it is ahead.
    """

    made: Amount = 0.0
    kept: Amount = 0.0
    debt: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)] = 0.0

    @property
    def trust(self) -> float:
        """What the next promise is to be multiplied by; at most 1."""
        return min(1.0, (self.kept + c.TRUST_WEIGHT) / (self.made + c.TRUST_WEIGHT))

    @property
    def margin(self) -> float:
        """How many times as fast as plain decoding a draft must promise to be."""
        return c.MARGIN + c.CAUTION * max(0.0, self.debt)

    def observe(self, promised: float, emitted: int, cost: float) -> None:
        """A step promised and emitted so many tokens, and cost so many plain steps."""
        self.debt = max(-c.CREDIT, self.debt + cost - emitted - c.FORGIVEN * emitted)
        if promised > 1:
            self.made = self.made * (1 - 1 / c.TRUST_MEMORY) + promised - 1
            self.kept = self.kept * (1 - 1 / c.TRUST_MEMORY) + emitted - 1


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shape, why it was chosen, and the tokens that it promises by untrusted chances."""

    template: TreeTemplate
    choice: BudgetChoice
    promised: Amount


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is drafted, what is tried now and then, and the steps after which to choose."""

    offer: Offer
    until: Count
    probe: Offer | None = None


class TemplateState(msgspec.Struct, tag="templates", forbid_unknown_fields=True):
    """What a ``TemplateBudget`` has learned.

    Attributes:
        curve: what steps cost, as last weighed; a run that continues elsewhere keeps to it.
        kinds: statistics of each kind of rows.
        steps: observed so far.
        sure: token → whether its row was right at rank 0 when last asked. first: token → its best
            candidate.
        plans: by the length of the spine.
        root_seen: whether the row of the next root is written.
    """

    curve: CostCurve
    kinds: list[Acceptance]
    steps: Count = 0
    sure: dict[int, bool] = {}
    first: dict[int, int] = {}
    plans: dict[int, Plan] = {}
    promises: Promises = msgspec.field(default_factory=Promises)
    root_seen: bool = True

    def copy(self, **changes: object) -> TemplateState:
        """The same, which shares nothing that changes; what is planned, without probes."""
        replace = msgspec.structs.replace
        plans = {spine: replace(plan, probe=None) for spine, plan in self.plans.items()}
        return replace(
            self, kinds=[replace(kind) for kind in self.kinds], sure=dict(self.sure),
            first=dict(self.first), plans=plans, promises=replace(self.promises), **changes,
        )  # fmt: skip


class TemplateBudget(Budget[TemplateState]):
    """Chooses the template of each step of one run.

    A row that had the model's choice at rank 0 when it was last asked is *sure*. The *spine* is how
    far the first candidates below the root lead through sure rows. It is known before drafting, and
    each length of it has a plan of its own.

    Args:
        costs: what a step costs.
        prior: (k,) chances of the ranks believed at first; one alone makes chains.
        least: the smallest size; above 0 for a drafter that can only learn from what it drafts.
    """

    def __init__(self, costs: Costs, prior: Sequence[float], *, least: int = 0) -> None:
        super().__init__(costs)
        self._least = c.SIZES.index(least)
        surer = [1 - (1 - prior[0]) * c.SURE, *(p * c.SURE for p in prior[1:])]
        self._priors = [surer] * _END_OF_SPINE + [list(prior)] * 2
        kinds = [Acceptance([0.0] * len(prior)) for _ in self._priors]
        self._learned = TemplateState(self.curve, kinds)
        self._spine = 0
        self._offer = self._unseen()
        # Steps since the last plain one, and since the last one with a draft.
        self._since = [c.TEMPLATE_PROBE_EVERY] * 2

    def next(self, root: int) -> TreeTemplate:
        """See ``Budget``; the root alone if its row is unwritten, since that drafts nothing."""
        learned, self._spine = self._learned, 0
        if not self.root_seen:
            self._offer = self._unseen()
            return self._offer.template
        token: int | None = root
        while (
            self._spine < c.LONGEST_SPINE and token is not None and learned.sure.get(token, False)
        ):
            self._spine += 1
            token = learned.first.get(token)
        plan = learned.plans.get(self._spine)
        if plan is None or learned.steps >= plan.until:
            plan = self._choose(plan.offer.template if plan else chain(0))
            learned.plans[self._spine] = plan
        self._offer = plan.offer
        # Plain steps while drafting, drafts while they seem not to pay.
        if plan.probe and self._since[plan.probe.template.nodes > 0] >= c.TEMPLATE_PROBE_EVERY:
            self._offer = plan.probe
        return self._offer.template

    def choice(self) -> BudgetChoice:
        """See ``Budget``."""
        return self._offer.choice

    def observe(self, outcome: StepOutcome) -> None:
        """See ``Budget``; a root whose row was unseen says nothing about those that were."""
        learned, offer, nodes = self._learned, self._offer, outcome.nodes
        if outcome.ms is not None:
            self._costs.observe(nodes, outcome.ms)
        learned.steps += 1
        on_spine = True
        for depth, (token, rank) in enumerate(zip(outcome.tokens, outcome.ranks, strict=False)):
            if self.root_seen:
                learned.kinds[self._kind(depth, on_spine)].observe(rank)
            on_spine = on_spine and rank == 0
            learned.sure[token] = rank == 0
        learned.first.update(outcome.rows)
        self.root_seen = outcome.root_seen
        # A look-up that found less than it might have has promised less.
        promised = 1 + (offer.promised - 1) * min(1.0, nodes / max(1, offer.template.nodes))
        cost = self.curve.at(nodes) / self.curve.at(0)
        learned.promises.observe(promised, len(outcome.path) + 1, cost)
        self._since = [n + 1 for n in self._since]
        self._since[nodes > 0] = 0

    def state(self) -> TemplateState:
        """See ``Budget``."""
        return self._learned.copy(curve=self.curve, root_seen=self.root_seen)

    def restore(self, state: TemplateState) -> None:
        """See ``Budget``."""
        k = len(self._priors[0])
        fits = len(state.kinds) == len(self._priors) and all(len(a.hits) == k for a in state.kinds)
        for plan in state.plans.values():
            plan.offer.template.check_k(k)
            choice = plan.offer.choice
            fits &= len(choice.expected) == len(choice.sizes) <= len(c.SIZES)
        if not fits:
            raise CheckpointError("The budget's part of the checkpoint does not fit this run.")
        self._learned, self.root_seen = state.copy(), state.root_seen

    def _unseen(self) -> Offer:
        """A root alone, whose row was never written."""
        costs = (round(self.curve.at(0), 3),)
        return Offer(chain(0), BudgetChoice(0, "unseen", 0, (0,), (1.0,), costs), 1.0)

    def _kind(self, depth: int, on_spine: bool) -> int:
        """The kind of a row at ``depth``; ``on_spine`` if only ranks 0 lead there."""
        if not on_spine or depth > self._spine:
            return _OTHERS
        return bisect_right(c.SPINES, self._spine) if depth < self._spine else _END_OF_SPINE

    def _choose(self, in_use: TreeTemplate) -> Plan:
        """The best shape for a spine of the length at hand, or the one in use if nearly as good."""
        self.curve = curve = self._costs.curve()
        learned, promises, doubt = self._learned, self._learned.promises, self._costs.doubt
        trust = promises.trust
        rows = [k.chances(prior) for k, prior in zip(learned.kinds, self._priors, strict=True)]
        sizes, expected, rates, paths = self._weigh(rows)

        def offer(index: int, reason: BudgetReason) -> Offer:
            template = _shape(tuple(paths[: sizes[index]]))
            promised = 1 + (expected[index] - 1) / trust
            if reason == "kept":
                template, promised = in_use, in_use_promises
            choice = BudgetChoice(
                template.nodes, reason, self._spine, tuple(sizes),
                tuple(round(e, 4) for e in expected),
                tuple(round(curve.at(n), 3) for n in sizes),
            )  # fmt: skip
            return Offer(template, choice, promised)

        needed = promises.margin * rates[0]
        # The smallest of those that promise most.
        best = max(range(self._least, len(sizes)), key=rates.__getitem__)
        reason: BudgetReason = "best"
        in_use_promises = self._expected(in_use, rows)
        in_use_rate = (1 + trust * (in_use_promises - 1)) / curve.at(in_use.nodes)
        if rates[best] < needed:
            best, reason = self._least, "plain"
        elif in_use.nodes and rates[best] < c.MARGIN * in_use_rate:
            reason = "kept"
        chosen, probe = offer(best, reason), None
        if chosen.template.nodes and doubt(chosen.template.nodes) > c.TEMPLATE_DOUBT:
            probe = offer(0, "probe")
        elif reason == "plain":
            doubts = [doubt(n) for n in sizes]
            hopes = [rate * math.exp(d) for rate, d in zip(rates, doubts, strict=True)]
            hope = max(range(len(sizes)), key=hopes.__getitem__)
            if doubts[hope] > c.TEMPLATE_DOUBT and hopes[hope] >= needed:
                probe = offer(hope, "probe")
        return Plan(chosen, learned.steps + min(c.EVERY, max(1, learned.steps)), probe)

    def _weigh(
        self, rows: Sequence[Sequence[float]]
    ) -> tuple[list[int], list[float], list[float], list[Path]]:
        """Sizes that may pay, tokens that each emits and emits per millisecond, and their nodes."""
        curve, trust = self.curve, self._learned.promises.trust
        sizes, expected, rates = [0], [1.0], [1 / curve.at(0)]
        paths: list[Path] = [()]
        reached, total = [1.0], 1.0
        ranked = [sorted(enumerate(row), key=lambda ranked: -ranked[1]) for row in rows]

        def children(node: int) -> list[tuple[int, float]]:
            path, above = paths[node], reached[node]
            row = ranked[self._kind(len(path), not any(path))]
            return [(rank, above * chance) for rank, chance in row]

        nodes = best_first(children)
        for size in c.SIZES[1:]:
            for chance, _, path, _ in islice(nodes, size - sizes[-1]):
                reached.append(chance)
                paths.append(path)
                total += trust * chance
            sizes.append(size)
            expected.append(total)
            rates.append(total / curve.at(size))
            last = trust * reached[-1]
            if last < max(rates) * curve.least_slope(size) and len(sizes) > self._least:
                break  # no later node can pay for itself
        return sizes, expected, rates, paths[1:]

    def _expected(self, template: TreeTemplate, rows: Sequence[Sequence[float]]) -> float:
        """Tokens that a step emits on average with this shape."""
        reached, on_spine = [1.0], [True]
        for node in range(1, template.nodes + 1):
            parent, rank = template.parents[node], template.ranks[node]
            row = rows[self._kind(template.depths[parent], on_spine[parent])]
            reached.append(reached[parent] * row[rank])
            on_spine.append(on_spine[parent] and rank == 0)
        return sum(reached)


@lru_cache(maxsize=256)
def _shape(paths: tuple[Path, ...]) -> TreeTemplate:
    return TreeTemplate.from_paths(f"auto-{len(paths)}", paths) if paths else chain(0)
