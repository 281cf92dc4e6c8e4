"""The features of a candidate, with all their values numbered in one row, and the first weights.

The weights were fitted over runs of the bundled model and of two copies of it with noisy weights,
on one half of the prompts of ``benchmarks/drafting/ablation.py``, and rounded. The script
``benchmarks/drafting/fit_features.py`` came later: its numbers are near these, not equal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tr_core.drafters.recycling_plus.kernels.numba_cache import Int, inner

# Source: the row of the longest key that has one, of one, two or three tokens; the row of a
# shorter key; a copy from the text that no row has; or, where nothing else is known, a frequent
# token, whose rank and probability are those among the frequent ones.
ROW = -1  # plus the tokens of the key
FALLBACK = np.array(
    [[0, 0, 0, 0], [0, 0, 0, 0], [0, 5, 0, 0], [0, 4, 3, 0]]
)  # by the tokens of both keys
COPIED = 6
FREQUENT = 7
_SOURCES = (-2.7, -2.25, -2.2, -3.2, -4.3, -3.4, -3.1, -2.85)

# Rank in the row; the last value is for all later ranks.
RANK = len(_SOURCES)
_RANKS = (1.2, 0.35, 0.15, -0.1, -0.15, -0.3, -0.4, -0.35)
NO_RANK = RANK + len(_RANKS)

# The model's probability when the row was written: below each edge, and above the last.
PROBABILITY = NO_RANK + 1
PROBABILITY_EDGES = np.array(
    [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95, 0.99], dtype=np.float32
)
_PROBABILITIES = (
    -1.95, -1.95, -1.8, -1.4, -0.75, -0.5, 0.1, 0.45, 0.8, 1.15, 1.4, 1.55, 1.75, 1.7,
)  # fmt: skip
NO_PROBABILITY = PROBABILITY + len(_PROBABILITIES)

# Look-up, where it gives other tokens than this: by the length of the longest match, 0 for none.
OTHER_COPY = NO_PROBABILITY + 1
_OTHER_COPIES = (0.0, -0.2, -0.8, -0.7, -1.05, -1.6, -2.2, -3.3)
# Look-up, where the longest match gives this token: by its length. Or where a shorter one does.
THIS_COPY = OTHER_COPY + len(_OTHER_COPIES)
_THIS_COPIES = (0.25, 1.05, 1.1, 1.4, 2.15, 3.05, 3.85)
SHORTER_COPY = THIS_COPY + len(_THIS_COPIES)
_LENGTH_EDGES = np.array([1, 2, 3, 4, 6, 9, 16])

# Age of the row in steps: below each edge, and above the last.
AGE = SHORTER_COPY + 1
_AGE_EDGES = np.array([1, 2, 7, 22, 64])
_AGES = (0.45, 0.3, 0.25, 0.1, -0.25, -0.2)
NO_AGE = AGE + len(_AGES)

# Agreement of a shorter key's row that another pass wrote: there is no such row; it has this token
# first, second or third, at a later rank, or not at all.
AGREEMENT = NO_AGE + 1
NO_AGREEMENT = AGREEMENT + 4
_AGREEMENTS = (0.0, 1.55, -0.1, -0.2, -0.55)
_AGREEMENT_BY_RANK = np.array([1, 2, 2, 3])

PRIORS = (
    *_SOURCES, *_RANKS, 0.0, *_PROBABILITIES, 0.0, *_OTHER_COPIES, *_THIS_COPIES, -1.1, *_AGES, 0.0,
    *_AGREEMENTS,
)  # fmt: skip
COUNT = len(PRIORS)


class Features(NamedTuple):
    """The six features of a candidate; each value is the index of its weight."""

    source: Int
    rank: Int
    probability: Int
    lookup: Int
    age: Int
    agreement: Int


@inner
def pack(features: Features) -> Int:
    """Six features in one number, eight bits each."""
    return (
        features.source
        | features.rank << 8
        | features.probability << 16
        | features.lookup << 24
        | features.age << 32
        | features.agreement << 40
    )


@inner
def unpack(packed: Int) -> Features:
    """What ``pack`` took."""
    return Features(
        packed & 255,
        packed >> 8 & 255,
        packed >> 16 & 255,
        packed >> 24 & 255,
        packed >> 32 & 255,
        packed >> 40,
    )


@inner
def _edges_below(edges: np.ndarray, number: float | Int) -> Int:
    """How many edges are not above ``number``."""
    count = 0
    while count < len(edges) and edges[count] <= number:
        count += 1
    return count


@inner
def of_other_copy(length: Int) -> Int:
    """The look-up feature of a token that no match gives; the longest has this length, or 0."""
    return OTHER_COPY + _edges_below(_LENGTH_EDGES, length)


@inner
def of_copy(length: Int) -> Int:
    """The look-up feature of the token that the longest match gives, by its length, from 1."""
    return THIS_COPY + _edges_below(_LENGTH_EDGES, length) - 1


@inner
def of_rank(rank: Int) -> Int:
    """The feature of a rank in a row."""
    return RANK + min(rank, NO_RANK - RANK - 1)


@inner
def of_probability(probability: float) -> Int:
    """The feature of a probability."""
    return PROBABILITY + _edges_below(PROBABILITY_EDGES, probability)


@inner
def of_age(steps: Int) -> Int:
    """The feature of a row written so many steps ago."""
    return AGE + _edges_below(_AGE_EDGES, steps)


@inner
def of_agreement(rank: Int) -> Int:
    """The feature of a token that another row holds at this rank; −1 if it does not hold it."""
    return NO_AGREEMENT if rank < 0 else AGREEMENT + _AGREEMENT_BY_RANK[min(rank, 3)]
