"""What the drafts of a run promised, kept and cost: how far to trust the next promise. No torch
here.
"""

from __future__ import annotations

from tr_core.budget.state import AccountState

# A new shape must promise this much more than the one in use, and drafting this much more than
# none.
MARGIN = 1.03
# Promised tokens that trust in promises begins with, and steps with a draft that it remembers.
TRUST_WEIGHT = 4.0
TRUST_MEMORY = 24
# A run that is d plain steps behind plain decoding must promise this much more for each of them; so
# many steps ahead count at most; and each token forgives a little.
CAUTION = 0.06
CREDIT = 2.0
FORGIVEN = 0.01


class Account:
    """What the drafts of a run promised, what they kept, and what they cost.

    The sum of chances is no better than the chances: on a text that is unlike the texts before, all
    of them are wrong to the same side. So promises are multiplied by the share of them that was
    kept; and a run that is behind plain decoding must promise more than one that is ahead, so that
    it stays behind by little whatever it promises.
    """

    def __init__(self) -> None:
        self._promised = self._kept = 0.0
        self._debt = 0.0

    @property
    def trust(self) -> float:
        """By what the next promise is to be multiplied; a promise that was exceeded is not raised."""
        return min(1.0, (self._kept + TRUST_WEIGHT) / (self._promised + TRUST_WEIGHT))

    @property
    def margin(self) -> float:
        """How many times as fast as plain decoding a draft must promise to be."""
        return MARGIN + CAUTION * max(0.0, self._debt)

    def enter(self, promised: float, emitted: int, cost: float) -> None:
        """A step is done.

        Args:
            promised: tokens that it was expected to emit, by untrusted chances; 1.0 for plain
                decoding.
            emitted: tokens that it did.
            cost: its time in plain steps.
        """
        self._debt = max(-CREDIT, self._debt + cost - emitted - FORGIVEN * emitted)
        if promised > 1:
            self._promised = self._promised * (1 - 1 / TRUST_MEMORY) + promised - 1
            self._kept = self._kept * (1 - 1 / TRUST_MEMORY) + emitted - 1

    def state(self) -> AccountState:
        """What was entered so far."""
        return AccountState(self._promised, self._kept, self._debt)

    def restore(self, state: AccountState) -> None:
        """Go on from ``state``, which has been checked."""
        self._promised, self._kept, self._debt = state.promised, state.kept, state.debt
