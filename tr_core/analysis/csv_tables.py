"""A run as tables: CSV of its steps and of its nodes. No torch.

Token texts are written as JSON strings, ``" the"``: exact, on one line, and never a formula to a
spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence

from tr_core.analysis.diagnosis import Diagnosis
from tr_core.analysis.wording import REASON_WORDS, explain, namer
from tr_core.trace import RunTrace

STEP_COLUMNS = (
    "step", "committed", "nodes", "drafted", "accepted", "emitted", "emitted_text",
    "bonus", "bonus_text", "stop", "reason", "reason_words", "end_node", "after", "after_text",
    "choice", "choice_text", "rank", "missing_node", "evicted_in_step", "tokens_lost",
    "what", "remedy", "draft_ms", "forward_ms", "verify_ms", "update_ms",
)  # fmt: skip
NODE_COLUMNS = (
    "step", "node", "parent", "depth", "rank", "token", "token_text", "status",
    "choice", "choice_text", "probability",
)  # fmt: skip


def steps_csv(trace: RunTrace, diagnosis: Diagnosis) -> str:
    """One line a step, with its diagnosis; ``missing_node`` is a JSON list of ranks."""
    name = namer(trace)
    lines = []
    for step, d in zip(trace.steps, diagnosis.steps, strict=True):
        what, remedy = explain(d, name)
        timing = step.timing
        lines.append(
            (
                step.index, step.committed, len(step.tokens) - 1, d.drafted, d.accepted,
                len(step.emitted), _text(trace, step.emitted),
                step.bonus, _text(trace, _maybe(step.bonus)), step.stop,
                d.reason, REASON_WORDS[d.reason], d.end, d.after, _text(trace, [d.after]), d.token,
                _text(trace, [d.token]), d.rank, None if d.add is None else json.dumps(d.add),
                None if d.evicted is None else d.evicted.step, d.lost, what, remedy,
                timing.draft_ms, timing.forward_ms, timing.verify_ms, timing.update_ms,
            )
        )  # fmt: skip
    return _csv(STEP_COLUMNS, lines)


def nodes_csv(trace: RunTrace) -> str:
    """One line per node, roots included.

    ``probability`` is the model's, for the node's token after its parent.

    It is left empty where the token is not among the parent's recorded candidates, and for the
    root.
    """
    lines = []
    for step in trace.steps:
        depths = step.tree.template.depths
        for node, (token, status) in enumerate(zip(step.tokens, step.statuses, strict=True)):
            parent = step.parents[node]
            chances = dict(zip(step.candidates[parent], step.probabilities[parent], strict=False))
            lines.append(
                (
                    step.index, node, parent if node else None, depths[node],
                    step.ranks[node] if node else None, token, _text(trace, [token]), status,
                    step.choices[node], _text(trace, [step.choices[node]]),
                    chances.get(token) if node and status != "unseen" else None,
                )
            )  # fmt: skip
    return _csv(NODE_COLUMNS, lines)


def _csv(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows(lines)
    return out.getvalue()


def _text(trace: RunTrace, tokens: Iterable[int]) -> str:
    """The tokens' text as a JSON string; empty if there are none."""
    tokens = list(tokens)
    text = "".join(trace.pieces.get(t, f"<id {t}>") for t in tokens)
    return json.dumps(text, ensure_ascii=False) if tokens else ""


def _maybe(token: int | None) -> tuple[int, ...]:
    return () if token is None else (token,)
