"""What a candidate's marks say of its chance, learned from what was accepted.

A candidate has one mark of each kind: which key's row holds it, its rank there, how probable the model found it, what
a look-up in the text says of it, how old the row is. Each mark is worth some log-odds, and the chance is the logistic
function of their sum. At every node of an accepted path the model's choice is known, and so is every candidate that
was known there, drafted or not: each moves its marks a little (stochastic gradient of the logarithmic loss), so nothing
has to be drafted to be learned about. Between, all marks are drawn back to their priors, so a short text cannot lead
them far.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp

Marks = tuple[int, int, int, int, int, int]

# Step of a mark for an error of 1, and the share of the way back to its prior that it goes at each lesson.
RATE = 0.02
RETURN = 0.002


class Calibration:
    """Log-odds of all marks.

    Args:
        priors: of each mark, by its number; those of one kind stand together, but that is the owner's business.
        rate: 0 leaves the priors as they are.

    Attributes:
        worth: log-odds of each mark.
    """

    def __init__(self, priors: Sequence[float], rate: float = RATE) -> None:
        self.priors = tuple(priors)
        self.worth = list(priors)
        self._rate = rate

    def chance(self, marks: Marks) -> float:
        """In (0, 1)."""
        return self.chances([marks])[0]

    def chances(self, listed: Iterable[Marks]) -> list[float]:
        """``chance`` of each."""
        worth = self.worth
        return [
            1.0 / (1.0 + exp(-(worth[a] + worth[b] + worth[c] + worth[d] + worth[e] + worth[f])))
            for a, b, c, d, e, f in listed
        ]

    def learn(self, known: Iterable[tuple[int, float, object, Marks]], choice: int) -> None:
        """Learn from a node of the path.

        Args:
            known: its candidates: the token first, the marks last.
            choice: the model's.
        """
        rate, worth = self._rate, self.worth
        if not rate:
            return
        for token, _, _, (a, b, c, d, e, f) in known:
            odds = worth[a] + worth[b] + worth[c] + worth[d] + worth[e] + worth[f]
            step = rate * ((token == choice) - 1.0 / (1.0 + exp(-odds)))
            worth[a] += step
            worth[b] += step
            worth[c] += step
            worth[d] += step
            worth[e] += step
            worth[f] += step

    def settle(self) -> None:
        """Draw all marks a little back to their priors."""
        if self._rate:
            self.worth = [w + RETURN * (p - w) for w, p in zip(self.worth, self.priors, strict=True)]
