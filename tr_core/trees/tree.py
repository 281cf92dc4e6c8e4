"""Trees of draft tokens: a shape, a shape with tokens, the walk to the accepted path. No torch.

Nodes are numbered breadth-first. Node 0 is the root: the last committed token, which is not a
draft. Every other node is the child of ``parents[node]`` at ``ranks[node]``, its position in the
parent token's row (arXiv 2408.08696, §3.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from tr_core.errors import TemplateError

MAX_NODES = 512
MAX_K = 32


@dataclass(frozen=True)
class TreeTemplate:
    """A tree's shape: for each node its parent and its rank, the root included.

    Attributes:
        name: of the shape on the page and the command line.
        parents: (N + 1,) node indices; −1 for the root; every parent is before its children.
        ranks: (N + 1,) rank of each node in its parent's row; −1 for the root.

    Raises:
        TemplateError: the arrays describe no tree, two children share a rank, or there are more
            than 512 nodes.
    """

    name: str
    parents: tuple[int, ...]
    ranks: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.parents) != len(self.ranks):
            raise TemplateError(
                f"A template needs one rank per node, got {len(self.parents)} parents and"
                f" {len(self.ranks)} ranks."
            )
        if not self.parents or self.parents[0] != -1 or self.ranks[0] != -1:
            raise TemplateError("A template starts with its root, which has no parent and no rank.")
        if self.nodes > MAX_NODES:
            raise TemplateError(
                f"A template has at most {MAX_NODES} nodes, this one has {self.nodes}."
            )
        taken = set()
        depths = [0]
        for node in range(1, len(self.parents)):
            parent, rank = self.parents[node], self.ranks[node]
            if not 0 <= parent < node:
                raise TemplateError(f"Node {node} has parent {parent}, which is not before it.")
            if not 0 <= rank < MAX_K:
                raise TemplateError(f"Node {node} has rank {rank}, outside 0 … {MAX_K - 1}.")
            if (parent, rank) in taken:
                raise TemplateError(f"Two children of node {parent} have rank {rank}.")
            taken.add((parent, rank))
            depths.append(depths[parent] + 1)
        if depths != sorted(depths):
            raise TemplateError("A template lists its nodes breadth-first, level by level.")

    @classmethod
    def from_child_counts(cls, name: str, counts: Sequence[Sequence[int]]) -> TreeTemplate:
        """Build from the number of children of every node, one list a level, breadth-first.

        ``[[2], [1, 0]]`` is a root with two children of which the first has one child. Ranks are 0
        … c − 1.
        """
        parents, ranks, level = [-1], [-1], [0]
        for depth, row in enumerate(counts, start=1):
            if len(row) != len(level):
                raise TemplateError(
                    f"Level {depth} needs one child count for each of the {len(level)} nodes above"
                    f" it, got {len(row)}."
                )
            following = []
            for parent, count in zip(level, row, strict=True):
                if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_K:
                    raise TemplateError(
                        f"Level {depth} has a child count of {count!r}, outside 0 … {MAX_K}."
                    )
                for rank in range(count):
                    following.append(len(parents))
                    parents.append(parent)
                    ranks.append(rank)
                if len(parents) - 1 > MAX_NODES:
                    raise TemplateError(
                        f"A template has at most {MAX_NODES} nodes, this one has more."
                    )
            level = following
        return cls(name, tuple(parents), tuple(ranks))

    @classmethod
    def from_paths(cls, name: str, paths: Iterable[Sequence[int]]) -> TreeTemplate:
        """Build from the ranks on the way from the root to each node: ``[[0], [1], [0, 0]]``.

        The order is free; every node needs its own path, its parent's included.
        """
        listed = [tuple(p) for p in paths]
        if len(listed) > MAX_NODES:
            raise TemplateError(
                f"A template has at most {MAX_NODES} nodes, this one has {len(listed)}."
            )
        for path in listed:
            if not path or any(isinstance(r, bool) or not isinstance(r, int) for r in path):
                raise TemplateError(f"A path is a list of at least one rank, got {list(path)!r}.")
        if len(set(listed)) != len(listed):
            raise TemplateError("A path occurs twice in the template.")
        index: dict[tuple[int, ...], int] = {(): 0}
        parents, ranks = [-1], [-1]
        for path in sorted(listed, key=lambda p: (len(p), p)):
            if path[:-1] not in index:
                raise TemplateError(
                    f"Path {list(path)} has no parent: {list(path[:-1])} is not in the template."
                )
            index[path] = len(parents)
            parents.append(index[path[:-1]])
            ranks.append(path[-1])
        return cls(name, tuple(parents), tuple(ranks))

    @classmethod
    def trusted(
        cls,
        name: str,
        parents: tuple[int, ...],
        ranks: tuple[int, ...],
        depths: tuple[int, ...],
        ancestor_mask: np.ndarray,
    ) -> TreeTemplate:
        """A shape that its maker has numbered breadth-first; checking takes longer than growing."""
        template = object.__new__(cls)
        ancestor_mask.setflags(write=False)
        parts = {
            "name": name,
            "parents": parents,
            "ranks": ranks,
            "depths": depths,
            "ancestor_mask": ancestor_mask,
        }
        template.__dict__.update(parts)
        return template

    @property
    def nodes(self) -> int:
        """Number of draft nodes, the root not counted."""
        return len(self.parents) - 1

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """(N + 1,) distance of each node from the root."""
        depths = [0]
        for parent in self.parents[1:]:
            depths.append(depths[parent] + 1)
        return tuple(depths)

    @property
    def depth(self) -> int:
        """Greatest depth of a node; 0 for a root alone."""
        return self.depths[-1]

    @cached_property
    def width(self) -> int:
        """The smallest k that can fill every rank."""
        return max(self.ranks) + 1

    @cached_property
    def levels(self) -> tuple[range, ...]:
        """Node indices of each depth from 1 on."""
        starts = [self.depths.index(d) for d in range(1, self.depth + 1)] + [len(self.parents)]
        return tuple(range(a, b) for a, b in pairwise(starts))

    @cached_property
    def ancestor_mask(self) -> np.ndarray:
        """(N + 1, N + 1) bool: row i is true at i itself and at all its ancestors. Read-only."""
        mask = np.eye(len(self.parents), dtype=bool)
        for node in range(1, len(self.parents)):
            mask[node] |= mask[self.parents[node]]
        mask.setflags(write=False)
        return mask

    def check_k(self, k: int) -> None:
        """Refuse a row width that cannot fill this shape.

        Raises:
            TemplateError: the template has a rank ≥ k.
        """
        if self.width > k:
            raise TemplateError(
                f"Tree “{self.name}” uses rank {self.width - 1}, so it needs k ≥ {self.width}; k is"
                f" {k}."
            )


@dataclass(frozen=True)
class Verdict:
    """The longest path on which draft and model agree.

    Attributes:
        path: its nodes from depth 1 on; empty if no child of the root was the model's choice.
        bonus: the model's choice after the path, which the pass gives for nothing.
    """

    path: tuple[int, ...]
    bonus: int


@dataclass(frozen=True)
class DraftTree:
    """A template filled with tokens, on the host.

    Attributes:
        template: the shape, N draft nodes.
        tokens: (N + 1,) token ids, the root's first.
        unseen: nodes below a row that was never written; their token is a filler and is never
            accepted.
    """

    template: TreeTemplate
    tokens: tuple[int, ...]
    unseen: frozenset[int] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.template.parents):
            raise ValueError(
                f"tokens must have shape ({len(self.template.parents)},), got ({len(self.tokens)},)"
            )

    @cached_property
    def children(self) -> dict[tuple[int, int], int]:
        """Node below (parent, token), the lowest rank of equal tokens; without unseen nodes."""
        children: dict[tuple[int, int], int] = {}
        for node in range(1, len(self.tokens)):
            if node not in self.unseen:
                children.setdefault((self.template.parents[node], self.tokens[node]), node)
        return children

    def walk(self, choices: Sequence[int]) -> Verdict:
        """Descend from the root to the child that equals the node's choice while there is one.

        Args:
            choices: (N + 1,) the model's pick after each node, greedy or sampled.
        """
        path: list[int] = []
        at, choice = 0, choices[0]
        # Children stand after their parents, and of equal siblings the lower rank first.
        for node, (parent, token) in enumerate(
            zip(self.template.parents, self.tokens, strict=True)
        ):
            if parent == at and token == choice and node not in self.unseen:
                path.append(node)
                at, choice = node, choices[node]
        return Verdict(tuple(path), choice)
