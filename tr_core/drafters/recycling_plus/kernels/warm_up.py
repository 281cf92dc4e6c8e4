"""The first use of the compiled loops in a process, and on a machine.

Run ``python -m tr_core.drafters.recycling_plus.kernels.warm_up`` to pay for it before anybody
waits.
"""

from __future__ import annotations

import logging
from functools import cache

import numpy as np

from tr_core.drafters.recycling_plus.kernels import arrays as memory
from tr_core.drafters.recycling_plus.kernels import entry_points as loops
from tr_core.drafters.recycling_plus.kernels import features as marks
from tr_core.drafters.recycling_plus.kernels import numba_cache as compiled


@cache
def prepare() -> None:
    """Compile all loops, or read them from disk: a quarter of a minute, and a quarter of a second.

    A text of four tokens goes through all of them, as a drafter would send it.
    """
    if not compiled.kept():
        logging.getLogger(__name__).warning(
            "recycling_plus is compiled first: a quarter of a minute, once here."
        )
    k, nodes = 2, 4
    mine = memory.empty(memory.sizes_of(8, k, 1000), np.array(marks.PRIORS))
    last, some = np.array([-1, 0, 1]), np.array([0, 1, 0, 1])
    ids, chances = np.zeros((nodes, k), dtype=np.int32), np.ones((nodes, k), dtype=np.float32)
    loops.begin(*mine)
    loops.read(*mine, np.array([-1, -1, 0, 1, 0, 1]), ids, chances, 3, 0, True)
    taken, _, free = loops.draft(*mine, last, some, True, 3, 0, nodes, np.zeros((4, 9)))
    loops.number(*mine, np.zeros((taken + 1, taken + 1), dtype=np.bool_))
    before = np.empty((taken + 1, k), dtype=np.int32)
    scored = ids[:1].repeat(taken + 1, 0), chances[:1].repeat(taken + 1, 0)
    loops.learn(
        *mine,
        last,
        np.array([0]),
        np.zeros(taken + 1, dtype=np.int64),
        *scored,
        before,
        free,
        3,
        0,
        0.1,
        True,
    )
    order = np.empty(2, dtype=np.int64)
    loops.written(*mine, order)
    loops.fill(*mine, order, ids[:2], np.zeros((2, k), dtype=np.uint8), np.zeros(2, dtype=np.int32))
    compiled.keep()


if __name__ == "__main__":
    prepare()
