"""Tokens that a model finds probable all over a text: guesses after a token without any row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tr_core.drafters.recycling_plus.kernels import features
from tr_core.drafters.recycling_plus.kernels.numba_cache import Int, inner

# How many tokens are guessed at most, and positions of the text between two updates of the guesses.
MAX_GUESSES = 16
_INTERVAL = 8
# How much an earlier position counts against the next one; and how many tokens are kept when there
# are more than twice as many.
_DECAY = 0.99
_KEPT = 128
_MAX_UNIT = 1e6
# Of ``sums``: all probability so far; what a position counts now (instead of shrinking old ones,
# new ones grow); and how many positions there were.
_TOTAL, _UNIT, _POSITIONS = range(3)
# Of ``counts``: tokens that are kept, and guesses.
_TOKENS, GUESSES = range(2)


class FrequentTokens(NamedTuple):
    """Probabilities summed over the positions of the text, the newest counting most.

    Attributes:
        slots: (V,) int32 the slot + 1 of each token that is kept, 0 for all others.
        tokens: (R,) int64 the tokens kept, by slot. mass: (R,) float64 their probabilities.
        guesses: (MAX_GUESSES, 2) int64 the tokens to guess, the most frequent first, and the
            feature of each one's share of the probability.
        sums: (3,) float64.
        counts: (2,) int64.
        scratch: (MAX_GUESSES,) int64.
        enabled: 1; 0 if nothing is ever added.
    """

    slots: np.ndarray
    tokens: np.ndarray
    mass: np.ndarray
    guesses: np.ndarray
    sums: np.ndarray
    counts: np.ndarray
    scratch: np.ndarray
    enabled: Int


@inner
def capacity(k: Int) -> Int:
    """R: as many tokens as may come between two updates of the guesses."""
    return 2 * _KEPT + _INTERVAL * k


@inner
def clear(frequent: FrequentTokens) -> None:
    """Start a new text."""
    for slot in range(frequent.counts[_TOKENS]):
        frequent.slots[frequent.tokens[slot]] = 0
    frequent.counts[_TOKENS] = frequent.counts[GUESSES] = 0
    frequent.sums[_TOTAL] = frequent.sums[_POSITIONS] = 0.0
    frequent.sums[_UNIT] = 1.0


@inner
def add(frequent: FrequentTokens, ids: np.ndarray, probabilities: np.ndarray) -> None:
    """Add the model's candidates at a position of the text, (k,) each."""
    if not frequent.enabled:
        return
    if frequent.counts[_TOKENS] + len(ids) > len(frequent.tokens):  # only after a checkpoint
        _update_guesses(frequent)
    unit = frequent.sums[_UNIT]
    for n in range(len(ids)):
        slot = np.int64(frequent.slots[ids[n]]) - 1
        if slot < 0:
            slot = frequent.counts[_TOKENS]
            frequent.counts[_TOKENS] += 1
            frequent.slots[ids[n]] = slot + 1
            frequent.tokens[slot], frequent.mass[slot] = ids[n], 0.0
        frequent.mass[slot] += probabilities[n] * unit
    frequent.sums[_TOTAL] += unit
    frequent.sums[_UNIT] = unit / _DECAY
    frequent.sums[_POSITIONS] += 1
    if frequent.sums[_POSITIONS] % _INTERVAL == 0:
        _update_guesses(frequent)


@inner
def _update_guesses(frequent: FrequentTokens) -> None:
    """Choose the guesses again."""
    if frequent.counts[_TOKENS] > 2 * _KEPT or frequent.sums[_UNIT] > _MAX_UNIT:
        _shrink(frequent)
    total = max(frequent.sums[_TOTAL], frequent.sums[_UNIT] * _INTERVAL)
    top, count = frequent.scratch, 0
    for slot in range(frequent.counts[_TOKENS]):
        mass = frequent.mass[slot]
        if count == MAX_GUESSES and mass <= frequent.mass[top[MAX_GUESSES - 1]]:
            continue
        rank = min(count, MAX_GUESSES - 1)
        while rank and mass > frequent.mass[top[rank - 1]]:
            top[rank] = top[rank - 1]
            rank -= 1
        top[rank] = slot
        count = min(count + 1, MAX_GUESSES)
    for rank in range(count):
        frequent.guesses[rank, 0] = frequent.tokens[top[rank]]
        frequent.guesses[rank, 1] = features.of_probability(frequent.mass[top[rank]] / total)
    frequent.counts[GUESSES] = count


