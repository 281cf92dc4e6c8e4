"""The tokens that a model holds likely all over a text: what is guessed after a token of which nothing is known."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from heapq import nlargest
from operator import itemgetter

import numpy as np

from tr_core.drafters import marks as m

# Tokens that are guessed at most, and places of the text between two looks at who they are.
MOST = 16
_EVERY = 8
# What a place counts, against the one behind it; and tokens that are kept when there are more than twice as many.
_KEEP = 0.99
_KEPT = 128
_LARGE = 1e6
_AT_ONCE = 512
_MOST_KEPT = 4096  # between two looks a place adds a row
_EDGES: list[float] = m.CHANCES.tolist()


class Usual:
    """Probabilities summed over the places of the text, the newest counting most.

    Attributes:
        best: token → the mark of its share, the most usual first.
    """

    def __init__(self) -> None:
        self.best: dict[int, int] = {}
        self._mass: dict[int, float] = {}
        self._total = 0.0
        self._unit = 1.0  # what a place counts now: instead of letting all others shrink, new ones grow
        self._places = 0

    def add(self, ids: Sequence[int], probabilities: Sequence[float]) -> None:
        """What the model held likely at a place of the text."""
        mass, unit = self._mass, self._unit
        for token, probability in zip(ids, probabilities, strict=True):
            mass[token] = mass.get(token, 0.0) + probability * unit
        self._total += unit
        self._unit = unit / _KEEP
        self._places += 1
        if self._places % _EVERY == 0:
            self.settle()

    def add_text(self, ids: np.ndarray, probabilities: np.ndarray) -> None:
        """``add`` for all places of a text, (n, k) each, and one look at who is usual then."""
        for start in range(0, len(ids), _AT_ONCE):
            units = self._unit * _KEEP ** -np.arange(len(ids[start : start + _AT_ONCE]), dtype=np.float64)
            tokens, where = np.unique(ids[start : start + _AT_ONCE], return_inverse=True)
            weights = probabilities[start : start + _AT_ONCE] * units[:, None]
            sums = np.bincount(where.ravel(), weights.ravel())
            for token, weight in zip(tokens.tolist(), sums.tolist(), strict=True):
                self._mass[token] = self._mass.get(token, 0.0) + weight
            self._total += float(units.sum())
            self._unit = float(units[-1]) / _KEEP
            self._places += len(units)
            self.settle()

    def settle(self) -> None:
        """Look again at who is usual."""
        mass = self._mass
        if len(mass) > 2 * _KEPT or self._unit > _LARGE:
            unit = self._unit
            self._mass = mass = {t: x / unit for t, x in nlargest(_KEPT, mass.items(), itemgetter(1))}
            self._total, self._unit = self._total / unit, 1.0
        total = max(self._total, self._unit * _EVERY)
        first = nlargest(MOST, mass.items(), itemgetter(1))
        self.best = {token: m.CHANCE + bisect_right(_EDGES, x / total) for token, x in first}

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it.

        Returns:
            usual: (n,) int64 tokens. mass: (n,) float64 theirs. sums: (3,) float64 total, unit and places.
            guessed: (2 b,) int64 each token of ``best``, which may be older than the rest, and the mark of its share.
        """
        return {
            "usual": np.array(list(self._mass), dtype=np.int64),
            "mass": np.array(list(self._mass.values()), dtype=np.float64),
            "sums": np.array([self._total, self._unit, self._places], dtype=np.float64),
            "guessed": np.array([number for pair in self.best.items() for number in pair], dtype=np.int64),
        }

    def fill(self, arrays: dict[str, np.ndarray], vocab_size: int) -> bool:
        """Take over what ``arrays`` gave and nothing else; False, and nothing done, if it cannot be that."""
        tokens, mass, sums, guessed = (arrays[name] for name in ("usual", "mass", "sums", "guessed"))
        first, shares = guessed[::2], guessed[1::2]
        if not (
            len(tokens) == len(set(tokens.tolist())) == len(mass) <= _MOST_KEPT
            and len(sums) == 3
            and all(bool((np.isfinite(x) & (x >= 0) & (x < 1e12)).all()) for x in (mass, sums))
            and sums[1] >= 1
            and len(first) == len(shares) == len(set(first.tolist())) <= MOST
            and all(bool(((ids >= 0) & (ids < vocab_size)).all()) for ids in (tokens, first))
            and bool(((shares >= m.CHANCE) & (shares < m.NO_CHANCE)).all())
        ):
            return False
        self._mass = dict(zip(tokens.tolist(), mass.tolist(), strict=True))
        self._total, self._unit, self._places = *sums[:2].tolist(), int(sums[2])
        self.best = dict(zip(first.tolist(), shares.tolist(), strict=True))
        return True
