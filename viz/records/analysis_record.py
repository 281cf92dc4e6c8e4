"""Trace → the ``Analysis`` record: what the panels show of a run beyond its single steps.

It is computed again whenever steps have come (a twentieth of a second for a hundred steps), sent
after the steps themselves, and part of an exported page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from viz.records.schema import Analysis, Figure, encode

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
    """The analysis of a run so far, as JSON.

    Args:
        trace: the run.
        run: its name, as in its other records; defaults to its ``run_name``.
    """
    return encode(analysis(trace, run or run_name(trace)))


def analysis(trace: RunTrace, run: str) -> Analysis:
    d = diagnose(trace)
    name = namer(trace)
    return Analysis(
        run=run,
        steps=len(trace.steps),
        why=[(_reason(line), *explain(line, name)) for line in d.steps],
        reasons=_reasons(d),
        costly=[
            (
                c.token,
                [n for n, s in enumerate(d.steps, 1) if s.after == c.token and s.lost],
                c.lost,
            )
            for c in d.costly
        ],
        what_ifs=[
            (
                explain_what_if(w),
                w.passes,
                w.mean_accepted_tokens,
                w.saved,
                CERTAINTY_WORDS[w.certainty],
            )
            for w in d.what_ifs
        ],
        additions=[(str(list(a.ranks)), a.steps, a.saved) for a in d.additions],
        notes=list(caveats(trace, bool(d.what_ifs))),
        weights=trace.info.weight_bytes,
        bytes=[(line.tree, line.plain, line.plain_for_all) for line in traffic.readings(trace)],
        reach=reach(trace),
        figures=[figure_record(draw.__name__, draw(trace)) for draw in _figures(trace)],
    )


def _figures(trace: RunTrace) -> tuple[Callable[[RunTrace], Chart], ...]:
    """Reliability only where something was expected."""
    return (*FIGURES, charts.reliability) if any(s.expected for s in trace.steps) else FIGURES


def figure_record(name: str, chart: Chart) -> Figure:
    """A figure with the names of colours in place of colours."""
    return Figure(name, **_named(chart))


def reach(trace: RunTrace) -> list[float]:
    """Mean tokens that a step of this run emits with the first n nodes of its tree, by n.

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


def _reasons(d: Diagnosis) -> list[tuple[str, str, int, int]]:
    """Those that the run has, ``evicted`` after ``not_in_row``."""
    words: dict[str, str] = {}
    for reason, sentence in REASON_WORDS.items():
        words[reason] = sentence
        if reason == "not_in_row":
            words[EVICTED] = EVICTED_WORDS
    lost = {reason: [s.lost for s in d.steps if _reason(s) == reason] for reason in words}
    return [(r, words[r], len(steps), sum(steps)) for r, steps in lost.items() if steps]


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
