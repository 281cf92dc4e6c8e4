"""Rows of candidates keyed by the last one, two or three tokens, in bounded memory.

When the memory is full, the row that was written longest ago goes. A row that a draft used belongs
to a node, and every node is scored, so a row in use is also written.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tr_core.drafters.recycling_plus.kernels.numba_cache import Int, inner

# Bytes of the hash index and the table together.
MAX_BYTES = 16_000_000
# Columns of ``table``: the key in two halves, the rows written before and after this one, the step
# that wrote it, the k candidates, and the features of their probabilities, four to a number. With
# k = 8 that is one cache line of a processor.
_LOW, _HIGH, _EARLIER, _LATER, _STEP, _IDS = range(6)
_HALF = 31
# Of ``ends``: rows in use, and those written longest ago and last; −1 if there is none.
COUNT, _OLDEST, _NEWEST = range(3)
# A key's first slot: the middle of its halves times a prime each, the first near 2³² ÷ the golden
# ratio (Knuth, TAOCP 3, 6.4). No product is above 2⁶³.
_SPREAD, _SPREAD_HIGH, _MIDDLE = 2654435761, 2246822519, 24


class Rows(NamedTuple):
    """Rows of k candidates, C of them at most, found by open addressing.

    Attributes:
        slots: (S,) int32 the hash index: row + 1, or 0 if the slot is free. S is a power of two,
            over C.
        table: (C, columns) int32.
        ends: (3,) int64.
        scratch: (k,) int64.
        step: (1,) int64 the present step.
        k: candidates per row.
        base: V + 1, the base of keys.
        max_key: tokens of a key at most.
    """

    slots: np.ndarray
    table: np.ndarray
    ends: np.ndarray
    scratch: np.ndarray
    step: np.ndarray
    k: Int
    base: Int
    max_key: Int


class Context(NamedTuple):
    """The last three tokens at a position; −1 where there are not so many."""

    second: Int
    first: Int
    last: Int


@inner
def columns(k: Int) -> Int:
    """How many columns the table has."""
    return _IDS + k + (k + 3) // 4


def sizes(k: int, max_bytes: int) -> tuple[int, int]:
    """S and C, if all of it may take so many bytes."""
    slots = 8
    while 8 * slots * 3 <= max_bytes:  # up to a third of it, as a half-full index is fast
        slots *= 2
    return slots, max(1, min((max_bytes - 4 * slots) // (4 * int(columns(k))), slots * 7 // 10))


@inner
def _key(rows: Rows, row: Int) -> Int:
    return np.int64(rows.table[row, _HIGH]) << _HALF | np.int64(rows.table[row, _LOW])


@inner
def candidate(rows: Rows, row: Int, rank: Int) -> Int:
    """The candidate at a rank of a row."""
    return np.int64(rows.table[row, _IDS + rank])


@inner
def probability_feature(rows: Rows, row: Int, rank: Int) -> Int:
    """The feature of its probability."""
    return np.int64(rows.table[row, _IDS + rows.k + rank // 4] >> (8 * (rank % 4))) & 255


@inner
def key_of(rows: Rows, context: Context, length: Int) -> Int:
    """The key of the last ``length`` tokens, 1 … 3; −1 if there are not so many."""
    if length == 1:
        return np.int64(context.last + 1)
    if context.first < 0:
        return np.int64(-1)
    pair = np.int64(context.last + 1) + np.int64(context.first + 1) * rows.base
    if length == 2:
        return pair
    if context.second < 0:
        return np.int64(-1)
    return pair + np.int64(context.second + 1) * rows.base * rows.base


@inner
def _first_slot(rows: Rows, key: Int) -> Int:
    mixed = (key & ((1 << _HALF) - 1)) * _SPREAD ^ (key >> _HALF) * _SPREAD_HIGH
    return (mixed >> _MIDDLE) & (len(rows.slots) - 1)


@inner
def _slot(rows: Rows, key: Int) -> Int:
    """The slot of a key, or the free one that it would get."""
    slot = _first_slot(rows, key)
    while rows.slots[slot] and _key(rows, np.int64(rows.slots[slot]) - 1) != key:
        slot = (slot + 1) & (len(rows.slots) - 1)
    return slot


@inner
def find(rows: Rows, key: Int) -> Int:
    """The row of a key, −1 if there is none."""
    return np.int64(rows.slots[_slot(rows, key)]) - 1


@inner
def age(rows: Rows, row: Int) -> Int:
    """Steps since a row was written."""
    return rows.step[0] - np.int64(rows.table[row, _STEP])


@inner
def _unlink(rows: Rows, row: Int) -> None:
    earlier, later = np.int64(rows.table[row, _EARLIER]), np.int64(rows.table[row, _LATER])
    if earlier >= 0:
        rows.table[earlier, _LATER] = later
    else:
        rows.ends[_OLDEST] = later
    if later >= 0:
        rows.table[later, _EARLIER] = earlier
    else:
        rows.ends[_NEWEST] = earlier


@inner
def _remove(rows: Rows, key: Int) -> None:
    """Remove a key from the index; keys that it had displaced move up."""
    mask = len(rows.slots) - 1
    free = _slot(rows, key)
    slot = (free + 1) & mask
    while rows.slots[slot]:
        first = _first_slot(rows, _key(rows, np.int64(rows.slots[slot]) - 1))
        if ((slot - first) & mask) >= ((slot - free) & mask):
            rows.slots[free] = rows.slots[slot]
            free = slot
        slot = (slot + 1) & mask
    rows.slots[free] = 0


@inner
def write(
    rows: Rows, key: Int, ids: np.ndarray, probability_features: np.ndarray, step: Int
) -> None:
    """Overwrite a row with (k,) candidates and the features of their probabilities."""
    slot = _slot(rows, key)
    row = np.int64(rows.slots[slot]) - 1
    if row >= 0:
        _unlink(rows, row)
    else:
        row = rows.ends[COUNT]
        if row < len(rows.table):
            rows.ends[COUNT] += 1
        else:
            row = rows.ends[_OLDEST]
            _unlink(rows, row)
            _remove(rows, _key(rows, row))
            slot = _slot(rows, key)
        rows.slots[slot] = row + 1
    line, newest = rows.table[row], rows.ends[_NEWEST]
    line[_HIGH], line[_LOW] = key >> _HALF, key & ((1 << _HALF) - 1)
    line[_EARLIER], line[_LATER], line[_STEP] = newest, -1, step
    if newest >= 0:
        rows.table[newest, _LATER] = row
    else:
        rows.ends[_OLDEST] = row
    rows.ends[_NEWEST] = row
    for rank in range(rows.k):
        line[_IDS + rank] = ids[rank]
    for first in range(0, rows.k, 4):
        packed = np.int64(0)
        for rank in range(first, min(first + 4, rows.k)):
            packed |= np.int64(probability_features[rank]) << (8 * (rank - first))
        line[_IDS + rows.k + first // 4] = packed


@inner
def list_by_age(rows: Rows, order: np.ndarray) -> None:
    """List the rows in the order in which they were written."""
    row = rows.ends[_OLDEST]
    for n in range(len(order)):
        order[n] = row
        row = np.int64(rows.table[row, _LATER])


def clear(rows: Rows) -> None:
    """Forget all rows."""
    rows.slots[:] = 0
    rows.ends[:] = 0, -1, -1


def to_arrays(rows: Rows, order: np.ndarray) -> dict[str, np.ndarray]:
    """Rows (n,) in some order, under the names that they have in files and checkpoints.

    Returns:
        keys: (n,) int64. ids: (n, k) int32 candidates.
        marks: (n, k) uint8 the features of their probabilities.
        born: (n,) int32 the step that wrote each row.
    """
    lines, ranks = rows.table[order], np.arange(rows.k)
    packed = lines[:, _IDS + rows.k + ranks // 4]
    return {
        "keys": lines[:, _HIGH].astype(np.int64) << _HALF | lines[:, _LOW],
        "ids": lines[:, _IDS : _IDS + rows.k].copy(),
        "marks": (packed >> (8 * (ranks % 4)) & 255).astype(np.uint8),
        "born": lines[:, _STEP].copy(),
    }
