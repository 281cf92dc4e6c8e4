"""Runs of the same prompt, made by hand to lie side by side: every number is known."""

from __future__ import annotations

import msgspec

from tests.support.hand_runs import A, B, C, D, E, F, run, step


def of_two(*steps):
    """A run that says its tree has two nodes, whatever these steps have."""
    trace = run([A], *steps)
    return msgspec.structs.replace(trace, info=msgspec.structs.replace(trace.info, nodes=2))


# The text is b c d e f a in all of them; a bracket is a step:
#
#     X   [b c d][e][f a]
#     Y   [b][c][d][e][f][a]
#     Z   [b][c d][e f a]
X = of_two(
    step([(0, 0, B), (1, 0, C)], [B, C, D], root=A),
    step([(0, 0, A)], [E, A], root=D),
    step([(0, 0, F)], [F, A], root=E, stop="max_new_tokens"),
)
Y = run(
    [A],
    *(step([], [t], root=r) for r, t in zip([A, B, C, D, E, F], [B, C, D, E, F, A], strict=True)),
    drafter="none",
)
Z = of_two(
    step([], [B], root=A),
    step([(0, 0, C), (0, 1, E)], [C, D, A], root=B),
    step([(0, 0, E), (1, 0, F)], [E, F, A], root=D),
)
# [b c][e …: c is the bonus after node 1; at position 3 X has d, this one e.
OTHER = of_two(
    step([(0, 0, B)], [B, C], root=A),
    step([(0, 0, E), (1, 0, F)], [E, A, A], root=C),
)


def with_info(trace, *, settings=None, **info):
    """The run with other settings and other facts about it."""
    settings = {"temperature": 0.0, "max_new_tokens": 6, "prompt_rows": True} | (settings or {})
    return msgspec.structs.replace(
        trace, info=msgspec.structs.replace(trace.info, settings=settings, **info)
    )
