"""A draft of recycling_plus: which nodes, in the order in which they are taken in, and then
breadth-first.

As in ``drafters/growing.py``, the node taken in next is always the one with the greatest chance of
being on the path, and a node is asked for its children only when these may come in.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tr_core.budget.grown_tree_budget import PRICE, SUMS, TRUST, WORTH
from tr_core.drafters.recycling_plus.kernels import candidates as k
from tr_core.drafters.recycling_plus.kernels import lookup as t
from tr_core.drafters.recycling_plus.kernels.numba_cache import inner
from tr_core.trees.tree import MAX_K

# Below nodes less likely than these only three places of a row are looked at, or one: the others
# would hardly be taken in, by a large tree either.
_LIKELY, _UNLIKELY, _FEW = 0.15, 0.01, 3
# Columns of ``nodes``: token, parent, levels below the root; the candidates of a node, from … to,
# from −1 if it was not asked for them; its matches, from … to; and as which of its parent's
# candidates it came.
TOKEN, PARENT, DEPTH, START, END, _MATCHES, _MATCHED, CAME = range(8)
# Of ``heap``: when it was put in, the parent, and which of its children; −1 if it is yet to be
# asked for them.
_PUT, _ABOVE, _WHICH = range(3)
_NONE, _TO_ASK = np.int64(0), np.int64(-1)
# Of ``out``: the columns told of a node.
OUT_TOKEN, OUT_PARENT, OUT_RANK, OUT_DEPTH, OUT_KIND, OUT_KEY, OUT_WHERE, OUT_NODE = range(8)
COLUMNS, HEAP_COLUMNS, OUT_COLUMNS = 8, 3, 8


class Tree(NamedTuple):
    """A tree under growth, N nodes at most, node 0 the root.

    Attributes:
        nodes: (N + 1, 8) int64 in the order in which they were taken in.
        expected: (N + 1,) float64 chance of each to be on the path; 1 for the root.
        listed: (M,) int64 candidates of each node, the likeliest first. shares: (M,) float64 their
            chances, which are those of ``Found``, or less where these come to more than 1: only one
            child is the model's choice.
        matches: (X, 2) int64 matches of the text's end and of the nodes that were asked.
        keys: (2 N + 2,) float64, a heap of what may come in next. heap: (2 N + 2, 3) int64 about
            the same.
        branch: (N + 1,) int64 tokens from below the root down to the node at hand.
        out: (N + 1, 8) int64 of the nodes breadth-first. chances: (N + 1,) float64 the same's.
    """

    nodes: np.ndarray
    expected: np.ndarray
    listed: np.ndarray
    shares: np.ndarray
    matches: np.ndarray
    keys: np.ndarray
    heap: np.ndarray
    branch: np.ndarray
    out: np.ndarray
    chances: np.ndarray


@inner
def _before(keys, heap, a, b):
    return keys[a] < keys[b] or (keys[a] == keys[b] and heap[a, _PUT] < heap[b, _PUT])


@inner
def _swap(keys, heap, a, b):
    keys[a], keys[b] = keys[b], keys[a]
    for column in range(heap.shape[1]):
        heap[a, column], heap[b, column] = heap[b, column], heap[a, column]


@inner
def _push(tree, size, chance, put, above, which):
    keys, heap, at = tree.keys, tree.heap, size
    keys[at], heap[at, _PUT], heap[at, _ABOVE], heap[at, _WHICH] = -chance, put, above, which
    while at and _before(keys, heap, at, (at - 1) // 2):
        _swap(keys, heap, at, (at - 1) // 2)
        at = (at - 1) // 2
    return size + 1


@inner
def _pop(tree, size):
    keys, heap, at, size = tree.keys, tree.heap, 0, size - 1
    _swap(keys, heap, 0, size)
    while True:
        least = at
        for child in range(2 * at + 1, 2 * at + 3):
            if child < size and _before(keys, heap, child, least):
                least = child
        if least == at:
            return size
        _swap(keys, heap, at, least)
        at = least


@inner
def look_up(tree, text, node):
    """Find the matches behind a node, from those behind its parent, and its branch."""
    nodes, depth, above = tree.nodes, tree.nodes[node, DEPTH], node
    for level in range(depth - 1, -1, -1):
        tree.branch[level] = nodes[above, TOKEN]
        above = nodes[above, PARENT]
    if node == 0:
        return
    parent = nodes[node, PARENT]
    behind = nodes[node, _MATCHES]
    for n in range(nodes[parent, _MATCHES], nodes[parent, _MATCHED]):
        if t.next_token(text, tree.matches[n, 0], tree.branch, depth - 1) == nodes[node, TOKEN]:
            tree.matches[behind, 0], tree.matches[behind, 1] = (
                tree.matches[n, 0] + 1,
                tree.matches[n, 1] + 1,
            )
            behind += 1
    nodes[node, _MATCHED] = behind


@inner
def ask(parts, last, node, free, longest, most, step):
    """Find the candidates of a node, whose matches are known.

    Args:
        last: (3,) the last tokens of the text, −1 where it has none.
        free: where candidates may be written.

    Returns:
        Behind the last candidate.
    """
    tree, found = parts.tree, parts.found
    nodes, depth = tree.nodes, tree.nodes[node, DEPTH]
    mine = tree.matches[nodes[node, _MATCHES] : nodes[node, _MATCHED]]
    copies = t.copies(parts.text, mine, tree.branch, depth, found.copies)
    second, first, above = last[0], last[1], nodes[node, PARENT]
    if depth:
        first = nodes[above, TOKEN]
        second = nodes[nodes[above, PARENT], TOKEN] if depth > 1 else last[1]
    end = k.known(parts, free, copies, second, first, nodes[node, TOKEN], longest, most, step)
    nodes[node, START], nodes[node, END] = free, end
    return end


@inner
def _list(tree, found, start, end):
    """Put candidates in order, and see that their chances do not come to more than can be."""
    total = 0.0
    for at in range(start, end):
        chance, place = found.chances[at], at
        while place > start and found.chances[tree.listed[place - 1]] < chance:
            tree.listed[place] = tree.listed[place - 1]
            place -= 1
        tree.listed[place] = at
    for at in range(start, end):
        total += found.chances[tree.listed[at]]
    for at in range(start, end):
        tree.shares[at] = found.chances[tree.listed[at]] / max(total, 1.0)


@inner
def _take_in(tree, node, token, parent, expected, came):
    nodes = tree.nodes
    nodes[node, TOKEN], nodes[node, PARENT], nodes[node, CAME] = token, parent, came
    nodes[node, DEPTH] = nodes[parent, DEPTH] + 1
    nodes[node, START] = -1
    nodes[node, _MATCHES] = nodes[node, _MATCHED] = node * t.PLACES
    tree.expected[node] = expected


@inner
def _plant(tree, text, root):
    tree.nodes[0, TOKEN], tree.nodes[0, PARENT], tree.nodes[0, DEPTH], tree.nodes[0, START] = (
        root,
        -1,
        0,
        -1,
    )
    tree.nodes[0, _MATCHES], tree.nodes[0, _MATCHED] = 0, text.sizes[1]
    for n in range(text.sizes[1]):
        tree.matches[n, 0], tree.matches[n, 1] = text.matches[n, 0], text.matches[n, 1]
    tree.expected[0] = 1.0


@inner
def _admits(terms, place, chance):
    """``GrownTreeBudget.admits``."""
    trusted = chance * terms[TRUST, place]
    if trusted + terms[WORTH, place] < terms[PRICE, place]:
        return False
    terms[SUMS, place] = terms[SUMS, place - 1] + trusted
    return True


@inner
def grow(parts, last, longest, step, nodes, terms):
    """Grow a tree of up to ``nodes`` nodes, or of those that ``terms`` admit; see ``draft``."""
    tree = parts.tree
    _plant(tree, parts.text, last[2])
    terms[SUMS, 0] = 1.0
    size = pushed = taken = free = _NONE  # a plain 0 would have functions compiled for it alone
    size = _push(tree, size, 1.0, pushed, taken, _TO_ASK)
    offered = False
    while size and taken < nodes:
        chance, node, which = -tree.keys[0], tree.heap[0, _ABOVE], tree.heap[0, _WHICH]
        if which < 0:
            size = _pop(tree, size)
            most = parts.rows.k if chance > _LIKELY else _FEW if chance > _UNLIKELY else 1
            look_up(tree, parts.text, node)
            free = ask(parts, last, node, free, longest, most, step)
            _list(tree, parts.found, tree.nodes[node, START], free)
            which = 0
        else:
            offered = True
            if not _admits(terms, taken + 1, chance):
                break
            size = _pop(tree, size)
            taken += 1
            came = tree.listed[tree.nodes[node, START] + which]
            _take_in(tree, taken, parts.found.told[came, k.TOKEN], node, chance, came)
            pushed += 1
            if taken < nodes:
                size = _push(tree, size, chance, pushed, taken, _TO_ASK)
            which += 1
        # A sibling waits until the one before it is in.
        start, end = tree.nodes[node, START], tree.nodes[node, END]
        if which < end - start and which < MAX_K:
            pushed += 1
            chance = tree.expected[node] * min(tree.shares[start + which], 1.0)
            size = _push(tree, size, chance, pushed, node, which)
    return taken, offered, free


@inner
def number(found, tree, mask):
    """Tell the root and the first nodes breadth-first, as many as ``mask`` has room for; ranks are
    places of siblings.

    Args:
        mask: (n + 1, n + 1) bool, all false; true then where the column's node is the row's or
            stands above it.
    """
    out, nodes = tree.out, tree.nodes
    out[0, OUT_TOKEN], out[0, OUT_PARENT], out[0, OUT_RANK], out[0, OUT_NODE] = (
        nodes[0, TOKEN],
        -1,
        -1,
        0,
    )
    out[0, OUT_DEPTH] = 0
    tree.chances[0], mask[0, 0] = 1.0, True
    behind = 1
    for place in range(len(mask)):
        rank = 0
        for node in range(1, len(mask)):
            if nodes[node, PARENT] == out[place, OUT_NODE]:
                came = nodes[node, CAME]
                out[behind, OUT_TOKEN], out[behind, OUT_NODE] = nodes[node, TOKEN], node
                out[behind, OUT_PARENT], out[behind, OUT_RANK] = place, rank
                out[behind, OUT_DEPTH] = nodes[node, DEPTH]
                for above in range(place + 1):
                    mask[behind, above] = mask[place, above]
                mask[behind, behind] = True
                out[behind, OUT_KIND], out[behind, OUT_KEY] = (
                    found.told[came, k.KIND],
                    found.told[came, k.KEY],
                )
                out[behind, OUT_WHERE] = found.told[came, k.WHERE]
                tree.chances[behind] = tree.expected[node]
                behind += 1
                rank += 1
