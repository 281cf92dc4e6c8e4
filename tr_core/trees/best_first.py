"""The one best-first loop in Python, of templates, budgets and drafters on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, TypeVar

from tr_core.trees.tree import MAX_K

# A node's rank or token, its chance to be on the accepted path, and whatever its owner keeps.
Child = TypeVar("Child", bound=tuple[Any, ...])
Path = tuple[int, ...]


def best_first(
    children: Callable[[int], Sequence[Child]],
) -> Iterator[tuple[float, int, Path, Child]]:
    """Nodes of a tree, the likeliest first: (chance, parent, path, child). They count from 1.

    A tree of 16 nodes is the first 16 of a tree of 80. Of equally likely nodes the one with the
    smaller path comes first.

    Args:
        children: of a node, 0 for the root: (rank or token, chance, …), the likeliest first. Asked
            at most once for a node, and only when a child of it may be next. The first 32 count,
            since no node may have more.
    """
    # (−chance, path, parent, its children, which of them); with None in place of the children,
    # the node `parent` at the end of the path is still to be asked for its own.
    heap: list[tuple[float, Path, int, Sequence[Child] | None, int]] = [(-1.0, (), 0, None, 0)]
    taken = 0
    while heap:
        negative, path, parent, siblings, index = heappop(heap)
        if siblings is None:
            siblings, above = children(parent), path
        else:
            yield -negative, parent, path, siblings[index]
            taken += 1
            heappush(heap, (negative, path, taken, None, 0))
            above = path[:-1]
            index += 1
        # A sibling waits until the one before it is in.
        if index < min(len(siblings), MAX_K):
            child = siblings[index]
            heappush(heap, (-child[1], (*above, child[0]), parent, siblings, index))
