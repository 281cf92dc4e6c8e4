"""Candidate rows keyed by the last one, two or three tokens, in bounded memory: the least recently written goes first.

A row that a draft was made from belongs to a node, and every node is scored, so what is used is written too. A row is
kept as bytes and read when it is asked for: of the rows of a pass few ever are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from struct import Struct

import numpy as np

# Bytes of everything, and of what Python keeps for a row beside its numbers (measured, rounded up).
MEMORY = 16_000_000
_OVERHEAD = 320

# Candidates as native int32, the marks of their probabilities, and the step that wrote them.
Row = tuple[bytes, bytes, int]


class RowStore:
    """Rows of k candidates, each with a mark for its probability.

    Args:
        vocab_size: V; keys are numbers to the base V + 1.
        k: candidates a row.
        memory: bytes for all of it.

    Attributes:
        capacity: rows that fit, if every key had its own.
        rows: key → row, least recently written first; a pass writes one row under several keys.
        unpack: the (k,) candidates of a row's bytes.
    """

    def __init__(self, vocab_size: int, k: int, memory: int = MEMORY) -> None:
        self.base = vocab_size + 1
        self._square = self.base**2
        self.k = k
        self.capacity = max(1, memory // (5 * k + _OVERHEAD))
        self.rows: dict[int, Row] = {}
        self.unpack = Struct(f"{k}i").unpack

    def __len__(self) -> int:
        return len(self.rows)

    def keys(self, second: int, first: int, token: int, longest: int) -> tuple[int, ...]:
        """Keys that end in ``token``, the shortest first.

        Args:
            second, first: the tokens two and one before, −1 if there are none.
            longest: tokens of a key at most, 1 … 3.
        """
        key = token + 1
        if longest < 2 or first < 0:
            return (key,)
        pair = key + (first + 1) * self.base
        if longest < 3 or second < 0:
            return key, pair
        return key, pair, pair + (second + 1) * self._square

    def write(self, keys: Sequence[Sequence[int]], ids: np.ndarray, marks: np.ndarray, step: int) -> None:
        """Overwrite rows, the last of equal keys winning.

        Args:
            keys: (n,) all keys of each row.
            ids: (n, k) int32. marks: (n, k) uint8.
        """
        rows, count = self.rows, self.k
        candidates, chances = ids.tobytes(), marks.tobytes()
        width, start, line = 4 * count, 0, 0
        for mine in keys:
            row = (candidates[start : start + width], chances[line : line + count], step)
            start += width
            line += count
            for key in mine:
                rows.pop(key, None)  # what is written last stands last
                rows[key] = row
        if len(rows) > self.capacity:
            # Some more than need go, as finding the first of a dictionary takes long where many have gone.
            for key in list(islice(rows, len(rows) - self.capacity + self.capacity // 64)):
                del rows[key]

    def row(self, key: int) -> tuple[int, ...]:
        """(k,) candidates of a key, best first; empty if there are none."""
        row = self.rows.get(key)
        return () if row is None else self.unpack(row[0])

    def arrays(self) -> dict[str, np.ndarray]:
        """All rows, least recently written first: keys (n,) int64, ids (n, k) int32, marks (n, k) uint8, born (n,)."""
        kept, n = self.rows.values(), len(self.rows)
        return {
            "keys": np.fromiter(self.rows, dtype=np.int64, count=n),
            "ids": np.frombuffer(b"".join([row[0] for row in kept]), dtype=np.int32).reshape(n, self.k),
            "marks": np.frombuffer(b"".join([row[1] for row in kept]), dtype=np.uint8).reshape(n, self.k),
            "born": np.fromiter((row[2] for row in kept), dtype=np.int32, count=n),
        }

    def fill(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what ``arrays`` gave and nothing else; the latest, if not all fit."""
        keys, ids, marks, born = (arrays[name][-self.capacity :] for name in ("keys", "ids", "marks", "born"))
        lines = zip(keys.tolist(), ids.astype(np.int32), marks.astype(np.uint8), born.tolist(), strict=True)
        self.rows = {key: (row.tobytes(), mine.tobytes(), step) for key, row, mine, step in lines}
