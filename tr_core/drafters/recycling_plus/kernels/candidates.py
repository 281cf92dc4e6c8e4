"""The candidates of a node, from rows, look-ups and frequent tokens; their features and chances."""

from __future__ import annotations

from math import exp
from typing import NamedTuple

import numpy as np

from tr_core.drafters.recycling_plus.kernels import features as f
from tr_core.drafters.recycling_plus.kernels import rows as r
from tr_core.drafters.recycling_plus.kernels.features import Features
from tr_core.drafters.recycling_plus.kernels.frequent_tokens import (
    GUESSES,
    MAX_GUESSES,
    FrequentTokens,
)
from tr_core.drafters.recycling_plus.kernels.lookup import (
    COPY_LENGTH,
    COPY_POSITION,
    COPY_TOKEN,
    MAX_MATCHES,
)
from tr_core.drafters.recycling_plus.kernels.numba_cache import Int, inner

# Step of a weight for an error of 1, and how far each lesson draws it back to its prior.
RATE = 0.02
_DECAY = 0.002
# Of the rows of shorter keys, the first ranks only: what they have and the longest key's row lacks
# is seldom right.
_FALLBACK_RANKS = 3
# Columns of ``table``; the last holds all features, packed.
TOKEN, SOURCE, KEY, POSITION, FEATURES = range(5)
COLUMNS = 5
# Sources, and no key. Plain integers would compile functions again for each value.
FREQUENT, ROW, LOOKUP, _NO_KEY = (np.int64(n) for n in (0, 1, 2, 0))


class Model(NamedTuple):
    """The logistic regression over F feature values.

    Attributes:
        weights: (F,) float64 log-odds. priors: (F,) float64 the weights at first.
        rate: (1,) float64 step of a weight for an error of 1; 0 to learn nothing.
    """

    weights: np.ndarray
    priors: np.ndarray
    rate: np.ndarray


class Candidates(NamedTuple):
    """The candidates of all nodes that were expanded, M at most, those of one node together.

    Attributes:
        table: (M, 5) int64 token, source, tokens of the key or of the match, position of the match
            or −1, and features.
        chances: (M,) float64, given that the parent is on the path.
        used: (1,) int64 how many the draft has.
        copies: (MAX_MATCHES, 3) int64 what look-ups give at the node at hand.
    """

    table: np.ndarray
    chances: np.ndarray
    used: np.ndarray
    copies: np.ndarray


class Lookup(NamedTuple):
    """What look-ups give at a node.

    Attributes:
        copies: (size or more, 3) int64, as ``find_copies`` fills them.
        size: how many tokens. longest: length of the longest match, 0 for none.
    """

    copies: np.ndarray
    size: Int
    longest: Int


class Inputs(NamedTuple):
    """What the candidates of a node follow from.

    Attributes:
        weights: (F,) float64.
        context: the last tokens down to the node.
    """

    rows: r.Rows
    frequent: FrequentTokens
    weights: np.ndarray
    context: r.Context
    lookup: Lookup


class Origin(NamedTuple):
    """Where a candidate comes from: source, tokens of the key or match, position of the match."""

    source: Int
    key: Int
    position: Int


@inner
def per_node(k: Int) -> Int:
    """Candidates of one node at most."""
    return max(k + 2 * _FALLBACK_RANKS, MAX_GUESSES) + MAX_MATCHES


@inner
def chance(weights: np.ndarray, features: Features) -> float:
    """The chance of a candidate, given that its parent is on the path."""
    odds = (
        weights[features.source]
        + weights[features.rank]
        + weights[features.probability]
        + weights[features.lookup]
        + weights[features.age]
        + weights[features.agreement]
    )
    return 1.0 / (1.0 + exp(-odds))


@inner
def _find_copy(lookup: Lookup, token: Int) -> Int:
    """The line of a token in ``copies``, −1 if it is not there."""
    for copy in range(lookup.size):
        if lookup.copies[copy, COPY_TOKEN] == token:
            return copy
    return np.int64(-1)


