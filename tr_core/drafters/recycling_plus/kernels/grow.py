"""Grows a draft: chooses nodes, best first, and then lists them breadth-first.

As in ``drafters/shared/best_first.py``, the next node is always the one with the greatest chance of
being on the path. A node is expanded only once its children may enter the tree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tr_core.budget.grown_tree_budget import PRICE, SUMS, TRUST, WORTH
from tr_core.drafters.recycling_plus.kernels import candidates as c
from tr_core.drafters.recycling_plus.kernels import lookup
from tr_core.drafters.recycling_plus.kernels.frequent_tokens import FrequentTokens
from tr_core.drafters.recycling_plus.kernels.numba_cache import Int, inner
from tr_core.drafters.recycling_plus.kernels.rows import Context, Rows
from tr_core.trees.tree import MAX_K

# Below nodes less likely than these, only three ranks of a row are used, or one: the other
# candidates would hardly enter even a large tree.
_LIKELY, _UNLIKELY, _FEW_RANKS = 0.15, 0.01, 3
# Columns of ``nodes``: token, parent, depth; where its own candidates start and end, −1 if it is
# not expanded; where its matches start and end; and which of its parent's candidates it is.
TOKEN, PARENT, DEPTH, START, END, _MATCHES_START, _MATCHES_END, CANDIDATE = range(8)
# Of ``heap``: when it was pushed; the node that may be expanded, −1 as its child, or whose child of
# this number may enter.
_ORDER, _NODE, _CHILD = range(3)
_ZERO, _EXPAND = np.int64(0), np.int64(-1)  # a plain 0 would compile functions for it alone
# Of ``listed``: the columns that describe a node breadth-first.
(LISTED_TOKEN, LISTED_PARENT, LISTED_RANK, LISTED_DEPTH, LISTED_SOURCE, LISTED_KEY, LISTED_POSITION,
 LISTED_NODE) = range(8)  # fmt: skip
COLUMNS, HEAP_COLUMNS, LISTED_COLUMNS = 8, 3, 8


class Tree(NamedTuple):
    """A growing tree, N nodes at most; node 0 is the root.

    Attributes:
        context: (3,) int64 the last tokens of the text, −1 where it has none.
        nodes: (N + 1, 8) int64 in the order in which they entered.
        expected: (N + 1,) float64 the chance of each to be on the path; 1 for the root.
        children: (M,) int64 the candidates of each node, the likeliest first.
        shares: (M,) float64 their chances: those of ``Candidates``, scaled down where they add up
            to more than 1, since only one child can be the model's choice.
        matches: (X, 2) int64 matches of the text's end and of the expanded nodes.
        keys: (2 N + 2,) float64 −chance of each entry of the heap. heap: (2 N + 2, 3) int64.
        branch: (N + 1,) int64 tokens from below the root down to the node at hand.
        listed: (N + 1, 8) int64 the nodes breadth-first. chances: (N + 1,) float64 theirs.
    """

    context: np.ndarray
    nodes: np.ndarray
    expected: np.ndarray
    children: np.ndarray
    shares: np.ndarray
    matches: np.ndarray
    keys: np.ndarray
    heap: np.ndarray
    branch: np.ndarray
    listed: np.ndarray
    chances: np.ndarray


class Parts(NamedTuple):
    """Everything that recycling_plus keeps."""

    model: c.Model
    rows: Rows
    text: lookup.Text
    frequent: FrequentTokens
    candidates: c.Candidates
    tree: Tree


@inner
def _is_before(keys: np.ndarray, heap: np.ndarray, a: Int, b: Int) -> bool:
    return keys[a] < keys[b] or (keys[a] == keys[b] and heap[a, _ORDER] < heap[b, _ORDER])


@inner
def _swap(keys: np.ndarray, heap: np.ndarray, a: Int, b: Int) -> None:
    keys[a], keys[b] = keys[b], keys[a]
    for column in range(heap.shape[1]):
        heap[a, column], heap[b, column] = heap[b, column], heap[a, column]


@inner
def _push(tree: Tree, size: Int, chance: float, order: Int, node: Int, child: Int) -> Int:
    """Push an entry on the heap of this size, and return the new size."""
    keys, heap, n = tree.keys, tree.heap, size
    keys[n], heap[n, _ORDER], heap[n, _NODE], heap[n, _CHILD] = -chance, order, node, child
    while n and _is_before(keys, heap, n, (n - 1) // 2):
        _swap(keys, heap, n, (n - 1) // 2)
        n = (n - 1) // 2
    return size + 1


@inner
def _pop(tree: Tree, size: Int) -> Int:
    """Remove the best entry from the heap of this size, and return the new size."""
    keys, heap, n, size = tree.keys, tree.heap, 0, size - 1
    _swap(keys, heap, 0, size)
    while True:
        least = n
        for child in range(2 * n + 1, 2 * n + 3):
            if child < size and _is_before(keys, heap, child, least):
                least = child
        if least == n:
            return size
        _swap(keys, heap, n, least)
        n = least


@inner
def find_matches(tree: Tree, text: lookup.Text, node: Int) -> None:
    """Find the branch of a node, and its matches among those of its parent."""
    nodes, depth, ancestor = tree.nodes, tree.nodes[node, DEPTH], node
    for level in range(depth - 1, -1, -1):
        tree.branch[level] = nodes[ancestor, TOKEN]
        ancestor = nodes[ancestor, PARENT]
    if node == 0:
        return
    parent = nodes[node, PARENT]
    end = nodes[node, _MATCHES_START]
    for n in range(nodes[parent, _MATCHES_START], nodes[parent, _MATCHES_END]):
        position, length = tree.matches[n, 0], tree.matches[n, 1]
        if lookup.token_at(text, position, tree.branch, depth - 1) == nodes[node, TOKEN]:
            tree.matches[end, 0], tree.matches[end, 1] = position + 1, length + 1
            end += 1
    nodes[node, _MATCHES_END] = end


@inner
def expand(parts: Parts, node: Int, start: Int, max_ranks: Int) -> Int:
    """Collect the candidates of a node whose matches are known; see ``candidates.collect``."""
    tree, candidates = parts.tree, parts.candidates
    nodes, depth = tree.nodes, tree.nodes[node, DEPTH]
    matches = tree.matches[nodes[node, _MATCHES_START] : nodes[node, _MATCHES_END]]
    copies = lookup.find_copies(parts.text, matches, tree.branch, depth, candidates.copies)
    second, first, parent = tree.context[0], tree.context[1], nodes[node, PARENT]
    if depth:
        first = nodes[parent, TOKEN]
        second = nodes[nodes[parent, PARENT], TOKEN] if depth > 1 else tree.context[1]
    inputs = c.Inputs(
        parts.rows,
        parts.frequent,
        parts.model.weights,
        Context(second, first, nodes[node, TOKEN]),
        c.lookup_of(candidates.copies, copies),
    )
    end = c.collect(inputs, candidates, start, max_ranks)
    nodes[node, START], nodes[node, END] = start, end
    return end


@inner
def _order_children(tree: Tree, candidates: c.Candidates, start: Int, end: Int) -> None:
    """Sort candidates by chance, and scale their chances down where they add up to more than 1."""
    total = 0.0
    for candidate in range(start, end):
        chance, n = candidates.chances[candidate], candidate
        while n > start and candidates.chances[tree.children[n - 1]] < chance:
            tree.children[n] = tree.children[n - 1]
            n -= 1
        tree.children[n] = candidate
    for n in range(start, end):
        total += candidates.chances[tree.children[n]]
    for n in range(start, end):
        tree.shares[n] = candidates.chances[tree.children[n]] / max(total, 1.0)


@inner
def _set_root(tree: Tree, text: lookup.Text) -> None:
    """Make the last token of the text the root; its matches are those of the text's end."""
    nodes = tree.nodes
    nodes[0, TOKEN], nodes[0, PARENT], nodes[0, DEPTH] = tree.context[2], -1, 0
    nodes[0, START] = -1
    nodes[0, _MATCHES_START], nodes[0, _MATCHES_END] = 0, text.sizes[1]
    for n in range(text.sizes[1]):
        tree.matches[n, 0], tree.matches[n, 1] = text.matches[n, 0], text.matches[n, 1]
    tree.expected[0] = 1.0


