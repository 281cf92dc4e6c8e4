"""What guesses turned out to be worth: a factor for each kind of guess, right ÷ expected so far. No torch here."""

from __future__ import annotations

# Right guesses that the belief in uncorrected chances counts for, and how many guesses of a kind are remembered.
_BELIEF = 2.0
_MEMORY = 500

# Chances below each of these, and above the last, are corrected together: ``bisect_right(CLASS_ENDS, chance)``.
CLASS_ENDS = (0.05, 0.2, 0.5, 0.8)
CLASSES = len(CLASS_ENDS) + 1


class Corrections:
    """Factors for ``kinds`` kinds of guesses, all 1 at first.

    A kind is whatever a drafter thinks matters, numbered from 0: how long a match was, what a count was, the rank in
    a row. Old guesses fade, since texts change. (``Calibration`` learns what many marks of one candidate are worth
    together; this corrects an estimate that a method makes by itself.)

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
