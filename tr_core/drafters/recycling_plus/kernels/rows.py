"""Candidate rows keyed by the last one, two or three tokens, in bounded memory: the least recently
written goes first.

A row that a draft was made from belongs to a node, and every node is scored, so what is used is
written too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tr_core.drafters.recycling_plus.kernels.numba_cache import inner

# Bytes of everything.
MEMORY = 16_000_000
# Columns of ``table``: the key in two halves, the rows written before and after this one, the step
# that wrote it, the k candidates, and the marks of their probabilities, four to a number. With k =
# 8 that is a line of a processor's cache.
_LOW, _HIGH, _EARLIER, _LATER, _BORN, _IDS = range(6)
_HALF = 31
# Of ``ends``: rows in use, and those written longest ago and last; −1 if there is none.
COUNT, _OLDEST, _NEWEST = range(3)
# A key's first place in the index: the middle of its halves times a prime each, the first near 2³²
# ÷ the golden ratio (Knuth, TAOCP 3, 6.4). No product is above 2⁶³.
_SPREAD, _SPREAD_HIGH, _MIDDLE = 2654435761, 2246822519, 24


class Rows(NamedTuple):
    """Rows of k candidates, C of them at most, found by open addressing.

    Attributes:
        index: (S,) int32 row + 1 by a place that follows from its key; 0 where none is. S is a
            power of two, over C.
        table: (C, columns) int32.
        ends: (3,) int64.
        desk: (k,) int64 to work on.
        k: candidates a row.
    """

    index: np.ndarray
    table: np.ndarray
    ends: np.ndarray
    desk: np.ndarray
    k: int


@inner
def columns(k):
    """Of the table."""
    return _IDS + k + (k + 3) // 4


def sizes(k: int, memory: int) -> tuple[int, int]:
    """S and C, if all of it is to take so many bytes."""
    places = 8
    while 8 * places * 3 <= memory:  # up to a third of it, as an index half full is a fast one
        places *= 2
    return places, max(1, min((memory - 4 * places) // (4 * columns(k)), places * 7 // 10))


@inner
def _key(rows, row):
    return np.int64(rows.table[row, _HIGH]) << _HALF | np.int64(rows.table[row, _LOW])


@inner
def candidate(rows, row, place):
    """The candidate at a place of a row."""
    return np.int64(rows.table[row, _IDS + place])


@inner
def mark(rows, row, place):
    """The mark of its probability."""
    return np.int64(rows.table[row, _IDS + rows.k + place // 4] >> (8 * (place % 4))) & 255


@inner
def key_of(second, first, token, length, base):
    """The key of so many tokens, 1 … 3, that end in ``token``; −1 if there are not so many.

    Args:
        second, first: the tokens two and one before, −1 if there are none.
        base: V + 1.
    """
    if length == 1:
        return np.int64(token + 1)
    if first < 0:
        return np.int64(-1)
    pair = np.int64(token + 1) + np.int64(first + 1) * base
    if length == 2:
        return pair
    return pair + np.int64(second + 1) * base * base if second >= 0 else np.int64(-1)


@inner
def _home(rows, key):
    mixed = (key & ((1 << _HALF) - 1)) * _SPREAD ^ (key >> _HALF) * _SPREAD_HIGH
    return (mixed >> _MIDDLE) & (len(rows.index) - 1)


@inner
def _place(rows, key):
    """Where in the index the key stands, or would."""
    at = _home(rows, key)
    while rows.index[at] and _key(rows, np.int64(rows.index[at]) - 1) != key:
        at = (at + 1) & (len(rows.index) - 1)
    return at


@inner
def find(rows, key):
    """The row of a key, −1 if there is none."""
    return np.int64(rows.index[_place(rows, key)]) - 1


@inner
def born(rows, row):
    """The step that wrote it."""
    return np.int64(rows.table[row, _BORN])


@inner
def _unlink(rows, row):
    before, behind = np.int64(rows.table[row, _EARLIER]), np.int64(rows.table[row, _LATER])
    if before >= 0:
        rows.table[before, _LATER] = behind
    else:
        rows.ends[_OLDEST] = behind
    if behind >= 0:
        rows.table[behind, _EARLIER] = before
    else:
        rows.ends[_NEWEST] = before


@inner
def _forget(rows, key):
    """Take a key out of the index; those that had to stand behind it move up."""
    mask = len(rows.index) - 1
    hole = _place(rows, key)
    at = (hole + 1) & mask
    while rows.index[at]:
        home = _home(rows, _key(rows, np.int64(rows.index[at]) - 1))
        if ((at - home) & mask) >= ((at - hole) & mask):
            rows.index[hole] = rows.index[at]
            hole = at
        at = (at + 1) & mask
    rows.index[hole] = 0


@inner
def write(rows, key, ids, marks, step):
    """Overwrite a row: (k,) candidates and the marks of their probabilities."""
    at = _place(rows, key)
    row = np.int64(rows.index[at]) - 1
    if row >= 0:
        _unlink(rows, row)
    else:
        row = rows.ends[COUNT]
        if row < len(rows.table):
            rows.ends[COUNT] += 1
        else:
            row = rows.ends[_OLDEST]
            _unlink(rows, row)
            _forget(rows, _key(rows, row))
            at = _place(rows, key)
        rows.index[at] = row + 1
    line, newest = rows.table[row], rows.ends[_NEWEST]
    line[_HIGH], line[_LOW] = key >> _HALF, key & ((1 << _HALF) - 1)
    line[_EARLIER], line[_LATER], line[_BORN] = newest, -1, step
    if newest >= 0:
        rows.table[newest, _LATER] = row
    else:
        rows.ends[_OLDEST] = row
    rows.ends[_NEWEST] = row
    for place in range(rows.k):
        line[_IDS + place] = ids[place]
    for first in range(0, rows.k, 4):
        packed = np.int64(0)
        for place in range(first, min(first + 4, rows.k)):
            packed |= np.int64(marks[place]) << (8 * (place - first))
        line[_IDS + rows.k + first // 4] = packed


@inner
def written(rows, order):
    """List all rows in the order of their writing."""
    row = rows.ends[_OLDEST]
    for n in range(len(order)):
        order[n] = row
        row = np.int64(rows.table[row, _LATER])


def clear(rows: Rows) -> None:
    """Forget all rows."""
    rows.index[:] = 0
    rows.ends[:] = 0, -1, -1


def arrays(rows: Rows, order: np.ndarray) -> dict[str, np.ndarray]:
    """Rows (n,) in some order: their keys (n,) int64, ids (n, k) int32, marks (n, k) uint8, and
    born (n,) int32.
    """
    lines, places = rows.table[order], np.arange(rows.k)
    return {
        "keys": lines[:, _HIGH].astype(np.int64) << _HALF | lines[:, _LOW],
        "ids": lines[:, _IDS : _IDS + rows.k].copy(),
        "marks": (lines[:, _IDS + rows.k + places // 4] >> (8 * (places % 4)) & 255).astype(
            np.uint8
        ),
        "born": lines[:, _BORN].copy(),
    }