@inner
def _set_node(
    tree: Tree, node: Int, token: Int, parent: Int, candidate: Int, expected: float
) -> None:
    """Let a candidate of a parent enter as a node."""
    nodes = tree.nodes
    nodes[node, TOKEN], nodes[node, PARENT], nodes[node, CANDIDATE] = token, parent, candidate
    nodes[node, DEPTH] = nodes[parent, DEPTH] + 1
    nodes[node, START] = -1
    nodes[node, _MATCHES_START] = nodes[node, _MATCHES_END] = node * lookup.MAX_MATCHES
    tree.expected[node] = expected


@inner
def _admits(terms: np.ndarray, node: Int, chance: float) -> bool:
    """``GrownTreeBudget.admits``."""
    trusted = chance * terms[TRUST, node]
    if trusted + terms[WORTH, node] < terms[PRICE, node]:
        return False
    terms[SUMS, node] = terms[SUMS, node - 1] + trusted
    return True


@inner
def grow(parts: Parts, max_nodes: Int, terms: np.ndarray) -> tuple[Int, bool]:
    """Grow a tree of up to ``max_nodes`` nodes, or fewer if ``terms`` admit no more.

    Returns:
        The nodes that entered, and whether any could have.
    """
    tree, candidates = parts.tree, parts.candidates
    _set_root(tree, parts.text)
    terms[SUMS, 0] = 1.0
    size = pushed = count = used = _ZERO
    size = _push(tree, size, 1.0, pushed, count, _EXPAND)
    offered = False
    while size and count < max_nodes:
        chance, node, child = -tree.keys[0], tree.heap[0, _NODE], tree.heap[0, _CHILD]
        if child < 0:
            size = _pop(tree, size)
            ranks = parts.rows.k if chance > _LIKELY else _FEW_RANKS if chance > _UNLIKELY else 1
            find_matches(tree, parts.text, node)
            used = expand(parts, node, used, ranks)
            _order_children(tree, candidates, tree.nodes[node, START], used)
            child = 0
        else:
            offered = True
            if not _admits(terms, count + 1, chance):
                break
            size = _pop(tree, size)
            count += 1
            candidate = tree.children[tree.nodes[node, START] + child]
            _set_node(tree, count, candidates.table[candidate, c.TOKEN], node, candidate, chance)
            pushed += 1
            if count < max_nodes:
                size = _push(tree, size, chance, pushed, count, _EXPAND)
            child += 1
        # A sibling is pushed only after the one before it has entered.
        start, end = tree.nodes[node, START], tree.nodes[node, END]
        if child < end - start and child < MAX_K:
            pushed += 1
            chance = tree.expected[node] * min(tree.shares[start + child], 1.0)
            size = _push(tree, size, chance, pushed, node, child)
    candidates.used[0] = used
    return count, offered


