"""What another tree or another matrix would have gained on a recorded run. No torch here.

The text of a lossless run does not depend on its drafts, so a run can be replayed along its own
text. At each position a what-if tree is filled from the recorded rows, the agreeing path is
skipped, and passes are counted. With the recorded tree this gives the recorded passes exactly, as
the tests check. With another tree the passes are at other positions and would have overwritten
other rows than the record has. A replay that starts between two recorded passes uses the rows of
the earlier one, and those of the text since. So it is an estimate, biased to the recorded tree,
since a larger one also writes more rows; docs/decisions.md has figures.

Nothing is guessed that the record does not hold: rows have k candidates, so a larger k cannot be
replayed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from typing import Literal

import msgspec

from tr_core.analysis.row_history import RowHistory
from tr_core.trace import RunTrace, StepTrace

Kind = Literal[
    "recorded",
    "wider",
    "deeper",
    "any_tree",
    "smaller_k",
    "larger_k",
    "hot",
    "hot_at_best",
    "path_only",
]
Certainty = Literal["exact", "estimate", "bound", "not_recorded"]
Ranks = tuple[int, ...]
# The child at a rank, as ranks from the root, or None if the tree has none there. The
# root is ().
Shape = Callable[[Ranks, int], "Ranks | None"]

ADDITIONS = 5


class WhatIf(msgspec.Struct, frozen=True):
    """One other way to draft, replayed along the recorded text.

    Attributes:
        kind: ``recorded`` the run as it was · ``wider`` every rank at every node, same depth ·
            ``deeper`` the same tree again below its last level, without end · ``any_tree`` every
            rank at any depth: all that the rows hold · ``smaller_k`` rows cut to their first ``k``
            candidates · ``larger_k`` · ``hot`` rows never seen hold what a later position in the
            text wrote, if any did · ``hot_at_best`` the others also hold the right token ·
            ``path_only`` only roots and accepted nodes write rows: shows what rejected nodes gained
            or cost.
        k: candidates of a row.
        passes: forward passes; None if not recorded.
        mean_accepted_tokens: tokens emitted ÷ passes; None if not recorded.
        saved: passes fewer than recorded; None if not recorded.
        certainty: exact · estimate · bound: no more than this with the recorded rows ·
            not_recorded.
    """

    kind: Kind
    k: int
    passes: int | None
    mean_accepted_tokens: float | None
    saved: int | None
    certainty: Certainty


class Addition(msgspec.Struct, frozen=True):
    """One node that would have caught tokens, had the tree had it.

    Attributes:
        ranks: from the root to the node: a path as tree files list them.
        steps: recorded steps whose next token it would have caught.
        saved: passes fewer with the node in every tree, an estimate.
    """

    ranks: Ranks
    steps: int
    saved: int


def what_ifs(trace: RunTrace, history: RowHistory) -> tuple[WhatIf, ...]:
    """All what-ifs of a run; empty if its drafts cannot be rebuilt from one matrix."""
    if not history.replayable:
        return ()
    replay, k = Replay(trace, history), trace.info.k
    recorded = replay.passes()
    tokens = len(trace.output_ids)

    def line(kind: Kind, passes: int | None, certainty: Certainty, k: int = k) -> WhatIf:
        if passes is None:
            return WhatIf(kind, k, None, None, None, certainty)
        return WhatIf(kind, k, passes, tokens / max(passes, 1), recorded - passes, certainty)

    cuts = [c for c in (1, 2, 4, 8, 16, 32) if c < k]
    return (
        line("recorded", recorded, "exact"),
        line("wider", replay.passes(_wider), "bound"),
        line("deeper", replay.passes(_deeper), "estimate"),
        line("any_tree", replay.passes(_any), "bound"),
        line("hot", replay.passes(hot=True), "estimate"),
        line("hot_at_best", replay.passes(hot=True, best=True), "bound"),
        line("path_only", replay.passes(path_only=True), "estimate"),
        *(line("smaller_k", replay.passes(k=cut), "estimate", cut) for cut in cuts),
        line("larger_k", None, "not_recorded", 2 * k),
    )


def additions(trace: RunTrace, history: RowHistory, caught: Counter[Ranks]) -> tuple[Addition, ...]:
    """The single nodes that would have saved most passes.

    Args:
        caught: steps that each missing node would have helped.
    """
    if not history.replayable:
        return ()
    replay = Replay(trace, history)
    recorded = replay.passes()
    # Replays cost time, and a node that few steps missed saves few passes.
    listed = [
        Addition(ranks, steps, recorded - replay.passes(_with(ranks)))
        for ranks, steps in sorted(caught.items(), key=lambda c: (-c[1], len(c[0]), c[0]))[
            : 4 * ADDITIONS
        ]
    ]
    return tuple(
        sorted(listed, key=lambda a: (-a.saved, -a.steps, len(a.ranks), a.ranks))[:ADDITIONS]
    )


class Replay:
    """Plays a run again along its own text; see the module."""

    def __init__(self, trace: RunTrace, history: RowHistory) -> None:
        self._trace, self._history = trace, history
        self._trees: dict[tuple[Ranks, Ranks], frozenset[Ranks]] = {}
        # What the model gave after each token of the text: (position, candidates), by token.
        self._written: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
        for start, step in zip(history.starts, trace.steps, strict=True):
            for position, node in enumerate((0, *step.path), start):
                self._written.setdefault(step.tokens[node], []).append(
                    (position, step.candidates[node])
                )

    def passes(
        self,
        shape: Callable[[frozenset[Ranks]], Shape] | None = None,
        *,
        k: int | None = None,
        hot: bool = False,
        best: bool = False,
        path_only: bool = False,
    ) -> int:
        """Forward passes that the recorded text takes.

        Args:
            shape: from the nodes of a step's tree to the tree to draft with; the recorded one by
                default.
            k: candidates of a row that may be used; all by default.
            hot: rows never seen hold what a later position in the text wrote into them.
            best: and where none did, they hold the right token.
            path_only: rejected nodes write no rows.
        """
        text, count, root = self._history.text, 0, self._history.starts[0]
        while root < len(text) - 1:
            number = bisect_right(self._history.starts, root) - 1
            child = (shape or _same)(self._nodes(self._trace.steps[number]))
            node: Ranks = ()
            position = root
            while position + 1 < len(text):
                token, following = text[position], text[position + 1]
                row = self._path_row(token, root) if path_only else self._row(token, number, root)
                if hot and not row:
                    row = self._history.second_writing(token) or ((following,) if best else ())
                if not row or following not in row[:k]:
                    break
                below = child(node, row.index(following))
                if below is None:
                    break
                node, position = below, position + 1
            root, count = position + 1, count + 1
        return count

    def _row(self, token: int, number: int, root: int) -> tuple[int, ...] | None:
        """The row of ``token`` for a pass from ``root``, at or within step ``number``."""
        step, start = self._trace.steps[number], self._history.starts[number]
        for node in reversed((0, *step.path)[: root - start]):
            if step.tokens[node] == token:
                return step.candidates[node]
        return self._history.row(token, number)

    def _path_row(self, token: int, root: int) -> tuple[int, ...] | None:
        """The row of ``token`` for a pass from ``root``, had only the text written rows."""
        writes = self._written.get(token, ())
        later = bisect_left(writes, root, key=lambda w: w[0])
        return writes[later - 1][1] if later else self._history.row(token, 0)

    def _nodes(self, step: StepTrace) -> frozenset[Ranks]:
        """Ranks from the root to each node of a step's tree, the root's () included."""
        key = (step.parents, step.ranks)
        if key not in self._trees:
            paths: list[Ranks] = [()]
            for node in range(1, len(step.parents)):
                paths.append((*paths[step.parents[node]], step.ranks[node]))
            self._trees[key] = frozenset(paths)
        return self._trees[key]


def _same(nodes: frozenset[Ranks]) -> Shape:
    return lambda node, rank: child if (child := (*node, rank)) in nodes else None


def _with(extra: Ranks) -> Callable[[frozenset[Ranks]], Shape]:
    return lambda nodes: _same(nodes | {extra})


def _wider(nodes: frozenset[Ranks]) -> Shape:
    depth = max(map(len, nodes))
    return lambda node, rank: (*node, rank) if len(node) < depth else None


def _deeper(nodes: frozenset[Ranks]) -> Shape:
    depth, same = max(map(len, nodes)), _same(nodes)
    return lambda node, rank: same(() if len(node) == depth else node, rank)


def _any(nodes: frozenset[Ranks]) -> Shape:
    return lambda node, rank: ()
