"""Bytes that the passes of a run read: why a tree pass costs little more than a plain one.

No torch here.

A pass reads all weights once, whatever the number of its tokens, and the keys and values of every
token it attends to. Activations and the candidate rows (a few hundred bytes a node) are left out.
"""

from __future__ import annotations

import msgspec

from tr_core.trace import RunTrace


class Reading(msgspec.Struct, frozen=True):
    """Bytes read by one step.

    Attributes:
        step: number of the step.
        tree: by its pass over the whole tree.
        plain: by a pass over its root alone.
        emitted: tokens that it emitted.
        plain_for_all: by as many plain passes as emit these tokens.
    """

    step: int
    tree: int
    plain: int
    emitted: int
    plain_for_all: int


def readings(trace: RunTrace) -> list[Reading]:
    """One entry per step; empty if the bytes of the model are not recorded."""
    weights, token = trace.info.weight_bytes, trace.info.cache_bytes_per_token
    if not weights or not token:
        return []
    lines = []
    for step in trace.steps:
        count = len(step.emitted)
        # The root is one of the committed tokens and the first of the tree.
        plain = weights + step.committed * token
        lines.append(
            Reading(
                step=step.index,
                tree=plain + (len(step.tokens) - 1) * token,
                plain=plain,
                emitted=count,
                plain_for_all=count * plain + token * (count * (count - 1) // 2),
            )
        )
    return lines
