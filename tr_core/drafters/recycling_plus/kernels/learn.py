"""What a scored draft teaches: weights, frequent tokens, and the rows of all its nodes."""

from __future__ import annotations

import numpy as np

from tr_core.drafters.recycling_plus.kernels import candidates as c
from tr_core.drafters.recycling_plus.kernels import features, frequent_tokens
from tr_core.drafters.recycling_plus.kernels import rows as r
from tr_core.drafters.recycling_plus.kernels.grow import (
    END,
    LISTED_NODE,
    LISTED_PARENT,
    LISTED_TOKEN,
    START,
    Parts,
    expand,
    find_matches,
)
from tr_core.drafters.recycling_plus.kernels.numba_cache import Int, inner


@inner
def end_of_path(parts: Parts, node: Int, choice: Int) -> tuple[Int, Int]:
    """Collect all candidates at the end of the path: the draft may have used a part, or none.

    Returns:
        How many there are, and the rank of the model's choice among them by chance; −1 if it is
        not among them.
    """
    candidates, tree = parts.candidates, parts.tree
    last = tree.listed[node, LISTED_NODE]
    find_matches(tree, parts.text, last)
    expand(parts, last, candidates.used[0], parts.rows.k)
    start, end = tree.nodes[last, START], tree.nodes[last, END]
    rank = -1
    for n in range(start, end):
        if candidates.table[n, c.TOKEN] == choice:
            rank = 0
            for other in range(start, end):
                rank += candidates.chances[other] > candidates.chances[n]
    return end - start, rank


@inner
def learn_path(
    parts: Parts,
    path: np.ndarray,
    choices: np.ndarray,
    candidates: np.ndarray,
    probabilities: np.ndarray,
) -> None:
    """Update weights and frequent tokens along the path."""
    if parts.model.rate[0]:
        for node in path:
            entry = parts.tree.listed[node, LISTED_NODE]
            start, end = parts.tree.nodes[entry, START], parts.tree.nodes[entry, END]
            c.update(parts.model, parts.candidates, start, end, choices[node])
        c.decay(parts.model)
    for node in path:
        frequent_tokens.add(parts.frequent, candidates[node], probabilities[node])


@inner
def read_rows(parts: Parts, before: np.ndarray) -> None:
    """Copy the rows of the first nodes' single tokens, (n, k); −1 where there is none."""
    for node in range(len(before)):
        row = r.find(parts.rows, parts.tree.listed[node, LISTED_TOKEN] + 1)
        for rank in range(before.shape[1]):
            before[node, rank] = r.candidate(parts.rows, row, rank) if row >= 0 else -1


@inner
def _write(
    rows: r.Rows, context: r.Context, candidates: np.ndarray, probabilities: np.ndarray, step: Int
) -> None:
    """Overwrite the rows of all keys at a position."""
    for rank in range(rows.k):
        rows.scratch[rank] = features.of_probability(probabilities[rank])
    for length in range(1, rows.max_key + 1):
        key = r.key_of(rows, context, length)
        if key >= 0:
            r.write(rows, key, candidates, rows.scratch, step)


@inner
def write_draft(parts: Parts, candidates: np.ndarray, probabilities: np.ndarray) -> None:
    """Overwrite the rows of all nodes as of the next step; of equal keys the last one wins."""
    listed, before = parts.tree.listed, parts.tree.context
    for node in range(len(candidates)):
        second, first = before[0], before[1]
        if node:
            parent = listed[node, LISTED_PARENT]
            first = listed[parent, LISTED_TOKEN]
            second = listed[listed[parent, LISTED_PARENT], LISTED_TOKEN] if parent else before[1]
        context = r.Context(second, first, listed[node, LISTED_TOKEN])
        step = parts.rows.step[0] + 1
        _write(parts.rows, context, candidates[node], probabilities[node], step)


@inner
def write_text(
    rows: r.Rows, tokens: np.ndarray, candidates: np.ndarray, probabilities: np.ndarray
) -> None:
    """Overwrite the rows of n positions of a text.

    Args:
        tokens: (n + 2,) theirs, after the two before them; −1 for none.
    """
    for n in range(len(candidates)):
        context = r.Context(tokens[n], tokens[n + 1], tokens[n + 2])
        _write(rows, context, candidates[n], probabilities[n], rows.step[0])
