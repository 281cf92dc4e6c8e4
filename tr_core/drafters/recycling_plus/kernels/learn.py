"""What a scored draft of recycling_plus teaches: marks, what is usual, and the rows of all its
nodes.
"""

from __future__ import annotations

import numpy as np

from tr_core.drafters.recycling_plus.kernels import candidates as k
from tr_core.drafters.recycling_plus.kernels import features as m
from tr_core.drafters.recycling_plus.kernels import frequent_tokens as u
from tr_core.drafters.recycling_plus.kernels import rows as r
from tr_core.drafters.recycling_plus.kernels.grow import (
    END,
    OUT_NODE,
    OUT_PARENT,
    OUT_TOKEN,
    START,
    ask,
    look_up,
)
from tr_core.drafters.recycling_plus.kernels.numba_cache import inner


@inner
def end_of_path(parts, last, node, choice, free, longest, step):
    """Find all candidates there: the draft may have looked at a part of them, or at none."""
    found, tree = parts.found, parts.tree
    end = tree.out[node, OUT_NODE]
    look_up(tree, parts.text, end)
    ask(parts, last, end, free, longest, parts.rows.k, step)
    start, behind = tree.nodes[end, START], tree.nodes[end, END]
    rank = -1
    for at in range(start, behind):
        if found.told[at, k.TOKEN] == choice:
            rank = 0
            for other in range(start, behind):
                rank += found.chances[other] > found.chances[at]
    return behind - start, rank


@inner
def along_path(parts, path, choices, candidates, probabilities, rate, guesses):
    """Learn what marks are worth, and what is usual."""
    if rate:
        for node in path:
            grown = parts.tree.out[node, OUT_NODE]
            start, behind = parts.tree.nodes[grown, START], parts.tree.nodes[grown, END]
            k.correct(parts.found, parts.worth, start, behind, choices[node], rate)
        k.draw_back(parts.worth, parts.priors)
    if guesses:
        for node in path:
            u.add(parts.usual, candidates[node], probabilities[node])


@inner
def read_rows(parts, before):
    for n in range(len(before)):
        row = r.find(parts.rows, parts.tree.out[n, OUT_TOKEN] + 1)
        for place in range(before.shape[1]):
            before[n, place] = r.candidate(parts.rows, row, place) if row >= 0 else -1


@inner
def _write(rows, second, first, token, candidates, probabilities, longest, base, step):
    """Overwrite the rows of all keys of a place."""
    for n in range(rows.k):
        rows.desk[n] = m.probable(probabilities[n])
    for length in range(1, longest + 1):
        key = r.key_of(second, first, token, length, base)
        if key >= 0:
            r.write(rows, key, candidates, rows.desk, step)


@inner
def write_draft(parts, last, candidates, probabilities, longest, step):
    """Overwrite the rows of all nodes, the last of equal keys winning."""
    out, base = parts.tree.out, np.int64(len(parts.usual.line) + 1)
    for node in range(len(candidates)):
        second, first, token = last[0], last[1], out[node, OUT_TOKEN]
        if node:
            above = out[node, OUT_PARENT]
            first = out[above, OUT_TOKEN]
            second = out[out[above, OUT_PARENT], OUT_TOKEN] if above else last[1]
        _write(
            parts.rows, second, first, token, candidates[node], probabilities[node], longest, base, step
        )  # fmt: skip


@inner
def write_text(rows, tokens, candidates, probabilities, longest, base, step):
    """Overwrite the rows of places of a text; ``tokens`` (n + 2,) has the two before the first too,
    −1 for none.
    """
    for place in range(len(candidates)):
        second, first, token = tokens[place], tokens[place + 1], tokens[place + 2]
        _write(
            rows, second, first, token, candidates[place], probabilities[place], longest, base, step
        )  # fmt: skip