@inner
def _look_up(lookup: Lookup, token: Int, source: Int, key: Int) -> tuple[Origin, Int]:
    """The origin and the look-up feature of a token that a source gives for a key.

    Where both a row and a match give the token, the origin is the one that saw more of the text.
    """
    copy = _find_copy(lookup, token)
    if copy < 0:
        return Origin(source, key, np.int64(-1)), f.of_other_copy(lookup.longest)
    length = lookup.copies[copy, COPY_LENGTH]
    feature = f.of_copy(length) if length == lookup.longest else np.int64(f.SHORTER_COPY)
    if length > key:
        return Origin(LOOKUP, length, lookup.copies[copy, COPY_POSITION]), feature
    return Origin(source, key, np.int64(-1)), feature


@inner
def _contains(candidates: Candidates, start: Int, end: Int, token: Int) -> bool:
    for n in range(start, end):  # noqa: SIM110 - numba does not compile generators
        if candidates.table[n, TOKEN] == token:
            return True
    return False


@inner
def _add(
    candidates: Candidates,
    weights: np.ndarray,
    end: Int,
    token: Int,
    origin: Origin,
    features: Features,
) -> Int:
    """Write a candidate after the last, and return the new end."""
    table = candidates.table
    table[end, TOKEN], table[end, FEATURES] = token, f.pack(features)
    table[end, SOURCE], table[end, KEY] = origin.source, origin.key
    table[end, POSITION] = origin.position
    candidates.chances[end] = chance(weights, features)
    return end + 1


@inner
def _longest_row(rows: r.Rows, context: r.Context) -> tuple[Int, Int]:
    """The row of the longest key that has one, and its tokens; 0 tokens if none has."""
    for length in range(rows.max_key, 0, -1):
        key = r.key_of(rows, context, length)
        row = r.find(rows, key) if key >= 0 else np.int64(-1)
        if row >= 0:
            return row, length
    return np.int64(-1), np.int64(0)


@inner
def _second_row(rows: r.Rows, context: r.Context, length: Int, row: Int) -> Int:
    """The row of a shorter key that another pass wrote, −1 if there is none.

    A pass writes the same row under all its keys, so such a row differs.
    """
    for shorter in range(length - 1, 0, -1):
        second = r.find(rows, r.key_of(rows, context, shorter))
        if second < 0:
            continue
        for rank in range(rows.k):
            if r.candidate(rows, second, rank) != r.candidate(rows, row, rank):
                return second
    return np.int64(-1)


@inner
def _rank_in(rows: r.Rows, row: Int, token: Int) -> Int:
    """The rank of a token in a row, −1 if the row lacks it."""
    for rank in range(rows.k):
        if r.candidate(rows, row, rank) == token:
            return rank
    return np.int64(-1)


@inner
def _add_row(
    inputs: Inputs, candidates: Candidates, end: Int, row: Int, length: Int, max_ranks: Int
) -> Int:
    """Add the candidates of the longest key's row."""
    rows = inputs.rows
    second = _second_row(rows, inputs.context, length, row)
    age = f.of_age(r.age(rows, row))
    for rank in range(min(rows.k, max_ranks)):
        token, agreement = r.candidate(rows, row, rank), np.int64(f.AGREEMENT)
        if second >= 0:
            agreement = f.of_agreement(_rank_in(rows, second, token))
        origin, copy = _look_up(inputs.lookup, token, ROW, length)
        features = Features(
            f.ROW + length,
            f.of_rank(rank),
            r.probability_feature(rows, row, rank),
            copy,
            age,
            agreement,
        )
        end = _add(candidates, inputs.weights, end, token, origin, features)
    return end


