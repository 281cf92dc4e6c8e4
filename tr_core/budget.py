"""How many nodes a draft may have: as many as pay on this machine, none if none do. No torch here.

A pass over N draft nodes costs t(N) milliseconds (``CostCurve``, measured by ``cost.py``) and emits E(N) =
1 + Σ P(node) tokens on average, where P(node) is the product of the chances on the way from the root (``Acceptance``). ``Budget``
grows the tree of the most probable nodes and cuts it where E(N) / t(N), tokens per millisecond, is highest; N = 0 is
plain decoding.

The statistics need no exploring: at every node on the accepted path the row that was drafted from and the model's
choice are both known, so the rank of the choice is counted even where the tree had no child for it, or no child at all.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import quantiles

from tr_core.templates import chain
from tr_core.trace import BudgetChoice
from tr_core.tree import TreeTemplate

# Sizes to choose from: few, so that shapes come again and what is kept per shape is found.
SIZES = (0, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80)
# A new shape must promise this much more than the one in use, and drafting this much more than none.
MARGIN = 1.03
# Steps between two choices once the statistics have settled; before, at every power of two.
EVERY = 8
# Observations that the statistics remember, and how many the prior counts for.
MEMORY = 64
PRIOR_WEIGHT = 6.0
# Nodes this deep and deeper share their statistics.
DEEPEST = 3


@dataclass(frozen=True)
class CostCurve:
    """Milliseconds of a whole step over N draft nodes.

    Attributes:
        nodes: rising sizes, the first 0.
        ms: milliseconds of each; never falling.

    Raises:
        ValueError: not of this form.
    """

    nodes: tuple[int, ...]
    ms: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.nodes, self.nodes[1:], strict=False))
        falling = any(a > b for a, b in zip(self.ms, self.ms[1:], strict=False))
        if not self.nodes or self.nodes[0] != 0 or not rising or falling or len(self.nodes) != len(self.ms):
            raise ValueError(f"a cost curve needs sizes rising from 0 and times that do not fall, got {self}")
        if self.ms[0] <= 0:
            raise ValueError(f"a step takes some time, got {self.ms[0]} ms")

    @classmethod
    def fit(cls, samples: Mapping[int, Sequence[float]]) -> CostCurve:
        """From times measured at some sizes, 0 among them: their lower quartiles, levelled where they fall.

        Whatever else the machine does only ever adds time, and more nodes never cost less: what says so is noise.
        """
        nodes = sorted(samples)
        # Pool adjacent violators: (sum, count) of blocks with rising means.
        blocks: list[tuple[float, int]] = []
        for size in nodes:
            times = samples[size]
            blocks.append((quantiles(times, n=4, method="inclusive")[0] if len(times) > 1 else times[0], 1))
            while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
                (a, m), (b, n) = blocks[-2:]
                blocks[-2:] = [(a + b, m + n)]
        return cls(tuple(nodes), tuple(total / count for total, count in blocks for _ in range(count)))

    def rounded(self) -> dict[int, float]:
        """Milliseconds by nodes, for the trace."""
        return {n: round(t, 3) for n, t in zip(self.nodes, self.ms, strict=True)}

    def at(self, nodes: int) -> float:
        """Milliseconds of a step over ``nodes``: straight between two measured sizes, and on beyond the last."""
        if len(self.nodes) == 1:
            return self.ms[0] * (1 + nodes)  # nothing known but plain decoding: believe that a pass saves nothing
        right = min(max(1, bisect_left(self.nodes, nodes)), len(self.nodes) - 1)
        (a, b), (low, high) = self.nodes[right - 1 : right + 1], self.ms[right - 1 : right + 1]
        return low + (high - low) * (nodes - a) / (b - a)


class Acceptance:
    """Chance of each rank to be the model's choice, by depth, the newest observations counting most.

    Args:
        prior: (k,) chances believed before anything was seen.
    """

    def __init__(self, prior: Sequence[float]) -> None:
        self._prior = tuple(prior)
        self._hits = [[0.0] * len(prior) for _ in range(DEEPEST + 1)]
        self._tries = [0.0] * (DEEPEST + 1)

    def observe(self, depth: int, rank: int | None) -> None:
        """After an accepted node at ``depth`` the choice stood at ``rank`` of its row, or nowhere in it (None)."""
        depth = min(depth, DEEPEST)
        keep = 1 - 1 / MEMORY
        self._tries[depth] = self._tries[depth] * keep + 1
        hits = self._hits[depth] = [h * keep for h in self._hits[depth]]
        if rank is not None:
            hits[rank] += 1

    def chances(self, depth: int) -> list[float]:
        """(k,) chances of the children of an accepted node at ``depth``."""
        depth = min(depth, DEEPEST)
        weight = self._tries[depth] + PRIOR_WEIGHT
        return [(h + PRIOR_WEIGHT * p) / weight for h, p in zip(self._hits[depth], self._prior, strict=True)]


class Budget:
    """Chooses the template of each step of one run.

    Args:
        curve: what a step costs.
        prior: (k,) chances of the ranks believed at first; one alone makes chains.
        least: the smallest size; above 0 for a drafter that can only learn from what it drafts.
    """

    def __init__(self, curve: CostCurve, prior: Sequence[float], *, least: int = 0) -> None:
        self.curve = curve
        self.acceptance = Acceptance(prior)
        self._least = SIZES.index(least)
        self._ms = tuple(round(curve.at(n), 3) for n in SIZES)
        self._steps = 0
        self._template, self._choice = chain(0), None
        self._choose()

    def next(self, root_seen: bool = True) -> tuple[TreeTemplate, BudgetChoice]:
        """The template of the next step and why; the root alone where its row was never seen, which drafts nothing."""
        if not root_seen:
            return chain(0), BudgetChoice(0, "unseen", SIZES, (1.0,) * len(SIZES), self._ms)
        return self._template, self._choice

    def observe(self, ranks: Sequence[int | None], root_seen: bool = True) -> None:
        """Learn from a step: at which rank of its row the choice stood, of the root and of each node of the path.

        A root whose row was never seen says nothing about those that were; below it there is no path.
        """
        if root_seen:
            for depth, rank in enumerate(ranks):
                self.acceptance.observe(depth, rank)
        self._steps += 1
        if self._steps % EVERY == 0 or (self._steps < EVERY and self._steps & (self._steps - 1) == 0):
            self._choose()

    def _choose(self) -> None:
        chances = [self.acceptance.chances(d) for d in range(DEEPEST + 1)]
        grown = _grow(chances, SIZES[-1])
        totals, total = [1.0], 1.0
        for chance, _ in grown:
            total += chance
            totals.append(total)
        expected = [totals[n] for n in SIZES]
        rates = [e / self.curve.at(n) for e, n in zip(expected, SIZES, strict=True)]
        # The smallest of those that promise most.
        best, reason = max(range(self._least, len(SIZES)), key=rates.__getitem__), "best"
        in_use = _expected(self._template, chances) / self.curve.at(self._template.nodes)
        if rates[best] < MARGIN * rates[0]:
            best, reason = self._least, "plain"
        elif self._template.nodes and rates[best] < MARGIN * in_use:
            reason = "kept"
        if reason != "kept":
            self._template = _shape(tuple(path for _, path in grown[: SIZES[best]]))
        told = tuple(round(e, 4) for e in expected)
        self._choice = BudgetChoice(self._template.nodes, reason, SIZES, told, self._ms)


def _grow(chances: Sequence[Sequence[float]], nodes: int) -> list[tuple[float, tuple[int, ...]]]:
    """The ``nodes`` most probable places of a tree, best first: (chance, ranks on the way from the root)."""
    ranked = [sorted(range(len(row)), key=lambda r, row=row: -row[r]) for row in chances]
    deepest = len(chances) - 1
    grown: list[tuple[float, tuple[int, ...]]] = []
    # (−chance, path, its parent's chance, its place among its siblings)
    heap = [(-chances[0][ranked[0][0]], (ranked[0][0],), 1.0, 0)]
    while len(grown) < nodes:
        negative, path, above, place = heapq.heappop(heap)
        grown.append((-negative, path))
        siblings = min(len(path) - 1, deepest)
        if place + 1 < len(ranked[siblings]):
            rank = ranked[siblings][place + 1]
            heapq.heappush(heap, (-above * chances[siblings][rank], (*path[:-1], rank), above, place + 1))
        below = min(len(path), deepest)
        rank = ranked[below][0]
        heapq.heappush(heap, (negative * chances[below][rank], (*path, rank), -negative, 0))
    return grown


def _expected(template: TreeTemplate, chances: Sequence[Sequence[float]]) -> float:
    """Tokens a step emits on average with this shape."""
    deepest = len(chances) - 1
    reached = [1.0]
    for node in range(1, template.nodes + 1):
        row = chances[min(template.depths[node] - 1, deepest)]
        reached.append(reached[template.parents[node]] * row[template.ranks[node]])
    return sum(reached)


@lru_cache(maxsize=256)
def _shape(paths: tuple[tuple[int, ...], ...]) -> TreeTemplate:
    return TreeTemplate.from_paths(f"auto-{len(paths)}", paths) if paths else chain(0)
