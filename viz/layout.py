"""Where the nodes of a tree are drawn: a column per depth, a row per leaf, a parent beside its first child.

So the best candidates of the best candidates form one straight line at the top, no two edges cross, and all
coordinates are whole numbers. The layout depends on the shape alone: equal shapes are drawn in equal places
whatever their tokens are, and the bonus node is put into a free place instead of moving others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Layout:
    """Places of N + 1 nodes.

    Attributes:
        columns: (N + 1,) each node's column, which is its depth.
        rows: (N + 1,) each node's row, from 0 at the top.
        counts: nodes in each column, the root's first.
        height: number of rows, one for each leaf.
    """

    columns: tuple[int, ...]
    rows: tuple[int, ...]
    counts: tuple[int, ...]
    height: int


@lru_cache(maxsize=64)
def tidy(parents: tuple[int, ...], ranks: tuple[int, ...]) -> Layout:
    """Lay out a tree.

    Args:
        parents: (N + 1,) node indices, −1 for the root; every parent stands before its children.
        ranks: (N + 1,) order of siblings, best first.
    """
    children: list[list[int]] = [[] for _ in parents]
    columns = [0] * len(parents)
    for node in range(1, len(parents)):
        children[parents[node]].append(node)
        columns[node] = columns[parents[node]] + 1
    rows = [0] * len(parents)
    height = 0
    # A stack instead of recursion: a chain of 512 nodes is deeper than Python likes.
    stack = [0]
    while stack:
        node = stack.pop()
        rows[node] = height
        if children[node]:
            stack.extend(sorted(children[node], key=lambda n: ranks[n], reverse=True))
        else:
            height += 1
    counts = tuple(columns.count(depth) for depth in range(max(columns) + 1))
    return Layout(tuple(columns), tuple(rows), counts, height)


def bonus_place(layout: Layout, after: int) -> tuple[int, int]:
    """Column and row of the bonus node: the free place nearest to the node ``after`` which it stands.

    The row may be −1 or ``layout.height``, one beyond the tree, if the column is full.
    """
    column, row = layout.columns[after] + 1, layout.rows[after]
    taken = {r for c, r in zip(layout.columns, layout.rows, strict=True) if c == column}
    free = (r for r in range(-1, layout.height + 1) if r not in taken)
    return column, min(free, key=lambda r: (abs(r - row), r))