@inner
def _add_fallbacks(
    inputs: Inputs, candidates: Candidates, start: Int, end: Int, length: Int
) -> Int:
    """Add the first candidates of shorter keys' rows, without those that are there already."""
    rows = inputs.rows
    for shorter in range(length - 1, 0, -1):
        row = r.find(rows, r.key_of(rows, inputs.context, shorter))
        if row < 0:
            continue
        age = f.of_age(r.age(rows, row))
        for rank in range(min(rows.k, _FALLBACK_RANKS)):
            token = r.candidate(rows, row, rank)
            if _contains(candidates, start, end, token):
                continue
            origin, copy = _look_up(inputs.lookup, token, ROW, shorter)
            features = Features(
                f.FALLBACK[length, shorter],
                f.of_rank(rank),
                r.probability_feature(rows, row, rank),
                copy,
                age,
                np.int64(f.AGREEMENT),
            )
            end = _add(candidates, inputs.weights, end, token, origin, features)
    return end


@inner
def _add_frequent(inputs: Inputs, candidates: Candidates, end: Int) -> Int:
    """Add the text's frequent tokens."""
    frequent = inputs.frequent
    for rank in range(frequent.counts[GUESSES]):
        token = frequent.guesses[rank, 0]
        origin, copy = _look_up(inputs.lookup, token, FREQUENT, _NO_KEY)
        features = Features(
            np.int64(f.FREQUENT),
            f.of_rank(rank),
            frequent.guesses[rank, 1],
            copy,
            np.int64(f.NO_AGE),
            np.int64(f.AGREEMENT),
        )
        end = _add(candidates, inputs.weights, end, token, origin, features)
    return end


@inner
def _add_copies(inputs: Inputs, candidates: Candidates, start: Int, end: Int) -> Int:
    """Add what look-ups give, without the candidates that are there already."""
    for n in range(inputs.lookup.size):
        token = inputs.lookup.copies[n, COPY_TOKEN]
        if _contains(candidates, start, end, token):
            continue
        origin, copy = _look_up(inputs.lookup, token, LOOKUP, _NO_KEY)
        features = Features(
            np.int64(f.COPIED),
            np.int64(f.NO_RANK),
            np.int64(f.NO_PROBABILITY),
            copy,
            np.int64(f.NO_AGE),
            np.int64(f.AGREEMENT),
        )
        end = _add(candidates, inputs.weights, end, token, origin, features)
    return end


@inner
def lookup_of(copies: np.ndarray, size: Int) -> Lookup:
    """The look-up of so many copies."""
    longest = np.int64(0)
    for copy in range(size):
        longest = max(longest, copies[copy, COPY_LENGTH])
    return Lookup(copies, size, longest)


@inner
def collect(inputs: Inputs, candidates: Candidates, start: Int, max_ranks: Int) -> Int:
    """Collect the candidates of a node: no token twice, in no order.

    Args:
        candidates: takes them.
        start: where to write them.
        max_ranks: how many ranks of the longest key's row to use; unless these are all, shorter
            keys and frequent tokens are left out.

    Returns:
        The end of the candidates.
    """
    rows, end = inputs.rows, start
    row, length = _longest_row(rows, inputs.context)
    if length:
        end = _add_row(inputs, candidates, end, row, length, max_ranks)
        if max_ranks >= rows.k:
            end = _add_fallbacks(inputs, candidates, start, end, length)
    elif max_ranks >= rows.k:
        end = _add_frequent(inputs, candidates, end)
    return _add_copies(inputs, candidates, start, end)


@inner
def update(model: Model, candidates: Candidates, start: Int, end: Int, choice: Int) -> None:
    """Learn from the candidates of a node of the path, where the model chose ``choice``."""
    weights = model.weights
    for n in range(start, end):
        features = f.unpack(candidates.table[n, FEATURES])
        error = (candidates.table[n, TOKEN] == choice) - chance(weights, features)
        step = model.rate[0] * error
        weights[features.source] += step
        weights[features.rank] += step
        weights[features.probability] += step
        weights[features.lookup] += step
        weights[features.age] += step
        weights[features.agreement] += step


@inner
def decay(model: Model) -> None:
    """Draw all weights a little back to their priors."""
    for n in range(len(model.weights)):
        model.weights[n] += _DECAY * (model.priors[n] - model.weights[n])
