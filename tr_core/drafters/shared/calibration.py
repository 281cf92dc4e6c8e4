"""A factor for each kind of guess: right ÷ expected so far. No torch here."""

from __future__ import annotations

import math

import msgspec

from tr_core.errors import CheckpointError

# How many right guesses the trust in uncorrected chances counts for, and how many guesses of a kind
# are remembered.
_PRIOR = 2.0
_MEMORY = 500

# Chances below each of these, and above the last, are corrected together:
# ``bisect_right(CLASS_ENDS, chance)``.
CLASS_ENDS = (0.05, 0.2, 0.5, 0.8)
CLASSES = len(CLASS_ENDS) + 1

# Most right guesses per expected one: far above what occurs, and far below where floats overflow.
_MAX_FACTOR = 1e9


class CorrectionsState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """(kinds,) guesses that were right, and those expected to be; old ones count less."""

    right: list[float]
    expected: list[float]


class Corrections:
    """Factors for ``kinds`` kinds of guesses, all 1 at first.

    A drafter numbers its kinds from 0: by the length of a match, a count, or the rank in a row. Old
    guesses count less and less, since texts change. This corrects an estimate that a method makes
    by itself; ``recycling_plus`` instead learns chances from many features together.

    Attributes:
        factors: (kinds,) the factor for a chance of each kind.
    """

    def __init__(self, kinds: int) -> None:
        self.factors = [1.0] * kinds
        self._right = [_PRIOR] * kinds
        self._expected = [_PRIOR] * kinds

    def observe(self, kind: int, expected: float, right: bool) -> None:
        """A guess with the uncorrected chance ``expected`` was right or wrong."""
        keep = 1 - 1 / _MEMORY
        self._right[kind] = self._right[kind] * keep + right
        self._expected[kind] = self._expected[kind] * keep + expected
        self.factors[kind] = self._right[kind] / self._expected[kind]

    def state(self) -> CorrectionsState:
        """All observations, as plain data."""
        return CorrectionsState(self._right.copy(), self._expected.copy())

    def restore(self, state: CorrectionsState) -> None:
        """Replace all observations.

        Raises:
            CheckpointError: the state is of other kinds, or of numbers that no guesses lead to.
        """
        pairs = list(zip(state.right, state.expected, strict=False))
        fits = len(state.right) == len(state.expected) == len(self.factors)
        if not (
            fits
            and all(
                math.isfinite(r) and 0 < e < math.inf and 0 <= r <= _MAX_FACTOR * e
                for r, e in pairs
            )
        ):
            raise CheckpointError(
                "The drafter's part of the checkpoint is damaged: its corrections do not fit."
            )
        self._right, self._expected = state.right.copy(), state.expected.copy()
        self.factors = [right / expected for right, expected in pairs]
