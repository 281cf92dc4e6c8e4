"""Everything that recycling_plus keeps, in three arrays, so that a loop takes three and not thirty.

After each pass of the model the processor's caches are cold, and then every array that numba
unpacks from its Python object costs a microsecond or two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tr_core.drafters.recycling_plus.kernels import candidates as c
from tr_core.drafters.recycling_plus.kernels import features, grow, lookup, rows
from tr_core.drafters.recycling_plus.kernels import frequent_tokens as f
from tr_core.drafters.recycling_plus.kernels.grow import Parts
from tr_core.drafters.recycling_plus.kernels.numba_cache import inner

# The start of ``int64``: the fields of ``Config``, then the small arrays of the parts, from these
# places on.
_K, _VOCAB_SIZE, _SLOTS, _CAPACITY, _ROOM, _NODES, _MAX_KEY, _FREQUENT = range(8)
_STEP, _ENDS, _SIZES, _COUNTS, _USED, _CONTEXT, _FIRST = 8, 9, 12, 14, 16, 17, 20


class Config(NamedTuple):
    """What the arrays are made for.

    Attributes:
        k: candidates per row. vocab_size: V.
        slots, capacity: of the rows, S and C.
        room: tokens of the text. nodes: of a draft, without the root.
        max_key: tokens of a key at most, 1 … 3.
        frequent: whether to guess frequent tokens.
    """

    k: int
    vocab_size: int
    slots: int
    capacity: int
    room: int
    nodes: int
    max_key: int
    frequent: bool


class Memory(NamedTuple):
    """The three arrays.

    Attributes:
        int32: what is large: the rows, and a number per token of the vocabulary twice.
        int64: integers. float64: real numbers.
    """

    int32: np.ndarray
    int64: np.ndarray
    float64: np.ndarray


def configure(
    vocab_size: int,
    k: int,
    row_bytes: int = rows.MAX_BYTES,
    *,
    max_key: int = 3,
    frequent: bool = True,
) -> Config:
    """A memory for rows of so many bytes, and a short text and draft at first."""
    slots, capacity = rows.sizes(k, row_bytes)
    return Config(k, vocab_size, slots, capacity, 1024, 80, max_key, frequent)


def empty(
    config: Config,
    priors: Sequence[float] | np.ndarray = features.PRIORS,
    rate: float = c.RATE,
    int32: np.ndarray | None = None,
) -> Memory:
    """A memory without any rows or text.

    Args:
        priors: (F,) weights at first. rate: as of ``Model``.
        int32: another memory's, to be taken over.
    """
    k, vocab_size, slots, capacity, room, nodes, _, _ = config
    size, tokens = nodes + 1, int(f.capacity(k))
    candidates = (size + 1) * int(c.per_node(k))
    matches = (size + 1) * lookup.MAX_MATCHES
    tree = size * (grow.COLUMNS + 1 + grow.LISTED_COLUMNS + 2 * grow.HEAP_COLUMNS) + 2 * matches
    if int32 is None:
        int32 = np.zeros(2 * vocab_size + slots + capacity * int(rows.columns(k)), dtype=np.int32)
    integers = (
        _FIRST + k + 3 * f.MAX_GUESSES + tokens + 2 * room + 7 * lookup.MAX_MATCHES
        + candidates * (c.COLUMNS + 1) + tree
    )  # fmt: skip
    reals = 2 * features.COUNT + 1 + 3 + tokens + 2 * candidates + 4 * size
    memory = Memory(int32, np.zeros(integers, dtype=np.int64), np.zeros(reals))
    memory.int64[: len(config)] = config
    parts = parts_of(*memory)
    parts.model.weights[:] = parts.model.priors[:] = priors
    parts.model.rate[0] = rate
    parts.rows.ends[:] = 0, -1, -1
    parts.frequent.sums[:] = 0.0, 1.0, 0.0
    parts.tree.context[:] = -1
    return memory


def resized(memory: Memory, config: Config) -> Memory:
    """The same memory with more room for text and drafts; the present draft is forgotten."""
    old = parts_of(*memory)
    result = empty(config, old.model.priors, old.model.rate[0], memory.int32)
    new = parts_of(*result)
    result.int64[_STEP:_FIRST] = memory.int64[_STEP:_FIRST]
    new.model.weights[:] = old.model.weights
    new.text.tokens[: len(old.text.tokens)] = old.text.tokens
    new.text.matches[:] = old.text.matches
    new.frequent.tokens[:] = old.frequent.tokens
    new.frequent.mass[:] = old.frequent.mass
    new.frequent.guesses[:] = old.frequent.guesses
    new.frequent.sums[:] = old.frequent.sums
    return result


@inner
def parts_of(int32: np.ndarray, int64: np.ndarray, float64: np.ndarray) -> Parts:
    """The arrays of a memory by name."""
    k, vocab_size, slots, capacity = int64[_K], int64[_VOCAB_SIZE], int64[_SLOTS], int64[_CAPACITY]
    room, size = int64[_ROOM], int64[_NODES] + 1
    n_candidates, n_tokens = (size + 1) * c.per_node(k), f.capacity(k)

    frequent_slots, last = int32[:vocab_size], int32[vocab_size : 2 * vocab_size]
    at = 2 * vocab_size
    row_slots = int32[at : at + slots]
    row_table = int32[at + slots :].reshape((capacity, rows.columns(k)))

    at = _FIRST + k
    row_scratch = int64[_FIRST:at]
    frequent_scratch = int64[at : at + f.MAX_GUESSES]
    at += f.MAX_GUESSES
    text_scratch = int64[at : at + 2 * lookup.MAX_MATCHES].reshape((2, lookup.MAX_MATCHES))
    at += 2 * lookup.MAX_MATCHES
    text_tokens = int64[at : at + 2 * room].reshape((room, 2))
    at += 2 * room
    text_matches = int64[at : at + 2 * lookup.MAX_MATCHES].reshape((lookup.MAX_MATCHES, 2))
    at += 2 * lookup.MAX_MATCHES
    frequent_tokens = int64[at : at + n_tokens]
    at += n_tokens
    guesses = int64[at : at + 2 * f.MAX_GUESSES].reshape((f.MAX_GUESSES, 2))
    at += 2 * f.MAX_GUESSES
    table = int64[at : at + c.COLUMNS * n_candidates].reshape((n_candidates, c.COLUMNS))
    at += c.COLUMNS * n_candidates
    children = int64[at : at + n_candidates]
    at += n_candidates
    copies = int64[at : at + 3 * lookup.MAX_MATCHES].reshape((lookup.MAX_MATCHES, 3))
    at += 3 * lookup.MAX_MATCHES
    nodes = int64[at : at + grow.COLUMNS * size].reshape((size, grow.COLUMNS))
    at += grow.COLUMNS * size
    branch = int64[at : at + size]
    at += size
    listed = int64[at : at + grow.LISTED_COLUMNS * size].reshape((size, grow.LISTED_COLUMNS))
    at += grow.LISTED_COLUMNS * size
    heap = int64[at : at + 2 * grow.HEAP_COLUMNS * size].reshape((2 * size, grow.HEAP_COLUMNS))
    at += 2 * grow.HEAP_COLUMNS * size
    matches = int64[at:].reshape(((size + 1) * lookup.MAX_MATCHES, 2))

    weights, priors = float64[: features.COUNT], float64[features.COUNT : 2 * features.COUNT]
    at = 2 * features.COUNT
    rate = float64[at : at + 1]
    sums = float64[at + 1 : at + 4]
    at += 4
    mass = float64[at : at + n_tokens]
    at += n_tokens
    chances = float64[at : at + n_candidates]
    at += n_candidates
    shares = float64[at : at + n_candidates]
    at += n_candidates
    expected = float64[at : at + size]
    listed_chances = float64[at + size : at + 2 * size]
    keys = float64[at + 2 * size :]
    return Parts(
        c.Model(weights, priors, rate),
        rows.Rows(
            row_slots,
            row_table,
            int64[_ENDS:_SIZES],
            row_scratch,
            int64[_STEP:_ENDS],
            k,
            vocab_size + 1,
            int64[_MAX_KEY],
        ),
        lookup.Text(text_tokens, last, text_matches, int64[_SIZES:_COUNTS], text_scratch),
        f.FrequentTokens(
            frequent_slots,
            frequent_tokens,
            mass,
            guesses,
            sums,
            int64[_COUNTS:_USED],
            frequent_scratch,
            int64[_FREQUENT],
        ),
        c.Candidates(table, chances, int64[_USED:_CONTEXT], copies),
        grow.Tree(
            int64[_CONTEXT:_FIRST],
            nodes,
            expected,
            children,
            shares,
            matches,
            keys,
            heap,
            branch,
            listed,
            listed_chances,
        ),
    )
