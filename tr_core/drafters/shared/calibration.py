"""A factor for each kind of guess: right ÷ expected so far. No torch here."""

from __future__ import annotations

import math

import msgspec

from tr_core.errors import CheckpointError

# Right guesses that the belief in uncorrected chances counts for, and how many guesses of a kind
# are remembered.
_BELIEF = 2.0
_MEMORY = 500

# Chances below each of these, and above the last, are corrected together:
# ``bisect_right(CLASS_ENDS, chance)``.
CLASS_ENDS = (0.05, 0.2, 0.5, 0.8)
CLASSES = len(CLASS_ENDS) + 1

# Of right guesses for each expected one: far above what occurs, and far below where floats
# overflow.
_MOST = 1e9


class CorrectionsState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """(kinds,) guesses that were right, and those expected to be, the old ones faded."""

    right: list[float]
    expected: list[float]


class Corrections:
    """Factors for ``kinds`` kinds of guesses, all 1 at first.

    A kind is whatever a drafter thinks matters, numbered from 0: how long a match was, what a count
    was, the rank in a row. Old guesses fade, since texts change. (``plus/known.py`` learns what
    many marks of one candidate are worth together; this corrects an estimate that a method makes by
    itself.)

    Attributes:
        factors: (kinds,) what a chance of each kind is to be multiplied by.
    """

    def __init__(self, kinds: int) -> None:
        self.factors = [1.0] * kinds
        self._right = [_BELIEF] * kinds
        self._expected = [_BELIEF] * kinds

    def observe(self, kind: int, expected: float, right: bool) -> None:
        """A guess with the uncorrected chance ``expected`` was right or wrong."""
        keep = 1 - 1 / _MEMORY
        self._right[kind] = self._right[kind] * keep + right
        self._expected[kind] = self._expected[kind] * keep + expected
        self.factors[kind] = self._right[kind] / self._expected[kind]

    def state(self) -> CorrectionsState:
        """What was seen, as plain data."""
        return CorrectionsState(self._right.copy(), self._expected.copy())

    def restore(self, state: CorrectionsState) -> None:
        """Know what ``state`` says.

        Raises:
            CheckpointError: it is of other kinds, or no guesses can have come to this.
        """
        pairs = list(zip(state.right, state.expected, strict=False))
        fits = len(state.right) == len(state.expected) == len(self.factors)
        if not (
            fits
            and all(math.isfinite(r) and 0 < e < math.inf and 0 <= r <= _MOST * e for r, e in pairs)
        ):
            raise CheckpointError(
                "The drafter's part of the checkpoint is damaged: its corrections do not fit."
            )
        self._right, self._expected = state.right.copy(), state.expected.copy()
        self.factors = [right / expected for right, expected in pairs]
