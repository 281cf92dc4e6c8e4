"""Candidate rows keyed by the last one, two or three tokens, in bounded memory: the least recently written goes first.

A row that a draft was made from belongs to a node, and every node is scored, so what is used is written too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

# Bytes of everything, and of what Python keeps for a row beside its numbers (measured, rounded up).
MEMORY = 16_000_000
_OVERHEAD = 200


class RowStore:
    """Rows of k candidates, each with a mark for its probability.

    Args:
        vocab_size: V; keys are numbers to the base V + 1.
        k: candidates a row.
        memory: bytes for all of it.

    Attributes:
        capacity: rows that fit.
        slots: key → place in the arrays, least recently written first.
        ids: (capacity, k) int32. marks: (capacity, k) uint8. born: (capacity,) int32, the step that wrote the row.
    """

    def __init__(self, vocab_size: int, k: int, memory: int = MEMORY) -> None:
        self.base = vocab_size + 1
        self.k = k
        self.capacity = max(1, memory // (5 * k + 4 + _OVERHEAD))
        self.slots: OrderedDict[int, int] = OrderedDict()
        self.ids = np.zeros((self.capacity, k), dtype=np.int32)
        self.marks = np.zeros((self.capacity, k), dtype=np.uint8)
        self.born = np.zeros(self.capacity, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.slots)

    def keys(self, second: int, first: int, token: int, longest: int) -> list[int]:
        """Keys that end in ``token``, the shortest first.

        Args:
            second, first: the tokens two and one before, −1 if there are none.
            longest: tokens of a key at most, 1 … 3.
        """
        key = token + 1
        keys = [key]
        if longest > 1 and first >= 0:
            key += (first + 1) * self.base
            keys.append(key)
            if longest > 2 and second >= 0:
                keys.append(key + (second + 1) * self.base * self.base)
        return keys

    def write(self, keys: Sequence[int], lines: Sequence[int], ids: np.ndarray, marks: np.ndarray, step: int) -> None:
        """Overwrite the rows of ``keys`` (n,), the last of equal keys winning.

        Args:
            lines: (n,) which line of ``ids`` and ``marks`` (m, k) each key's row is.
        """
        slots, places = self.slots, []
        for key in keys:
            place = slots.get(key)
            if place is not None:
                slots.move_to_end(key)
            else:
                place = len(slots) if len(slots) < self.capacity else slots.popitem(last=False)[1]
                slots[key] = place
            places.append(place)
        # numpy leaves the last of equal places standing. One that was dropped for a later key is that key's by then.
        self.ids[places], self.marks[places], self.born[places] = ids[lines], marks[lines], step

    def row(self, key: int) -> tuple[int, ...]:
        """(k,) candidates of a key, best first; empty if there are none."""
        place = self.slots.get(key)
        return () if place is None else tuple(self.ids[place].tolist())

    def arrays(self) -> dict[str, np.ndarray]:
        """All rows, least recently written first."""
        places = np.fromiter(self.slots.values(), dtype=np.int64, count=len(self.slots))
        keys = np.fromiter(self.slots, dtype=np.int64, count=len(self.slots))
        return {"keys": keys, "ids": self.ids[places], "marks": self.marks[places], "born": self.born[places]}

    def fill(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what ``arrays`` gave, into an empty store; the latest, if not all fit."""
        keys = arrays["keys"][-self.capacity :].tolist()
        n = len(keys)
        self.slots = OrderedDict(zip(keys, range(n), strict=True))
        if n:
            self.ids[:n], self.marks[:n], self.born[:n] = (arrays[name][-n:] for name in ("ids", "marks", "born"))
