"""The compiled loops of recycling_plus that Python calls. Each takes the three arrays of a
``Memory`` first.
"""

from __future__ import annotations

import numpy as np

from tr_core.drafters.recycling_plus.kernels import frequent_tokens as usual
from tr_core.drafters.recycling_plus.kernels import grow as growing
from tr_core.drafters.recycling_plus.kernels import learn as learning
from tr_core.drafters.recycling_plus.kernels import lookup as text
from tr_core.drafters.recycling_plus.kernels import rows
from tr_core.drafters.recycling_plus.kernels.arrays import parts
from tr_core.drafters.recycling_plus.kernels.numba_cache import compiled


@compiled
def begin(small, numbers, reals):
    """A new text."""
    mine = parts(small, numbers, reals)
    text.clear(mine.text)
    usual.clear(mine.usual)


@compiled
def read(small, numbers, reals, tokens, candidates, probabilities, longest, step, guesses):
    """Learn from a part of the prompt.

    Args:
        tokens: (n + 2,) int64 the two before the part, −1 if there are none, and its own.
        candidates: (n, k) int32. probabilities: (n, k) float32.
        longest: tokens of a key at most.
        step: the present one.
        guesses: whether to learn what is usual.
    """
    mine = parts(small, numbers, reals)
    learning.write_text(
        mine.rows,
        tokens,
        candidates,
        probabilities,
        longest,
        np.int64(len(mine.usual.line) + 1),
        step,
    )
    if guesses:
        usual.add_text(mine.usual, candidates, probabilities)


@compiled
def draft(small, numbers, reals, last, more, copying, longest, step, nodes, terms):
    """Grow a draft.

    Args:
        last: (3,) int64 the last tokens of the text, −1 where it has none.
        more: (n,) int64 what the text has gained, to be copied from, if ``copying``.
        nodes: at most. terms: (4, nodes + 1 or more) as of ``GrownTreeBudget``; with zeros all are admitted.

    Returns:
        Nodes taken in, whether any was offered, and where the candidates end.
    """
    mine = parts(small, numbers, reals)
    if copying:
        text.extend(mine.text, more)
    return growing.grow(mine, last, longest, step, nodes, terms)


@compiled
def number(small, numbers, reals, mask):
    """Cut the draft to the nodes that ``mask`` has room for, and tell them breadth-first; see
    ``growing.number``.
    """
    mine = parts(small, numbers, reals)
    growing.number(mine.found, mine.tree, mask)


@compiled
def learn(
    small, numbers, reals, last, path, choices, candidates, probabilities, before, free, longest, step, rate, guesses
):  # fmt: skip
    """Learn from the draft, which has been scored.

    Args:
        path: (n,) its nodes from the root to the last that was accepted. choices: (N + 1,) the
            model's.
        candidates: (N + 1, k) int32. probabilities: (N + 1, k) float32.
        before: (N + 1, k) int32, takes the rows of single tokens as they were, −1 where there is
            none; or no line.
        free: where the draft's candidates end.
        rate: how fast marks learn; 0 for never.

    Returns:
        How many candidates were known at the end of the path, and the place of the model's choice
            among them, by
        chance; −1 if it was none of them.
    """
    mine = parts(small, numbers, reals)
    held = learning.end_of_path(mine, last, path[-1], choices[path[-1]], free, longest, step)
    learning.along_path(mine, path, choices, candidates, probabilities, rate, guesses)
    learning.read_rows(mine, before)
    learning.write_draft(mine, last, candidates, probabilities, longest, step + 1)
    return held


@compiled
def written(small, numbers, reals, order):
    """List all rows, (n,) int64, in the order of their writing."""
    rows.written(parts(small, numbers, reals).rows, order)


@compiled
def fill(small, numbers, reals, keys, ids, marks, steps):
    """Write rows: (n,) int64, (n, k) int32, (n, k) uint8, and (n,) int32 when each was written
    first.
    """
    mine = parts(small, numbers, reals).rows
    for n in range(len(keys)):
        rows.write(mine, keys[n], ids[n], marks[n], steps[n])
