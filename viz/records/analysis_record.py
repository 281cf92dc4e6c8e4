"""Trace → the ``analysis`` record: what the explorer's panels tell about a run beyond its single
steps.

It is worked out anew whenever steps have come (a twentieth of a second for a hundred steps), sent
after the steps themselves, and part of an exported page. Keys, where lists stand for lines of a
table:

    analysis  run, steps: how many of its steps this is about,
              why: [[reason, sentence, sentence] per step], with the reason ``not_in_row`` split:
              where the token had
                   been in the row earlier it is ``evicted``,
              reasons: [[reason, words, steps, tokens lost]], those that the run has, costly:
              [[token, [place of a step, from 1], tokens lost]], what_ifs: [[words, passes, MAT,
              saved, certainty]] with nulls where the record cannot tell, additions: [[ranks from
              the root, steps, saved]], notes: [sentence], bytes: [[by the tree's pass, by a plain
              pass, by plain passes for all its tokens] per step], empty if
                   the record does not tell the bytes of its model, weights: bytes that every pass
                   reads,
              reach: [[tokens that a step emits with the first n nodes of its tree] for n = 0 …] if
              all trees are alike, figures: [{name, data, layout}] for plotly; their colours are
              names of the style sheet's, ``$accepted``
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tr_core.analysis import bytes_read as traffic
from tr_core.analysis.diagnosis import Diagnosis, StepDiagnosis, diagnose
from tr_core.analysis.wording import (
    CERTAINTY_WORDS,
    REASON_WORDS,
    caveats,
    explain,
    explain_what_if,
    namer,
)
from tr_core.trace import RunTrace
from viz.figures import charts
from viz.figures.charts import Chart
from viz.records.run_records import run_name

EVICTED = "evicted"
EVICTED_WORDS = "token evicted from the row"
FIGURES = (
    charts.accepted_per_step,
    charts.accepted_histogram,
    charts.acceptance_by_depth_and_rank,
    charts.tokens_against_passes,
    charts.time_per_phase,
    charts.sliding_mat,
    charts.emitted_by_class,
    charts.mat_by_position,
)
# Colours of figures → custom properties of viz/static/styles/explorer.css, which know light and
# dark.
COLOURS = {
    charts.ACCEPTED: "$accepted",
    charts.BONUS: "$bonus",
    charts.INK: "$mute",
    charts.LOST: "$bad",
    charts.DRAFT: "$draft",
    charts.GRID: "$line",
    charts.EMPTY: "$drafted",
}


def analysis_record(trace: RunTrace, run: str | None = None) -> str:
    """All that the panels tell about a run so far.

    Args:
        trace: the run.
        run: its name, as in its other records; defaults to its ``run_name``.
    """
    return msgspec.json.encode(
        {"type": "analysis", "run": run or run_name(trace)} | analysis(trace)
    ).decode()


def analysis(trace: RunTrace) -> dict[str, Any]:
    """The content of the record; see the module."""
    d = diagnose(trace)
    return {
        "steps": len(trace.steps),
        **_diagnosis(trace, d),
        "weights": trace.info.weight_bytes,
        "bytes": [[line.tree, line.plain, line.plain_for_all] for line in traffic.readings(trace)],
        "reach": reach(trace),
        "figures": [figure_record(make.__name__, make(trace)) for make in _figures(trace)],
    }


def _figures(trace: RunTrace) -> tuple[Callable[[RunTrace], Chart], ...]:
    """Reliability only where something was expected."""
    return (*FIGURES, charts.reliability) if any(s.expected for s in trace.steps) else FIGURES


def figure_record(name: str, chart: Chart) -> dict[str, Any]:
    """A figure with the names of colours in place of colours."""
    return {"name": name} | _named(chart)


def reach(trace: RunTrace) -> list[float]:
    """Tokens that a step of this run emits on average with the first n nodes of its tree, for n = 0
    … all of them.

    Of a step alone this is exact: nodes are numbered breadth-first, so the first n make a tree, and
    the path ends where it leaves them. The run as a whole would have gone other ways. Empty if
    trees differ, or without steps.
    """
    if len({(s.parents, s.ranks) for s in trace.steps}) != 1:
        return []
    nodes, steps = len(trace.steps[0].tokens) - 1, len(trace.steps)
    caught = [0] * (nodes + 1)
    for step in trace.steps:
        for node in step.path:
            caught[node] += 1
    tokens, line = sum(s.bonus is not None for s in trace.steps), []
    for count in caught:
        tokens += count
        line.append(round(tokens / steps, 4))
    return line


def _diagnosis(trace: RunTrace, d: Diagnosis) -> dict[str, Any]:
    name = namer(trace)
    reasons: dict[str, list[Any]] = {}
    for reason, words in REASON_WORDS.items():
        reasons[reason] = [reason, words, 0, 0]
        if reason == "not_in_row":
            reasons[EVICTED] = [EVICTED, EVICTED_WORDS, 0, 0]
    for line in d.steps:
        reasons[_reason(line)][2] += 1
        reasons[_reason(line)][3] += line.lost
    ended = {
        c.token: [n for n, s in enumerate(d.steps, 1) if s.after == c.token and s.lost]
        for c in d.costly
    }
    return {
        "why": [[_reason(line), *explain(line, name)] for line in d.steps],
        "reasons": [line for line in reasons.values() if line[2]],
        "costly": [[c.token, ended[c.token], c.lost] for c in d.costly],
        "what_ifs": [
            [
                explain_what_if(w),
                w.passes,
                w.mean_accepted_tokens,
                w.saved,
                CERTAINTY_WORDS[w.certainty],
            ]
            for w in d.what_ifs
        ],
        "additions": [[str(list(a.ranks)), a.steps, a.saved] for a in d.additions],
        "notes": list(caveats(trace, bool(d.what_ifs))),
    }


def _reason(line: StepDiagnosis) -> str:
    return EVICTED if line.evicted is not None else line.reason


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _named(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_named(part) for part in value]
    if isinstance(value, float):
        return round(value, 4)
    return COLOURS.get(value, value) if isinstance(value, str) else value
