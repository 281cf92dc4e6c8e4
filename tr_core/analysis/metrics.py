"""Figures of a run, as pure functions of its steps. No torch.

MAT, *mean accepted tokens*, counts the bonus, as in Spec-Bench. vLLM calls ``accepted_by_depth``
*acceptance rate per position* and ``acceptance_rate`` *draft acceptance rate*.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from tr_core.trace import RunTrace, StepTrace

CLASSES = ("word start", "continuation", "digit", "punctuation", "white space", "other")
WINDOW = 10
PARTS = 10


class Share(msgspec.Struct, frozen=True):
    """``accepted`` of ``total``: of drafted nodes, or of emitted tokens (others are bonuses)."""

    total: int
    accepted: int

    @property
    def rate(self) -> float:
        """0.0 if there were none."""
        return self.accepted / self.total if self.total else 0.0


class Span(msgspec.Struct, frozen=True):
    """A part of the output.

    Attributes:
        first, last: its tokens, counted from 1, both included.
        passes: steps that emitted them, a step that reaches over the border counted by its tokens.
        accepted: tokens that had been drafted.
        mean_accepted_tokens: tokens ÷ passes.
    """

    first: int
    last: int
    passes: float
    accepted: int
    mean_accepted_tokens: float


def mean_accepted_tokens(steps: Sequence[StepTrace]) -> float:
    """MAT: tokens emitted ÷ forward passes after the prefill, bonus included (Spec-Bench).

    Plain decoding has 1.0.

    0.0 if no step was made.
    """
    return sum(len(s.emitted) for s in steps) / sum(s.passes for s in steps) if steps else 0.0


def tokens_per_second(steps: Sequence[StepTrace]) -> float:
    """Tokens emitted ÷ seconds spent in the steps, without the prefill; 0.0 without a step."""
    seconds = sum(s.timing.total_ms for s in steps) / 1e3
    return sum(len(s.emitted) for s in steps) / seconds if seconds else 0.0


def acceptance_rate(steps: Sequence[StepTrace]) -> float:
    """Accepted ÷ drafted tokens, of which nodes below a row never seen hold none.

    Over 80 nodes it is 2 – 3 %, and says little about speed.
    """
    drafted = sum(len(s.tokens) - 1 - len(s.unseen) for s in steps)
    return sum(len(s.path) for s in steps) / drafted if drafted else 0.0


def accepted_by_depth(steps: Sequence[StepTrace]) -> dict[int, float]:
    """Share of the steps whose path reached each depth, from depth 1.

    vLLM calls it the acceptance rate per position.
    """
    deepest = max((s.tree.template.depth for s in steps), default=0)
    reached = Counter(d for s in steps for d in range(1, len(s.path) + 1))
    return {d: reached[d] / len(steps) for d in range(1, deepest + 1)}


def by_depth_and_rank(steps: Sequence[StepTrace]) -> dict[tuple[int, int], Share]:
    """(depth, rank) → nodes drafted below an accepted parent, and those of them accepted.

    Unseen nodes hold no token, so they are no drafts.
    """
    counts: dict[tuple[int, int], list[int]] = {}
    for step in steps:
        depths, on_path, unseen = step.tree.template.depths, {0, *step.path}, set(step.unseen)
        for node in range(1, len(step.tokens)):
            if step.parents[node] in on_path and node not in unseen:
                count = counts.setdefault((depths[node], step.ranks[node]), [0, 0])
                count[0] += 1
                count[1] += node in on_path
    return {key: Share(*counts[key]) for key in sorted(counts)}


def by_rank(steps: Sequence[StepTrace]) -> dict[int, Share]:
    """Rank → nodes drafted below an accepted parent, and those accepted: a rank's worth."""
    shares: dict[int, Share] = {}
    for (_, rank), share in by_depth_and_rank(steps).items():
        old = shares.get(rank, Share(0, 0))
        shares[rank] = Share(old.total + share.total, old.accepted + share.accepted)
    return dict(sorted(shares.items()))


def by_class(trace: RunTrace) -> dict[str, Share]:
    """Class of token (see ``token_class``) → tokens emitted, and those of them drafted."""
    counts = {name: [0, 0] for name in CLASSES}
    before = trace.info.prompt_ids[-1:]
    text = trace.pieces.get(before[0], "") if before else ""
    for step in trace.steps:
        for index, token in enumerate(step.emitted):
            piece = "" if token in trace.partial_bytes else trace.pieces.get(token, "")
            count = counts[token_class(piece, text)]
            count[0] += 1
            count[1] += index < len(step.path)
            text = piece
    return {name: Share(*count) for name, count in counts.items()}


def token_class(piece: str, before: str = "") -> str:
    """The token's class, one of ``CLASSES``.

    “other” are bytes that are no text alone, and symbols of no other class.

    Args:
        piece: the token's text.
        before: the text of the token before it, which decides whether a letter begins a word or
            goes on with one.
    """
    if not piece:
        return "other"
    core = piece.strip()
    if not core:
        return "white space"
    if core[0].isnumeric():
        return "digit"
    kind = unicodedata.category(core[0])[0]
    if kind in "LM":
        begins = piece[0].isspace() or not before or not before[-1].isalnum()
        return "word start" if begins else "continuation"
    return "punctuation" if kind in "PS" else "other"


def by_position(trace: RunTrace, parts: int = PARTS) -> list[Span]:
    """The output cut into up to ``parts`` parts of nearly equal length, in order."""
    drafted: list[bool] = []
    share: list[float] = []
    for step in trace.steps:
        for index in range(len(step.emitted)):
            drafted.append(index < len(step.path))
            share.append(1 / len(step.emitted))
    parts = min(parts, len(drafted))
    borders = [round(i * len(drafted) / parts) for i in range(parts + 1)] if parts else []
    spans = []
    for first, last in pairwise(borders):
        passes = sum(share[first:last])
        spans.append(
            Span(first + 1, last, passes, sum(drafted[first:last]), (last - first) / passes)
        )
    return spans


def sliding_mat(steps: Sequence[StepTrace], window: int = WINDOW) -> list[tuple[int, float]]:
    """(step, MAT of the up to ``window`` steps that end with it): how a cold matrix warms up."""
    return [
        (step.index, mean_accepted_tokens(steps[max(number - window, 0) : number]))
        for number, step in enumerate(steps, start=1)
    ]
