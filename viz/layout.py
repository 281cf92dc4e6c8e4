"""Where a tree's nodes are drawn: depth by column, leaf by row, parent beside its first child.

So the best candidates of the best candidates form one straight line at the top, no two edges cross,
and all coordinates are whole numbers. The layout depends on the shape alone: equal shapes are drawn
equally whatever their tokens are, and the bonus node is put into a free spot instead of
moving others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import networkx as nx


@dataclass(frozen=True)
class Layout:
    """Positions of N + 1 nodes.

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
        parents: (N + 1,) node indices, −1 for the root; parents before children.
        ranks: (N + 1,) order of siblings, best first.
    """
    tree = nx.DiGraph()
    tree.add_node(0)
    # Edges are walked in the order in which they were added: best siblings first.
    tree.add_edges_from(
        (parents[n], n) for n in sorted(range(1, len(parents)), key=lambda n: ranks[n])
    )
    columns, rows, height = [0] * len(parents), [0] * len(parents), 0
    for node in nx.dfs_preorder_nodes(tree, 0):
        columns[node] = columns[parents[node]] + 1 if node else 0
        rows[node] = height
        height += tree.out_degree(node) == 0
    counts = tuple(columns.count(depth) for depth in range(max(columns) + 1))
    return Layout(tuple(columns), tuple(rows), counts, height)


def bonus_position(layout: Layout, after: int) -> tuple[int, int]:
    """Column and row of the bonus node: the free spot nearest to the node that it follows.

    The row may be −1 or ``layout.height``, one beyond the tree, if the column is full.
    """
    column, row = layout.columns[after] + 1, layout.rows[after]
    taken = {r for c, r in zip(layout.columns, layout.rows, strict=True) if c == column}
    free = (r for r in range(-1, layout.height + 1) if r not in taken)
    return column, min(free, key=lambda r: (abs(r - row), r))
