"""The record of a step, built from the session's state after it."""

from __future__ import annotations

from collections.abc import Sequence

from tr_core.decoding.passes import Scored
from tr_core.drafters.base import Learned
from tr_core.trace import BudgetChoice, StepTrace, Timing


def step_trace(
    scored: Scored,
    emitted: Sequence[int],
    learned: Learned,
    *,
    index: int,
    committed: int,
    cached: int,
    stop: str | None,
    why: BudgetChoice | None,
    timing: Timing,
    traced: bool,
) -> StepTrace:
    """What the step did.

    Args:
        scored: its pass.
        emitted: ids added to the output: the path and the bonus, as far as the output went.
        learned: what a drafter on the host reports.
        index: number of the step, from 1 on.
        committed: tokens of prompt and output before it.
        cached: tokens in the cache after it.
        stop: why the output ended with it, or None.
        why: why the draft had its size.
        timing: of its parts.
        traced: whether candidates and rows are wanted too; without them only ids left the device.
    """
    tree, readout = scored.tree, scored.readout
    draft = scored.draft if traced else None
    path = scored.verdict.path[: len(emitted)]
    return StepTrace(
        index=index,
        committed=committed,
        tokens=tree.tokens,
        parents=tree.template.parents,
        ranks=tree.template.ranks,
        unseen=tuple(sorted(tree.unseen)),
        choices=scored.choices,
        candidates=readout.candidates if traced else (),
        probabilities=readout.probabilities if traced else (),
        path=path,
        bonus=scored.verdict.bonus if len(emitted) > len(path) else None,
        emitted=tuple(emitted),
        stop=stop,
        rows=learned.rows or (readout.rows if traced else ()),
        timing=timing,
        cached=cached,
        passes=scored.passes,
        budget=why,
        sources=tuple(draft.sources) if draft is not None else (),
        expected=tuple(round(e, 4) for e in draft.expected) if draft is not None else (),
        held=learned.held,
    )