@inner
def list_breadth_first(candidates: c.Candidates, tree: Tree, mask: np.ndarray) -> None:
    """List the root and the first nodes breadth-first; a rank is a place among siblings.

    Args:
        mask: (n + 1, n + 1) bool, all false, for n nodes; true afterwards where the column's node
            is the row's or one of its ancestors.
    """
    listed, nodes, table = tree.listed, tree.nodes, candidates.table
    listed[0, LISTED_TOKEN], listed[0, LISTED_PARENT] = nodes[0, TOKEN], -1
    listed[0, LISTED_RANK], listed[0, LISTED_DEPTH], listed[0, LISTED_NODE] = -1, 0, 0
    tree.chances[0], mask[0, 0] = 1.0, True
    end = 1
    for parent in range(len(mask)):
        rank = 0
        for node in range(1, len(mask)):
            if nodes[node, PARENT] == listed[parent, LISTED_NODE]:
                candidate = nodes[node, CANDIDATE]
                listed[end, LISTED_TOKEN], listed[end, LISTED_NODE] = nodes[node, TOKEN], node
                listed[end, LISTED_PARENT], listed[end, LISTED_RANK] = parent, rank
                listed[end, LISTED_DEPTH] = nodes[node, DEPTH]
                listed[end, LISTED_SOURCE] = table[candidate, c.SOURCE]
                listed[end, LISTED_KEY] = table[candidate, c.KEY]
                listed[end, LISTED_POSITION] = table[candidate, c.POSITION]
                for ancestor in range(parent + 1):
                    mask[end, ancestor] = mask[parent, ancestor]
                mask[end, end] = True
                tree.chances[end] = tree.expected[node]
                end += 1
                rank += 1
