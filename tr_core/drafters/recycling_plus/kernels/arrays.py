"""All that recycling_plus knows, in three arrays, so that a call of a compiled loop hands over
three and not thirty.

Behind each pass of the model the processor's caches are cold, and every array that is taken out of
its Python object costs a microsecond or two then.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tr_core.drafters.recycling_plus.kernels import candidates as known
from tr_core.drafters.recycling_plus.kernels import frequent_tokens as usual
from tr_core.drafters.recycling_plus.kernels import grow as growing
from tr_core.drafters.recycling_plus.kernels import lookup as text
from tr_core.drafters.recycling_plus.kernels import rows
from tr_core.drafters.recycling_plus.kernels.numba_cache import inner

# What stands first in ``numbers``: sizes, and behind them the counts of rows, text and usual
# tokens.
_WIDTH, _VOCAB, _PLACES, _CAPACITY, _TEXT, _NODES, _MARKS = range(7)
_ENDS, _LENGTHS, _COUNTS, _FIRST = 8, 11, 13, 16


class Memory(NamedTuple):
    """The three arrays.

    Attributes:
        small: int32, what there may be much of: rows, and what is kept for each token of the
            vocabulary.
        numbers: int64. reals: float64.
    """

    small: np.ndarray
    numbers: np.ndarray
    reals: np.ndarray


class Parts(NamedTuple):
    """The same by name.

    Attributes:
        worth: (marks,) log-odds of each mark. priors: (marks,) the same at first.
    """

    worth: np.ndarray
    priors: np.ndarray
    rows: rows.Rows
    text: text.Text
    usual: usual.Usual
    found: known.Found
    tree: growing.Tree


def empty(sizes: dict[str, int], priors: np.ndarray, small: np.ndarray | None = None) -> Memory:
    """Nothing is known.

    Args:
        sizes: as ``sizes_of`` tells them.
        priors: (marks,) of all marks.
        small: another memory's, to be taken over.
    """
    k, vocab_size, places, capacity, room, nodes = sizes.values()
    found, kept = (nodes + 2) * known.room(k), usual.room(k)
    numbers = (
        _FIRST + k + 3 * usual.MOST + kept + 2 * room + 7 * text.PLACES + found * (known.COLUMNS + 1)
        + (nodes + 1) * (growing.COLUMNS + 1 + growing.OUT_COLUMNS + 2 * growing.HEAP_COLUMNS)
        + (nodes + 2) * text.PLACES * 2
    )  # fmt: skip
    reals = 2 * len(priors) + 3 + kept + 2 * found + 4 * (nodes + 1)
    made = Memory(
        (
            np.zeros(2 * vocab_size + places + capacity * rows.columns(k), dtype=np.int32)
            if small is None
            else small
        ),
        np.zeros(numbers, dtype=np.int64),
        np.zeros(reals),
    )
    made.numbers[: _MARKS + 1] = *sizes.values(), len(priors)
    mine = named(made)
    mine.worth[:] = mine.priors[:] = priors
    mine.rows.ends[:] = 0, -1, -1
    mine.usual.sums[:] = 0.0, 1.0, 0.0
    return made


def sizes_of(
    vocab_size: int, k: int, memory: int, room: int = 1024, nodes: int = 80
) -> dict[str, int]:
    """Sizes of a memory.

    Args:
        k: candidates a row. memory: bytes of rows.
        room: tokens of the text. nodes: of a draft, the root not counted.
    """
    places, capacity = rows.sizes(k, memory)
    return {
        "k": k,
        "vocab_size": vocab_size,
        "places": places,
        "capacity": capacity,
        "room": room,
        "nodes": nodes,
    }


def with_room(memory: Memory, sizes: dict[str, int]) -> Memory:
    """The same knowledge, with more room for text and drafts; the draft under way is forgotten."""
    before = named(memory)
    made = empty(sizes, before.priors, memory.small)
    after = named(made)
    made.numbers[_ENDS:_FIRST] = memory.numbers[_ENDS:_FIRST]
    after.worth[:] = before.worth
    after.text.tokens[: len(before.text.tokens)] = before.text.tokens
    after.text.matches[:] = before.text.matches
    for mine, old in zip(after.usual[1:], before.usual[1:], strict=True):
        mine[:] = old
    return made


@inner
def parts(small, numbers, reals):
    """The arrays of a memory by name."""
    k, vocab_size, places, capacity = (
        numbers[_WIDTH],
        numbers[_VOCAB],
        numbers[_PLACES],
        numbers[_CAPACITY],
    )
    room, size, marks = numbers[_TEXT], numbers[_NODES] + 1, numbers[_MARKS]
    found, kept = (size + 1) * known.room(k), usual.room(k)
    last, line = small[:vocab_size], small[vocab_size : 2 * vocab_size]
    at = 2 * vocab_size
    index = small[at : at + places]
    table = small[at + places :].reshape((capacity, rows.columns(k)))

    at = _FIRST + k
    desk = numbers[_FIRST:at]
    usual_desk = numbers[at : at + usual.MOST]
    at += usual.MOST
    places_desk = numbers[at : at + 2 * text.PLACES].reshape((2, text.PLACES))
    at += 2 * text.PLACES
    tokens = numbers[at : at + 2 * room].reshape((room, 2))
    at += 2 * room
    matches = numbers[at : at + 2 * text.PLACES].reshape((text.PLACES, 2))
    at += 2 * text.PLACES
    usual_tokens = numbers[at : at + kept]
    at += kept
    best = numbers[at : at + 2 * usual.MOST].reshape((usual.MOST, 2))
    at += 2 * usual.MOST
    told = numbers[at : at + known.COLUMNS * found].reshape((found, known.COLUMNS))
    at += known.COLUMNS * found
    listed = numbers[at : at + found]
    at += found
    copies = numbers[at : at + 3 * text.PLACES].reshape((text.PLACES, 3))
    at += 3 * text.PLACES
    nodes = numbers[at : at + growing.COLUMNS * size].reshape((size, growing.COLUMNS))
    at += growing.COLUMNS * size
    branch = numbers[at : at + size]
    at += size
    out = numbers[at : at + growing.OUT_COLUMNS * size].reshape((size, growing.OUT_COLUMNS))
    at += growing.OUT_COLUMNS * size
    heap = numbers[at : at + 2 * growing.HEAP_COLUMNS * size].reshape(
        (2 * size, growing.HEAP_COLUMNS)
    )
    at += 2 * growing.HEAP_COLUMNS * size
    behind = numbers[at:].reshape(((size + 1) * text.PLACES, 2))

    worth, priors, sums = reals[:marks], reals[marks : 2 * marks], reals[2 * marks : 2 * marks + 3]
    at = 2 * marks + 3
    mass = reals[at : at + kept]
    at += kept
    chances = reals[at : at + found]
    at += found
    shares = reals[at : at + found]
    at += found
    expected = reals[at : at + size]
    told_chances = reals[at + size : at + 2 * size]
    keys = reals[at + 2 * size :]
    return Parts(
        worth,
        priors,
        rows.Rows(index, table, numbers[_ENDS:_LENGTHS], desk, k),
        text.Text(tokens, last, matches, numbers[_LENGTHS:_COUNTS], places_desk),
        usual.Usual(
            line, usual_tokens, mass, best, sums, numbers[_COUNTS : _COUNTS + 2], usual_desk
        ),
        known.Found(told, chances, copies),
        growing.Tree(
            nodes, expected, listed, shares, behind, keys, heap, branch, out, told_chances
        ),
    )


def named(memory: Memory) -> Parts:
    """The same for everybody else."""
    return parts(*memory)
