"""Expected against observed acceptance: how well drafters predict their own drafts. No torch here.

A drafter that grows its own trees states for each node the chance that it is on the path
(``StepTrace.expected``). Of all nodes with about the same chance, that share should have been
accepted. Deviations are drawn as a reliability diagram (Murphy & Winkler 1977), and summed up as
the mean distance from the diagonal, weighted by nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tr_core.trace import StepTrace

# Most nodes have small chances, so bins are narrow there: lower edges.
EDGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)


class Bin(msgspec.Struct, frozen=True):
    """Nodes that were given about the same chance.

    Attributes:
        nodes: how many.
        expected: mean of their chances.
        accepted: how many of them were on the path.
    """

    nodes: int
    expected: float
    accepted: int

    @property
    def observed(self) -> float:
        """Share that was accepted."""
        return self.accepted / self.nodes


class Reliability(msgspec.Struct, frozen=True):
    """Of the nodes of one source, or of all.

    Attributes:
        bins: those that hold nodes, by rising chance.
        nodes, expected, accepted: drafted nodes, the sum of their chances, and how many were on the
            path.
        error: mean of |observed − expected| over the bins, weighted by their nodes.
    """

    bins: tuple[Bin, ...]
    nodes: int
    expected: float
    accepted: int
    error: float


def overall(steps: Sequence[StepTrace]) -> Reliability:
    """Of all drafted nodes; of none if the drafter expected nothing."""
    return _summed((chance, hit) for _, chance, hit in _nodes(steps))


def by_source(steps: Sequence[StepTrace]) -> dict[str, Reliability]:
    """By source, ``row 1`` … ``row 3`` for the keys of rows, most nodes first."""
    listed: dict[str, list[tuple[float, bool]]] = {}
    for source, chance, hit in _nodes(steps):
        listed.setdefault(source, []).append((chance, hit))
    return {
        name: _summed(listed[name]) for name in sorted(listed, key=lambda n: (-len(listed[n]), n))
    }


def _nodes(steps: Sequence[StepTrace]) -> Iterable[tuple[str, float, bool]]:
    """(source, chance, whether on the path) of each drafted node with an expectation."""
    for step in steps:
        # Where the run stopped within a path, the nodes after the stop were agreed on: not a miss.
        agreed = _agreed(step)
        for node in range(1, len(step.expected)):
            source = "row 1"
            if step.sources:
                kind, key = step.sources[node].kind, step.sources[node].key
                source = f"row {key}" if kind == "row" else kind
            yield source, step.expected[node], node in agreed


def _agreed(step: StepTrace) -> set[int]:
    """Nodes on which draft and model agree all the way from the root."""
    agreed, unseen = {0}, set(step.unseen)
    for node in range(1, len(step.tokens)):
        parent = step.parents[node]
        if parent in agreed and node not in unseen and step.tokens[node] == step.choices[parent]:
            agreed.add(node)
    return agreed


def _summed(nodes: Iterable[tuple[float, bool]]) -> Reliability:
    counts, sums, hits = [0] * len(EDGES), [0.0] * len(EDGES), [0] * len(EDGES)
    for chance, hit in nodes:
        edge = max(n for n, lowest in enumerate(EDGES) if lowest <= chance)
        counts[edge] += 1
        sums[edge] += chance
        hits[edge] += hit
    filled = [n for n in range(len(EDGES)) if counts[n]]
    total = sum(counts)
    off = sum(abs(hits[n] - sums[n]) for n in filled)
    return Reliability(
        bins=tuple(Bin(counts[n], sums[n] / counts[n], hits[n]) for n in filled),
        nodes=total,
        expected=sum(sums),
        accepted=sum(hits),
        error=off / total if total else 0.0,
    )
