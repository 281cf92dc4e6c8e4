"""The matrix of a run at any step, rebuilt from the rows that the steps overwrote. No torch here.

A ``RowChange`` holds a row before and after its step. So a row is known from its first change on,
and before it too, since nothing had changed it. A row that no step changes is unknown; the prompt
or an earlier run may have written it. Every token of the text but the last is scored, so along the
text all rows are known.

Steps are counted from 0 here (indices of ``trace.steps``); results name them by
``StepTrace.index``.
"""

from __future__ import annotations

from bisect import bisect_left
from statistics import mean

import msgspec

from tr_core.trace import RowChange, RunTrace, Status, StepTrace

CONTEXT = 4


class Write(msgspec.Struct, frozen=True):
    """Which scored node wrote a row.

    Attributes:
        step: number of the step.
        node: the node in that step's tree.
        position: of its token in prompt and output; for a rejected node, where it would have been.
        context: up to 4 tokens that end in the node's own: what the model read there.
        status: what became of the node.
    """

    step: int
    node: int
    position: int
    context: tuple[int, ...]
    status: Status


class MatrixState(msgspec.Struct, frozen=True):
    """The matrix around one step.

    Attributes:
        step: number of the step.
        rows_seen: rows that hold candidates after it.
        fill: their share of the vocabulary.
        new, rewritten: rows written for the first time, and rows written again.
        changed: rows written again with other candidates, or in another order.
        age: mean age in steps of the rows that the draft was made from; a row that the prompt or an
            earlier run wrote counts from before step 1. None if no row was used.
    """

    step: int
    rows_seen: int
    fill: float
    new: int
    rewritten: int
    changed: int
    age: float | None


class RowLife(msgspec.Struct, frozen=True):
    """What a run did to one row.

    Attributes:
        token: whose row it is.
        writes, changed: times it was written, and times that its candidates or their order changed.
        evicted: candidates that it lost over the run.
        first, last: numbers of the first and the last step that wrote it.
        known_before: whether it held candidates before its first write.
        age: steps from its last write to the end of the run.
        row: (k,) its candidates at the end.
    """

    token: int
    writes: int
    changed: int
    evicted: int
    first: int
    last: int
    known_before: bool
    age: int
    row: tuple[int, ...]


class RowHistory:
    """All rows of a run by token and step.

    Attributes:
        text: prompt and output ids.
        starts: place of each step's root in ``text``.
        has_rows: whether the drafter kept a matrix.
        replayable: whether all drafts came from its rows alone, so that others can be made from
            them.
    """

    def __init__(self, trace: RunTrace) -> None:
        self._steps = trace.steps
        self._rows_seen, self._vocab_size = trace.info.rows_seen, trace.info.vocab_size
        # A hand-made trace may lack its prompt; then only the first root is known.
        prompt = trace.info.prompt_ids or (trace.steps[0].tokens[:1] if trace.steps else ())
        self.text: tuple[int, ...] = (*prompt, *trace.output_ids)
        self.starts: list[int] = []
        position = len(prompt) - 1
        self._changes: dict[int, list[tuple[int, RowChange]]] = {}
        for number, step in enumerate(trace.steps):
            self.starts.append(position)
            position += len(step.emitted)
            for change in {row.token: row for row in step.rows}.values():
                self._changes.setdefault(change.token, []).append((number, change))
        self.has_rows = bool(self._changes)
        self.replayable = self.has_rows and all(step.ranks_are_places for step in trace.steps)

    def row(self, token: int, number: int) -> tuple[int, ...] | None:
        """(k,) the row of ``token`` when step ``number`` drafted.

        Empty if never written, None if not recorded.
        """
        changes = self._changes.get(token)
        if changes is None:
            return None
        later = bisect_left(changes, number, key=lambda c: c[0])
        return changes[later - 1][1].after if later else changes[0][1].before

    def second_writing(self, token: int) -> tuple[int, ...] | None:
        """(k,) the row after the second step that wrote it; None without one."""
        changes = self._changes.get(token, ())
        return changes[1][1].after if len(changes) > 1 else None

    def last_write(self, token: int, number: int) -> Write | None:
        """The last write to the row of ``token`` before step ``number``; None without one."""
        earlier = [c for c in self._changes.get(token, ()) if c[0] < number]
        return self._write(*earlier[-1]) if earlier else None

    def eviction(self, token: int, candidate: int, number: int) -> Write | None:
        """The last write before step ``number`` that dropped ``candidate`` from the row."""
        for step, change in reversed(self._changes.get(token, ())):
            if step < number and candidate in change.evicted:
                return self._write(step, change)
        return None

    def over_time(self) -> list[MatrixState]:
        """Fill and age at every step; empty for a drafter without a matrix."""
        if not self.has_rows:
            return []
        seen, states = self._rows_seen, []
        written: dict[int, int] = {}
        for number, step in enumerate(self._steps):
            rows = {row.token: row for row in step.rows}.values()
            ages = [number - written.get(token, -1) for token in _sources(step)]
            new = sum(not row.before for row in rows)
            seen += new
            states.append(
                MatrixState(
                    step=step.index,
                    rows_seen=seen,
                    fill=seen / self._vocab_size,
                    new=new,
                    rewritten=len(rows) - new,
                    changed=sum(bool(row.before) and row.before != row.after for row in rows),
                    age=mean(ages) if ages else None,
                )
            )
            written |= {row.token: number for row in rows}
        return states

    def lives(self) -> list[RowLife]:
        """Every row that the run wrote, most evicted candidates first: data of a matrix map."""
        lives = []
        for token, changes in self._changes.items():
            rows = [change for _, change in changes]
            first, last = changes[0][0], changes[-1][0]
            lives.append(
                RowLife(
                    token=token,
                    writes=len(rows),
                    changed=sum(bool(r.before) and r.before != r.after for r in rows),
                    evicted=sum(len(r.evicted) for r in rows),
                    first=self._steps[first].index,
                    last=self._steps[last].index,
                    known_before=bool(rows[0].before),
                    age=len(self._steps) - 1 - last,
                    row=rows[-1].after,
                )
            )
        return sorted(lives, key=lambda r: (-r.evicted, -r.writes, r.token))

    def _write(self, number: int, change: RowChange) -> Write:
        step, branch, node = self._steps[number], [], change.node
        while node > 0:
            branch.append(step.tokens[node])
            node = step.parents[node]
        start = self.starts[number]
        context = (*self.text[max(start + 1 - CONTEXT, 0) : start + 1], *reversed(branch))
        return Write(
            step.index,
            change.node,
            start + len(branch),
            context[-CONTEXT:],
            step.statuses[change.node],
        )


def _sources(step: StepTrace) -> set[int]:
    """Tokens whose rows a step drafted from."""
    unseen = set(step.unseen)
    return {step.tokens[step.parents[n]] for n in range(1, len(step.tokens)) if n not in unseen}
