"""The marks of a candidate that recycling_plus knows, numbered through, and what each is worth at
first.

The priors were fitted over runs of the bundled model and of two made of it by noise on the weights,
on one half of the prompts of ``benchmarks/drafting/ablation.py``, and rounded. ``benchmarks/drafting/fit_features.py``
fits them so; its numbers are near these and not the same, as it came after. They are a start: what
is accepted moves them (``known.py``).
"""

from __future__ import annotations

import numpy as np

from tr_core.drafters.recycling_plus.kernels.numba_cache import inner

# Which row: that of the longest key that is known, of one, two or three tokens; of a shorter key
# behind it; or none.
ROW = -1  # plus the tokens of the key
FALLBACK = np.array(
    [[0, 0, 0, 0], [0, 0, 0, 0], [0, 5, 0, 0], [0, 4, 3, 0]]
)  # by the tokens of both keys
COPIED = 6
# Nothing is known there: a token that is usual in the text. Its rank and chance are those among the
# usual ones.
USUAL = 7
_KINDS = (-2.7, -2.25, -2.2, -3.2, -4.3, -3.4, -3.1, -2.85)

# Place in the row; the last stands for all behind it.
RANK = len(_KINDS)
_RANKS = (1.2, 0.35, 0.15, -0.1, -0.15, -0.3, -0.4, -0.35)
RANKS = len(_RANKS)
NO_RANK = RANK + RANKS

# How probable the model found it when the row was written: below each of these, and above the last.
CHANCE = NO_RANK + 1
CHANCES = np.array(
    [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95, 0.99], dtype=np.float32
)
_CHANCES = (-1.95, -1.95, -1.8, -1.4, -0.75, -0.5, 0.1, 0.45, 0.8, 1.15, 1.4, 1.55, 1.75, 1.7)
NO_CHANCE = CHANCE + len(_CHANCES)

# What look-ups say. Another token than this, by the length of the longest match; 0 if nothing in
# the text matches.
OTHER = NO_CHANCE + 1
_OTHER = (0.0, -0.2, -0.8, -0.7, -1.05, -1.6, -2.2, -3.3)
# This token, by the length of the longest match; or this token, but by a shorter match than
# another.
THIS = OTHER + len(_OTHER)
_THIS = (0.25, 1.05, 1.1, 1.4, 2.15, 3.05, 3.85)
SHORTER = THIS + len(_THIS)
_LENGTHS = np.array([1, 2, 3, 4, 6, 9, 16])

# Steps since the row was written: below each of these, and above the last.
AGED = SHORTER + 1
AGES = np.array([1, 2, 7, 22, 64])
_AGES = (0.45, 0.3, 0.25, 0.1, -0.25, -0.2)
NO_AGE = AGED + len(_AGES)

# What the row of a shorter key says that another pass wrote: nothing, as there is none; this token
# first, second or third, further behind, or not at all.
AGREE = NO_AGE + 1
AGREE_ABSENT = AGREE + 4
_AGREE = (0.0, 1.55, -0.1, -0.2, -0.55)
_AGREE_BY_RANK = np.array([1, 2, 2, 3])

PRIORS = (*_KINDS, *_RANKS, 0.0, *_CHANCES, 0.0, *_OTHER, *_THIS, -1.1, *_AGES, 0.0, *_AGREE)


@inner
def _up_to(edges, number):
    """How many edges are not above ``number``."""
    found = 0
    while found < len(edges) and edges[found] <= number:
        found += 1
    return found


@inner
def other(length):
    """The mark of a token that look-ups do not give, where the longest match has this length, 0 for
    none.
    """
    return OTHER + _up_to(_LENGTHS, length)


@inner
def this(length):
    """The mark of the token that the longest match gives, by its length, from 1."""
    return THIS + _up_to(_LENGTHS, length) - 1


@inner
def ranked(place):
    """The mark of a place in a row."""
    return RANK + min(place, RANKS - 1)


@inner
def probable(probability):
    """The mark of a probability."""
    return CHANCE + _up_to(CHANCES, probability)


@inner
def aged(steps):
    """The mark of a row written so many steps ago."""
    return AGED + _up_to(AGES, steps)


@inner
def agreeing(rank):
    """The mark of a token that another row holds at this place; −1 if it does not."""
    return AGREE_ABSENT if rank < 0 else AGREE + _AGREE_BY_RANK[min(rank, 3)]
