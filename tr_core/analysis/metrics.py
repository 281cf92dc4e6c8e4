"""Figures of a run, as pure functions of its steps. No torch here. Names as Spec-Bench and vLLM use
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tr_core.trace import StepTrace


def mean_accepted_tokens(steps: Sequence[StepTrace]) -> float:
    """MAT: tokens emitted ÷ forward passes after the prefill, the bonus included (Spec-Bench); 1.0
    is plain decoding.

    0.0 if no step was made.
    """
    return sum(len(s.emitted) for s in steps) / sum(s.passes for s in steps) if steps else 0.0


def tokens_per_second(steps: Sequence[StepTrace]) -> float:
    """Tokens emitted ÷ seconds spent in the steps, the prefill not counted; 0.0 if no step was
    made.
    """
    seconds = sum(s.timing.total_ms for s in steps) / 1e3
    return sum(len(s.emitted) for s in steps) / seconds if seconds else 0.0


def acceptance_rate(steps: Sequence[StepTrace]) -> float:
    """Accepted ÷ drafted tokens, of which nodes below a row never seen hold none.

    Over 80 nodes it is 2 – 3 %, and says little about speed.
    """
    drafted = sum(len(s.tokens) - 1 - len(s.unseen) for s in steps)
    return sum(len(s.path) for s in steps) / drafted if drafted else 0.0


def accepted_by_depth(steps: Sequence[StepTrace]) -> dict[int, float]:
    """Share of the steps whose path reached each depth, from depth 1 on (vLLM: acceptance rate per
    position).
    """
    deepest = max((s.tree.template.depth for s in steps), default=0)
    reached = Counter(d for s in steps for d in range(1, len(s.path) + 1))
    return {d: reached[d] / len(steps) for d in range(1, deepest + 1)}
