"""Compiles all loops at their first use in a process, or reads them from disk.

To compile ahead of time, run ``python -m tr_core.drafters.recycling_plus.kernels.warm_up``.
"""

from __future__ import annotations

import logging
from functools import cache

import numpy as np

from tr_core.drafters.recycling_plus.kernels import arrays, numba_cache
from tr_core.drafters.recycling_plus.kernels import entry_points as loops


@cache
def prepare() -> None:
    """Compile all loops (about 15 seconds), or read them from disk (a quarter of a second).

    A text of four tokens goes through all of them, with the types that the drafter sends.
    """
    if not numba_cache.is_complete():
        logging.getLogger(__name__).warning(
            "Compiling recycling_plus: about 15 seconds, once per machine."
        )
    k, nodes = 2, 4
    memory = arrays.empty(arrays.configure(8, k, 1000))
    parts = arrays.parts_of(*memory)
    ids, probabilities = np.zeros((nodes, k), dtype=np.int32), np.ones((nodes, k), dtype=np.float32)
    loops.begin(*memory)
    loops.read(*memory, np.array([-1, -1, 0, 1, 0, 1]), ids, probabilities)
    parts.tree.context[:] = -1, 0, 1
    count, _ = loops.draft(*memory, np.array([0, 1, 0, 1]), nodes, np.zeros((4, 9)))
    loops.list_breadth_first(*memory, np.zeros((count + 1, count + 1), dtype=np.bool_))
    before = np.empty((count + 1, k), dtype=np.int32)
    scored = ids[:1].repeat(count + 1, 0), probabilities[:1].repeat(count + 1, 0)
    choices = np.zeros(count + 1, dtype=np.int64)
    loops.learn(*memory, np.array([0]), choices, *scored, before)
    order = np.empty(2, dtype=np.int64)
    loops.list_rows(*memory, order)
    stored = np.zeros((2, k), dtype=np.uint8), np.zeros(2, dtype=np.int32)
    loops.fill_rows(*memory, order, ids[:2], *stored)
    numba_cache.mark_complete()


if __name__ == "__main__":
    prepare()
