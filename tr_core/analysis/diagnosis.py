"""Why each step's path ended where it did, decided from the trace alone. No torch here.

A path ends at a node (the root, if nothing was accepted). The reasons, of which every step has
exactly one:

    stopped          the run stopped first: an end token, a stop string, a limit
    no_draft         nothing was drafted: the root alone
    depth_limit      the path reached the last level of its tree; ``rank`` shows whether a deeper
                     one would have helped
    row_never_seen   the end node's row had never been written, so nothing was drafted below it
    not_in_row       the row did not hold the token that the model chose: evicted earlier
                     (``evicted``), or never in it
    rank_cut         the row held the token, but the tree had no child at that rank
    other_token      the draft had other tokens, and no row says why (drafters without a matrix)

A drafter that grows its own trees records what it knew at the end node (``StepTrace.held``), and
has three more reasons:

    budget_spent     it knew the token that the model chose, but spent the nodes elsewhere
    not_known        it knew other tokens there only
    nothing_known    it knew none (with the rows of one matrix: not_in_row, row_never_seen)

**Tokens lost** by a step: how many more of the run's next tokens this step would have accepted, had
the model's token been below the end node. From there the draft would have continued through the
rows as they were, at any rank, down to its tree's last level (for ``depth_limit``: below it). Along
the true text all rows are recorded, so this is exact for one
step, where drafts come from these rows alone. It is not additive: what one step gains, later steps
no longer can. The replays of ``tr_core.analysis.replay`` count whole runs instead. Where no rows
are known, or drafts come from other sources too, only the one token is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from tr_core.analysis import metrics
from tr_core.analysis.replay import Addition, WhatIf, additions, what_ifs
from tr_core.analysis.row_history import RowHistory, Write
from tr_core.trace import RunTrace, StepTrace
from tr_core.trees.tree import TreeTemplate

Reason = Literal[
    "row_never_seen", "not_in_row", "rank_cut", "depth_limit", "stopped", "no_draft", "other_token",
    "budget_spent", "not_known", "nothing_known",
]  # fmt: skip
REASONS: tuple[Reason, ...] = (
    "row_never_seen",
    "not_in_row",
    "rank_cut",
    "depth_limit",
    "stopped",
    "no_draft",
    "other_token",
    "budget_spent",
    "not_known",
    "nothing_known",
)
COSTLY = 10


class StepDiagnosis(msgspec.Struct, frozen=True):
    """Why one step's path ended.

    Attributes:
        step: number of the step.
        reason: one of ``REASONS``.
        end: the node at which the path ended; 0 for the root.
        after: the end node's token.
        position: in prompt and output.
        accepted: nodes of the path.
        drafted: nodes that held a token, the root not counted; those below a row never seen hold
            none.
        token: what the model chose after the end node.
        probability: of that token, or None if it is not among the candidates recorded.
        row: (k,) the end node's row when the draft was made; empty if never written, None if not
            recorded, or if the drafter drafts from more than such rows.
        rank: place of ``token`` in that row, or among all candidates of such a drafter; None if
            it was not there.
        below: tokens drafted below the end node, best first.
        written: the last write to that row; None without one in this run.
        evicted: for ``not_in_row``, who took the token out of the row; None if it was not in it in
            this run.
        add: ranks from the root to the one node that would have caught the token, or None.
        lost: tokens lost, see the module.
        unused: for ``stopped``, tokens that draft and model agreed on after the stop.
        stop: why the run ended with this step, or None.
        open: whether the record ends before the count of lost tokens does, so that it may be more.
    """

    step: int
    reason: Reason
    end: int
    after: int
    position: int
    accepted: int
    drafted: int
    token: int
    probability: float | None
    row: tuple[int, ...] | None
    rank: int | None
    below: tuple[int, ...]
    written: Write | None
    evicted: Write | None
    add: tuple[int, ...] | None
    lost: int
    unused: int
    stop: str | None
    open: bool


class ContextCost(msgspec.Struct, frozen=True):
    """What one token cost as the end of a path: steps that ended after it, tokens lost, reasons."""

    token: int
    steps: int
    lost: int
    reasons: dict[Reason, int]


class Diagnosis(msgspec.Struct, frozen=True):
    """Why so little, or so much, of a run was accepted.

    Attributes:
        steps: one line a step.
        reasons: steps of each reason, zeros included; they add up to the steps.
        lost: tokens lost to each reason.
        evicted: of the ``not_in_row`` steps, those whose token had been in the row earlier in the
            run.
        mean_accepted_tokens: MAT of the run.
        costly: the ten tokens that cost most as the last of a path.
        additions: single nodes that would have caught most; see ``tr_core.analysis.replay``.
        what_ifs: what other trees and matrices would have gained; see ``tr_core.analysis.replay``.
        never_accepted: draft nodes that no step accepted, if all steps had the same tree; else
            None.
    """

    steps: tuple[StepDiagnosis, ...]
    reasons: dict[Reason, int]
    lost: dict[Reason, int]
    evicted: int
    mean_accepted_tokens: float
    costly: tuple[ContextCost, ...]
    additions: tuple[Addition, ...]
    what_ifs: tuple[WhatIf, ...]
    never_accepted: int | None

    def steps_that_ended(self, reason: Reason) -> tuple[int, ...]:
        """Numbers of the steps that ended for a reason: the filter of the page."""
        return tuple(d.step for d in self.steps if d.reason == reason)


def diagnose(trace: RunTrace) -> Diagnosis:
    """Explain a run. Any trace that can be read can be explained, a run without steps too."""
    history = RowHistory(trace)
    complete = trace.stop_reason is not None
    steps = tuple(
        _explain(history, number, step, complete) for number, step in enumerate(trace.steps)
    )
    reasons = Counter(d.reason for d in steps)
    return Diagnosis(
        steps=steps,
        reasons={reason: reasons[reason] for reason in REASONS},
        lost=_lost_by_reason(steps),
        evicted=sum(d.evicted is not None for d in steps),
        mean_accepted_tokens=metrics.mean_accepted_tokens(trace.steps),
        costly=_costly(steps),
        additions=additions(
            trace, history, Counter(d.add for d in steps if d.add is not None and d.lost)
        ),
        what_ifs=what_ifs(trace, history),
        never_accepted=_never_accepted(trace.steps),
    )


def _explain(history: RowHistory, number: int, step: StepTrace, complete: bool) -> StepDiagnosis:
    end = step.path[-1] if step.path else 0
    after, token = step.tokens[end], step.choices[end]
    row, tree = history.row(after, number) if step.ranks_are_places else None, step.tree
    children = sorted(
        (n for n in range(1, len(step.tokens)) if step.parents[n] == end),
        key=lambda n: step.ranks[n],
    )
    reason = _reason(step, tree.template, end, row, children)
    rank = row.index(token) if row and token in row else None
    if row is None and step.held is not None:
        rank = step.held.rank
    lost, reached_end = 0, False
    if reason != "stopped":
        # At least one: where nothing was drafted, only one more token is certain.
        limit = None if reason == "depth_limit" else max(tree.template.depth - len(step.path), 1)
        if not step.ranks_are_places:
            limit = 1  # rows alone do not show how its draft would have continued
        lost, reached_end = _lost(history, number, len(step.path), limit)
    not_in_row = reason == "not_in_row"
    chances = dict(zip(step.candidates[end], step.probabilities[end], strict=False))
    return StepDiagnosis(
        step=step.index,
        reason=reason,
        end=end,
        after=after,
        position=history.starts[number] + len(step.path),
        accepted=len(step.path),
        drafted=len(step.tokens) - 1 - len(step.unseen),
        token=token,
        probability=chances.get(token),
        row=row,
        rank=rank,
        below=tuple(step.tokens[n] for n in children if n not in step.unseen),
        written=history.last_write(after, number) if row else None,
        evicted=history.eviction(after, token, number) if not_in_row else None,
        add=(
            _ranks(step, rank)
            if reason in ("rank_cut", "depth_limit") and row and rank is not None
            else None
        ),
        lost=lost,
        unused=len(tree.walk(step.choices).path) - len(step.path) if reason == "stopped" else 0,
        stop=step.stop,
        open=reached_end and not complete,
    )


def _reason(
    step: StepTrace, tree: TreeTemplate, end: int, row: tuple[int, ...] | None, children: list[int]
) -> Reason:
    seen_children = [n for n in children if n not in step.unseen]
    if step.bonus is None:
        return "stopped"
    if tree.nodes == 0:
        return "no_draft"
    if step.held is not None:
        if step.held.rank is not None:
            return "budget_spent"
        if not step.ranks_are_places:
            return "not_known" if step.held.candidates else "nothing_known"
        return "not_in_row" if step.held.candidates else "row_never_seen"
    if tree.depths[end] == tree.depth:
        return "depth_limit"
    if row is None:
        # No row is recorded: the marks of unseen children still tell, and a branch without any is
        # over.
        if not children:
            return "depth_limit"
        return "other_token" if seen_children else "row_never_seen"
    if not row:
        # Seen children of an empty row come from another source than the matrix.
        return "other_token" if seen_children else "row_never_seen"
    if step.choices[end] not in row:
        return "not_in_row"
    rank = row.index(step.choices[end])
    return "other_token" if any(step.ranks[n] == rank for n in children) else "rank_cut"


def _lost(history: RowHistory, number: int, accepted: int, limit: int | None) -> tuple[int, bool]:
    """Tokens lost by a step, and whether the end of the record cut the count.

    Args:
        accepted: length of its path.
        limit: levels of the tree below the end node; None to count below the last level instead,
            where the first token must be in its row too.
    """
    text, position = history.text, history.starts[number] + accepted
    # The token after the last one gained comes with the pass as its bonus, so the text must
    # continue after it.
    room = len(text) - 2 - position
    count = 0
    while limit is None or count < limit:
        given = limit is not None and count == 0
        if position + count + 1 >= len(text):
            return max(room, 0), True
        row = history.row(text[position + count], number)
        if not given and (not row or text[position + count + 1] not in row):
            break
        count += 1
    return max(min(count, room), 0), count > room


def _ranks(step: StepTrace, rank: int) -> tuple[int, ...]:
    return (*(step.ranks[n] for n in step.path), rank)


def _lost_by_reason(steps: Iterable[StepDiagnosis]) -> dict[Reason, int]:
    lost: Counter[Reason] = Counter()
    for d in steps:
        lost[d.reason] += d.lost
    return {reason: lost[reason] for reason in REASONS}


def _costly(steps: Iterable[StepDiagnosis]) -> tuple[ContextCost, ...]:
    by_token: dict[int, list[StepDiagnosis]] = {}
    for d in steps:
        if d.lost:
            by_token.setdefault(d.after, []).append(d)
    costs = [
        ContextCost(
            token, len(listed), sum(d.lost for d in listed), dict(Counter(d.reason for d in listed))
        )
        for token, listed in by_token.items()
    ]
    return tuple(sorted(costs, key=lambda c: (-c.lost, -c.steps, c.token))[:COSTLY])


def _never_accepted(steps: tuple[StepTrace, ...]) -> int | None:
    if len({(s.parents, s.ranks) for s in steps}) != 1:
        return None
    return len(steps[0].tokens) - 1 - len({n for s in steps for n in s.path})
