"""The tokens that a model holds likely all over a text: what is guessed after a token of which
nothing is known.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tr_core.drafters.recycling_plus.kernels import features as m
from tr_core.drafters.recycling_plus.kernels.numba_cache import inner

# Tokens that are guessed at most, and places of the text between two looks at who they are.
MOST = 16
_EVERY = 8
# What a place counts, against the one behind it; and tokens that are kept when there are more than
# twice as many.
_KEEP = 0.99
_KEPT = 128
_LARGE = 1e6
# Of ``sums``: all probability so far, what a place counts now (instead of letting all others
# shrink, new ones grow), and how many places there were. Of ``counts``: tokens that are kept, and
# that are guessed.
_TOTAL, _UNIT, _SEEN = range(3)
_TOKENS, GUESSED = range(2)


class Usual(NamedTuple):
    """Probabilities summed over the places of the text, the newest counting most.

    Attributes:
        line: (V,) int32 line + 1 of each token that is kept, 0 of all others.
        tokens: (R,) int64 those kept. mass: (R,) float64 their probabilities.
        best: (MOST, 2) int64 tokens to guess, the most usual first, and the mark of the share of
            each.
        sums: (3,) float64.
        counts: (2,) int64.
        desk: (MOST,) int64 to work on.
    """

    line: np.ndarray
    tokens: np.ndarray
    mass: np.ndarray
    best: np.ndarray
    sums: np.ndarray
    counts: np.ndarray
    desk: np.ndarray


@inner
def room(k):
    """R: as many tokens as may come between two looks."""
    return 2 * _KEPT + _EVERY * k


@inner
def clear(usual):
    """A new text."""
    for n in range(usual.counts[_TOKENS]):
        usual.line[usual.tokens[n]] = 0
    usual.counts[_TOKENS] = usual.counts[GUESSED] = 0
    usual.sums[_TOTAL] = usual.sums[_SEEN] = 0.0
    usual.sums[_UNIT] = 1.0


@inner
def add(usual, ids, probabilities):
    """What the model held likely at a place of the text, (k,) each."""
    if usual.counts[_TOKENS] + len(ids) > len(
        usual.tokens
    ):  # never by itself, but a checkpoint may say so
        _settle(usual)
    unit = usual.sums[_UNIT]
    for n in range(len(ids)):
        line = np.int64(usual.line[ids[n]]) - 1
        if line < 0:
            line = usual.counts[_TOKENS]
            usual.counts[_TOKENS] += 1
            usual.line[ids[n]] = line + 1
            usual.tokens[line], usual.mass[line] = ids[n], 0.0
        usual.mass[line] += probabilities[n] * unit
    usual.sums[_TOTAL] += unit
    usual.sums[_UNIT] = unit / _KEEP
    usual.sums[_SEEN] += 1
    if usual.sums[_SEEN] % _EVERY == 0:
        _settle(usual)


@inner
def _settle(usual):
    """Look again at who is usual."""
    if usual.counts[_TOKENS] > 2 * _KEPT or usual.sums[_UNIT] > _LARGE:
        _shrink(usual)
    total = max(usual.sums[_TOTAL], usual.sums[_UNIT] * _EVERY)
    first, count = usual.desk, 0
    for line in range(usual.counts[_TOKENS]):
        mass = usual.mass[line]
        if count == MOST and mass <= usual.mass[first[MOST - 1]]:
            continue
        at = min(count, MOST - 1)
        while at and mass > usual.mass[first[at - 1]]:
            first[at] = first[at - 1]
            at -= 1
        first[at] = line
        count = min(count + 1, MOST)
    for n in range(count):
        usual.best[n, 0] = usual.tokens[first[n]]
        usual.best[n, 1] = m.probable(usual.mass[first[n]] / total)
    usual.counts[GUESSED] = count


@inner
def _shrink(usual):
    """Keep the most usual tokens, and count a place as 1 again."""
    count, unit = usual.counts[_TOKENS], usual.sums[_UNIT]
    # Insertion: what was kept before still stands nearly in order.
    for n in range(count):
        token, mass, at = usual.tokens[n], usual.mass[n], n
        while at and usual.mass[at - 1] < mass:
            usual.tokens[at], usual.mass[at] = usual.tokens[at - 1], usual.mass[at - 1]
            at -= 1
        usual.tokens[at], usual.mass[at] = token, mass
    kept = min(count, _KEPT)
    for n in range(count):
        usual.line[usual.tokens[n]] = n + 1 if n < kept else 0
        usual.mass[n] /= unit
    usual.counts[_TOKENS] = kept
    usual.sums[_TOTAL] /= unit
    usual.sums[_UNIT] = 1.0


@inner
def add_text(usual, candidates, probabilities):
    """``add`` for all places of a text, (n, k) each, and a look at who is usual then."""
    for place in range(len(candidates)):
        add(usual, candidates[place], probabilities[place])
    _settle(usual)


def arrays(usual: Usual) -> dict[str, np.ndarray]:
    """All of it.

    Returns:
        usual: (n,) int64 tokens. mass: (n,) float64 theirs. sums: (3,) float64 total, unit and
            places.
        guessed: (2 b,) int64 each token of ``best``, which may be older than the rest, and the mark
            of its share.
    """
    kept, guessed = usual.counts.tolist()
    return {
        "usual": usual.tokens[:kept].copy(),
        "mass": usual.mass[:kept].copy(),
        "sums": usual.sums.copy(),
        "guessed": usual.best[:guessed].ravel(),
    }


def fits(usual: Usual, found: dict[str, np.ndarray]) -> bool:
    """Whether ``arrays`` can have given this."""
    tokens, mass, sums, guessed = (found[name] for name in ("usual", "mass", "sums", "guessed"))
    first, shares = guessed[::2], guessed[1::2]
    return (
        len(tokens) == len(set(tokens.tolist())) == len(mass) <= len(usual.tokens)
        and len(sums) == 3
        and all(bool((np.isfinite(x) & (x >= 0) & (x < 1e12)).all()) for x in (mass, sums))
        and bool(sums[_UNIT] >= 1)
        and len(first) == len(shares) == len(set(first.tolist())) <= MOST
        and all(bool(((ids >= 0) & (ids < len(usual.line))).all()) for ids in (tokens, first))
        and bool(((shares >= m.CHANCE) & (shares < m.NO_CHANCE)).all())
    )


def fill(usual: Usual, found: dict[str, np.ndarray]) -> None:
    """Take over what ``arrays`` gave, and fits, and nothing else."""
    tokens, guessed = found["usual"], found["guessed"]
    usual.line[:] = 0
    usual.line[tokens] = np.arange(1, len(tokens) + 1)
    usual.tokens[: len(tokens)], usual.mass[: len(tokens)] = tokens, found["mass"]
    usual.best[: len(guessed) // 2] = guessed.reshape(-1, 2)
    usual.sums[:] = found["sums"]
    usual.counts[:] = len(tokens), len(guessed) // 2