@inner
def _shrink(frequent: FrequentTokens) -> None:
    """Keep the most frequent tokens, and let a position count 1 again."""
    count, unit = frequent.counts[_TOKENS], frequent.sums[_UNIT]
    # Insertion sort: the tokens that were kept before are still nearly in order.
    for n in range(count):
        token, mass, slot = frequent.tokens[n], frequent.mass[n], n
        while slot and frequent.mass[slot - 1] < mass:
            frequent.tokens[slot] = frequent.tokens[slot - 1]
            frequent.mass[slot] = frequent.mass[slot - 1]
            slot -= 1
        frequent.tokens[slot], frequent.mass[slot] = token, mass
    kept = min(count, _KEPT)
    for slot in range(count):
        frequent.slots[frequent.tokens[slot]] = slot + 1 if slot < kept else 0
        frequent.mass[slot] /= unit
    frequent.counts[_TOKENS] = kept
    frequent.sums[_TOTAL] /= unit
    frequent.sums[_UNIT] = 1.0


@inner
def add_text(frequent: FrequentTokens, candidates: np.ndarray, probabilities: np.ndarray) -> None:
    """``add`` for all positions of a text, (n, k) each; then choose the guesses."""
    for position in range(len(candidates)):
        add(frequent, candidates[position], probabilities[position])
    if frequent.enabled:
        _update_guesses(frequent)


def to_arrays(frequent: FrequentTokens) -> dict[str, np.ndarray]:
    """All of it, under the names that it has in checkpoints.

    Returns:
        usual: (n,) int64 tokens. mass: (n,) float64 theirs.
        sums: (3,) float64 total, unit and positions.
        guessed: (2 b,) int64 each guess, which may be older than the rest, and the feature of its
            share.
    """
    kept, guesses = frequent.counts.tolist()
    return {
        "usual": frequent.tokens[:kept].copy(),
        "mass": frequent.mass[:kept].copy(),
        "sums": frequent.sums.copy(),
        "guessed": frequent.guesses[:guesses].ravel(),
    }


def fits(frequent: FrequentTokens, arrays: dict[str, np.ndarray]) -> bool:
    """Whether ``to_arrays`` can have returned this."""
    tokens, mass, sums, guessed = (arrays[name] for name in ("usual", "mass", "sums", "guessed"))
    guesses, shares = guessed[::2], guessed[1::2]
    return (
        len(tokens) == len(set(tokens.tolist())) == len(mass) <= len(frequent.tokens)
        and len(sums) == 3
        and all(bool((np.isfinite(x) & (x >= 0) & (x < 1e12)).all()) for x in (mass, sums))
        and bool(sums[_UNIT] >= 1)
        and len(guesses) == len(shares) == len(set(guesses.tolist())) <= MAX_GUESSES
        and all(bool(((ids >= 0) & (ids < len(frequent.slots))).all()) for ids in (tokens, guesses))
        and bool(((shares >= features.PROBABILITY) & (shares < features.NO_PROBABILITY)).all())
    )


def fill(frequent: FrequentTokens, arrays: dict[str, np.ndarray]) -> None:
    """Replace everything with what ``to_arrays`` returned, and ``fits``."""
    tokens, guessed = arrays["usual"], arrays["guessed"]
    frequent.slots[:] = 0
    frequent.slots[tokens] = np.arange(1, len(tokens) + 1)
    frequent.tokens[: len(tokens)], frequent.mass[: len(tokens)] = tokens, arrays["mass"]
    frequent.guesses[: len(guessed) // 2] = guessed.reshape(-1, 2)
    frequent.sums[:] = arrays["sums"]
    frequent.counts[:] = len(tokens), len(guessed) // 2
