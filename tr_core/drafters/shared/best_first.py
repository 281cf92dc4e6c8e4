"""Drafts grown best-first, for drafters on the host that know a chance for each candidate.

tree = grow(root, children, nodes, growth)
return tree.draft(device)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
import torch

from tr_core.budget.grown_tree_budget import GrownTreeBudget
from tr_core.target import Draft
from tr_core.trace import ROOT, Source
from tr_core.trees.best_first import best_first
from tr_core.trees.templates import chain
from tr_core.trees.tree import TreeTemplate

# A child's token, its chance to be accepted if its parent is, and where it came from.
Child = tuple[int, float, Source]


class Branches:
    """A tree under growth: nodes in the order in which they were taken in, node 0 the root.

    Attributes:
        tokens, parents, expected, sources: of each node; the root's parent is −1 and its chance 1.
        order: (N + 1,) the nodes as the last ``draft`` numbered them.
    """

    __slots__ = ("expected", "order", "parents", "sources", "tokens")

    def __init__(self, root: int) -> None:
        self.tokens = [root]
        self.parents = [-1]
        self.expected = [1.0]
        self.sources = [ROOT]
        self.order = [0]

    def add(self, parent: int, token: int, expected: float, source: Source) -> int:
        """Take a node in; returns its number."""
        self.tokens.append(token)
        self.parents.append(parent)
        self.expected.append(expected)
        self.sources.append(source)
        return len(self.tokens) - 1

    def cut(self, nodes: int) -> None:
        """Keep the root and the first ``nodes`` nodes."""
        for part in (self.tokens, self.parents, self.expected, self.sources):
            del part[nodes + 1 :]

    def ending(self, node: int) -> list[int]:
        """Tokens from below the root down to ``node``; empty for the root."""
        branch = []
        while node > 0:
            branch.append(self.tokens[node])
            node = self.parents[node]
        return branch[::-1]

    def draft(self, device: torch.device | str) -> Draft:
        """The tree, numbered breadth-first; ranks are places among siblings."""
        count = len(self.tokens)
        below: list[list[int]] = [[] for _ in range(count)]
        for node in range(1, count):
            below[self.parents[node]].append(node)
        order, parents, ranks = [0], [-1], [-1]
        for number, node in enumerate(order):  # grows while it is read
            for rank, child in enumerate(below[node]):
                order.append(child)
                parents.append(number)
                ranks.append(rank)
        self.order = order
        shape = (
            TreeTemplate(f"grown-{count - 1}", tuple(parents), tuple(ranks))
            if count > 1
            else chain(0)
        )
        return Draft(
            shape,
            torch.from_numpy(np.array([self.tokens[n] for n in order], dtype=np.int64)).to(device),
            torch.ones(count, dtype=torch.bool, device=device),
            tuple([self.sources[n] for n in order]),
            tuple([self.expected[n] for n in order]),
        )


def grow(
    root: int,
    children: Callable[[Branches, int], Sequence[Child]],
    nodes: int,
    growth: GrownTreeBudget | None = None,
) -> Branches:
    """A tree of up to ``nodes`` nodes, or of as many as pay if there is a ``growth``.

    Args:
        root: its token.
        children: ``children(tree, node)``: what may follow a node, the most likely first, no
            token twice. Asked at most once for a node, after its parent. The first 32 count.
    """
    tree = Branches(root)

    def below(node: int) -> list[tuple[int, float, Source]]:
        above = tree.expected[node]
        return [(c[0], above * min(c[1], 1.0), c[2]) for c in children(tree, node)]

    for chance, parent, _, (token, _, source) in islice(best_first(below), nodes):
        if growth is not None and not growth.admits(chance):
            break
        tree.add(parent, token, chance, source)
    if growth is not None:
        tree.cut(growth.decide())
    return tree
