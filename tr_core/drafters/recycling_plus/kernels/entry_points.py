"""The compiled functions that Python calls; each takes the three arrays of ``Memory`` first."""

from __future__ import annotations

import numpy as np

from tr_core.drafters.recycling_plus.kernels import frequent_tokens, grow, lookup, rows
from tr_core.drafters.recycling_plus.kernels import learn as learning
from tr_core.drafters.recycling_plus.kernels.arrays import parts_of
from tr_core.drafters.recycling_plus.kernels.numba_cache import Int, compiled


@compiled
def begin(int32: np.ndarray, int64: np.ndarray, float64: np.ndarray) -> None:
    """Start a new text."""
    parts = parts_of(int32, int64, float64)
    lookup.clear(parts.text)
    frequent_tokens.clear(parts.frequent)


@compiled
def read(
    int32: np.ndarray,
    int64: np.ndarray,
    float64: np.ndarray,
    tokens: np.ndarray,
    candidates: np.ndarray,
    probabilities: np.ndarray,
) -> None:
    """Learn from n tokens of the prompt.

    Args:
        tokens: (n + 2,) int64 theirs, after the two before them; −1 for none.
        candidates: (n, k) int32. probabilities: (n, k) float32.
    """
    parts = parts_of(int32, int64, float64)
    learning.write_text(parts.rows, tokens, candidates, probabilities)
    frequent_tokens.add_text(parts.frequent, candidates, probabilities)


@compiled
def draft(
    int32: np.ndarray,
    int64: np.ndarray,
    float64: np.ndarray,
    added: np.ndarray,
    max_nodes: Int,
    terms: np.ndarray,
) -> tuple[int, bool]:
    """Grow a draft after the tokens of ``Tree.context``.

    Args:
        added: (n,) int64 new tokens of the text that look-ups may copy.
        max_nodes: how many nodes may enter.
        terms: (4, max_nodes + 1 or more), as of ``GrownTreeBudget``; zeros admit all.

    Returns:
        The nodes that entered, and whether any could have.
    """
    parts = parts_of(int32, int64, float64)
    lookup.extend(parts.text, added)
    count, offered = grow.grow(parts, max_nodes, terms)
    return int(count), offered


@compiled
def list_breadth_first(
    int32: np.ndarray, int64: np.ndarray, float64: np.ndarray, mask: np.ndarray
) -> None:
    """Cut the draft to the size of ``mask``, and list it; see ``grow.list_breadth_first``."""
    parts = parts_of(int32, int64, float64)
    grow.list_breadth_first(parts.candidates, parts.tree, mask)


@compiled
def learn(
    int32: np.ndarray,
    int64: np.ndarray,
    float64: np.ndarray,
    path: np.ndarray,
    choices: np.ndarray,
    candidates: np.ndarray,
    probabilities: np.ndarray,
    before: np.ndarray,
) -> tuple[int, int]:
    """Learn from the draft of N nodes after it was scored, and go to the next step.

    Args:
        path: (n,) nodes from the root to the last accepted one.
        choices: (N + 1,) int64 the model's.
        candidates: (N + 1, k) int32. probabilities: (N + 1, k) float32.
        before: (N + 1, k) int32, filled with the old rows of single tokens, −1 where there is none;
            or (0, k).

    Returns:
        As ``learn.end_of_path``.
    """
    parts = parts_of(int32, int64, float64)
    count, rank = learning.end_of_path(parts, path[-1], choices[path[-1]])
    learning.learn_path(parts, path, choices, candidates, probabilities)
    learning.read_rows(parts, before)
    learning.write_draft(parts, candidates, probabilities)
    parts.rows.step[0] += 1
    return int(count), int(rank)


@compiled
def list_rows(int32: np.ndarray, int64: np.ndarray, float64: np.ndarray, order: np.ndarray) -> None:
    """List all rows, (n,) int64, in the order in which they were written."""
    rows.list_by_age(parts_of(int32, int64, float64).rows, order)


@compiled
def fill_rows(
    int32: np.ndarray,
    int64: np.ndarray,
    float64: np.ndarray,
    keys: np.ndarray,
    ids: np.ndarray,
    probability_features: np.ndarray,
    steps: np.ndarray,
) -> None:
    """Write n rows.

    Args:
        keys: (n,) int64. ids: (n, k) int32 candidates.
        probability_features: (n, k) uint8. steps: (n,) int32 when each was written.
    """
    table = parts_of(int32, int64, float64).rows
    for n in range(len(keys)):
        rows.write(table, keys[n], ids[n], probability_features[n], steps[n])
