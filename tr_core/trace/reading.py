"""Whether a trace that comes from outside can be one, as far as no type of its fields tells. No
torch here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tr_core.errors import TraceError
from tr_core.trees.tree import TreeTemplate

if TYPE_CHECKING:
    from tr_core.trace import RunTrace, StepTrace


class _Settings(msgspec.Struct):
    """Settings that anybody reads out of a trace."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    max_new_tokens: int = 0


def check(trace: RunTrace) -> None:
    """Refuse a trace whose settings are of other types, or of which a step's parts do not fit each
    other.

    Raises:
        TraceError, TemplateError: with one sentence.
    """
    try:
        msgspec.convert(trace.info.settings, _Settings)
    except msgspec.ValidationError as error:
        raise TraceError(f"This trace file is damaged: its settings: {error}.") from error
    for step in trace.steps:
        _check(step)


def _check(step: StepTrace) -> None:
    size = len(step.tokens)
    lengths = {
        len(x)
        for x in (step.parents, step.ranks, step.choices, step.candidates, step.probabilities)
    }
    emitted = tuple(step.tokens[n] for n in step.path if 0 < n < size) + (
        () if step.bonus is None else (step.bonus,)
    )
    nodes = {*step.path, *step.unseen, *(r.node for r in step.rows)}
    told = {len(step.sources), len(step.expected)} <= {0, size} and all(
        0 <= e <= 1 for e in step.expected
    )
    # A copy may run on into its own branch, as where the text repeats itself.
    places = all(s.key >= 0 and -1 <= s.place < step.committed + size for s in step.sources)
    fits = (
        lengths == {size}
        and emitted == step.emitted
        and nodes <= set(range(size))
        and step.passes >= 1
    )
    if not (fits and told and places):
        raise TraceError(
            f"This trace file is damaged: the parts of step {step.index} do not fit each other."
        )
    TreeTemplate("traced", step.parents, step.ranks)
