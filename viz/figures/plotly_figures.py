"""Plotly figures of traces, for notebooks and papers: those of the page's ``charts``, and more.

Every text of a model or a user goes through ``safe``: plotly reads a small HTML in labels, and
LaTeX between dollars.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import ParamSpec

import plotly.graph_objects as go

from tr_core.analysis import bytes_read as traffic
from tr_core.analysis.diagnosis import diagnose
from tr_core.analysis.row_history import RowHistory
from tr_core.analysis.wording import REASON_WORDS, namer
from tr_core.trace import RunTrace
from viz.figures import charts
from viz.figures.charts import ACCEPTED, BONUS, INK, LOST

P = ParamSpec("P")


def _figure(chart: Callable[P, charts.Chart]) -> Callable[P, go.Figure]:
    """A chart as plotly's object, which checks it and shows itself in a notebook."""

    @wraps(chart)
    def figure(*args: P.args, **kwargs: P.kwargs) -> go.Figure:
        return go.Figure(chart(*args, **kwargs)).update_layout(template="none")

    # For help(): the chart's arguments, but this return.
    shown = signature(chart).replace(return_annotation=go.Figure)
    figure.__signature__ = shown  # type: ignore[attr-defined]
    return figure


accepted_per_step = _figure(charts.accepted_per_step)
accepted_histogram = _figure(charts.accepted_histogram)
acceptance_by_depth_and_rank = _figure(charts.acceptance_by_depth_and_rank)
tokens_against_passes = _figure(charts.tokens_against_passes)
time_per_phase = _figure(charts.time_per_phase)
sliding_mat = _figure(charts.sliding_mat)
emitted_by_class = _figure(charts.emitted_by_class)
mat_by_position = _figure(charts.mat_by_position)
reliability = _figure(charts.reliability)


def matrix_over_time(trace: RunTrace) -> go.Figure:
    """Filled rows after each step, and the mean age of the rows that each draft used."""
    states = RowHistory(trace).over_time()
    steps = [s.step for s in states]
    figure = go.Figure(
        [
            go.Scatter(
                name="rows filled",
                x=steps,
                y=[s.rows_seen for s in states],
                mode="lines",
                line={"color": ACCEPTED, "width": 2},
                hovertemplate="step %{x}: %{y} rows<extra></extra>",
            ),
            go.Scatter(
                name="age of the rows used",
                x=steps,
                y=[s.age for s in states],
                mode="lines",
                yaxis="y2",
                line={"color": BONUS, "dash": "dot"},
                hovertemplate="step %{x}: %{y:.1f} steps old<extra></extra>",
            ),
        ]
    )
    figure.update_layout(
        yaxis2={"title": {"text": "age in steps"}, "overlaying": "y", "side": "right"}
    )
    figure = calm(figure)
    figure.update_xaxes(title_text="step")
    figure.update_layout(yaxis={"title": {"text": "rows"}, "rangemode": "tozero"}, margin_r=48)
    figure.update_layout(
        yaxis2={"showgrid": False, "rangemode": "tozero", "tickmode": "auto", "nticks": 6}
    )
    return figure


def most_rewritten_rows(trace: RunTrace, count: int = 15) -> go.Figure:
    """The rows that lost most candidates over the run: times written, and candidates lost."""
    name = namer(trace)
    rows = RowHistory(trace).lives()[:count]
    labels = [safe(name(row.token)) for row in rows]
    figure = go.Figure(
        [
            go.Bar(
                name="candidates lost",
                y=labels,
                x=[r.evicted for r in rows],
                marker_color=LOST,
                orientation="h",
            ),
            go.Bar(
                name="times written",
                y=labels,
                x=[r.writes for r in rows],
                marker_color=INK,
                orientation="h",
            ),
        ]
    )
    figure = calm(figure)
    figure.update_layout(barmode="group", height=max(280, 80 + 26 * len(rows)))
    figure.update_yaxes(autorange="reversed", type="category", automargin=True, showgrid=False)
    return figure


def why_paths_ended(trace: RunTrace) -> go.Figure:
    """Steps that ended for each reason, and the tokens they lost; only reasons that occurred."""
    diagnosis = diagnose(trace)
    reasons = [reason for reason in REASON_WORDS if diagnosis.reasons[reason]]
    words = [REASON_WORDS[reason] for reason in reasons]
    steps = [diagnosis.reasons[reason] for reason in reasons]
    lost = [diagnosis.lost[reason] for reason in reasons]
    figure = go.Figure(
        [
            go.Bar(
                name="steps",
                y=words,
                x=steps,
                marker_color=INK,
                orientation="h",
                customdata=reasons,
            ),
            go.Bar(
                name="tokens lost",
                y=words,
                x=lost,
                marker_color=LOST,
                orientation="h",
                customdata=reasons,
            ),
        ]
    )
    figure = calm(figure)
    figure.update_layout(barmode="group")
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    return figure


def bytes_per_token(trace: RunTrace) -> go.Figure:
    """Megabytes read per token, by this run and by plain decoding; empty if not recorded."""
    lines = [line for line in traffic.readings(trace) if line.emitted]
    steps = [line.step for line in lines]
    figure = go.Figure(
        [
            go.Scatter(
                name=name,
                x=steps,
                y=values,
                mode="lines",
                line={"color": colour, "dash": dash},
                hovertemplate="step %{x}: %{y:.1f} MB a token<extra></extra>",
            )
            for name, values, colour, dash in (
                (
                    trace.info.drafter,
                    [line.tree / line.emitted / 1e6 for line in lines],
                    ACCEPTED,
                    "solid",
                ),
                (
                    "plain decoding",
                    [line.plain_for_all / line.emitted / 1e6 for line in lines],
                    INK,
                    "dot",
                ),
            )
        ]
    )
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="MB read a token", rangemode="tozero")
    return calm(figure)


def safe(text: str) -> str:
    """Text as plotly shows it letter by letter: no tags, no entities, no LaTeX."""
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")
    )


def calm(figure: go.Figure) -> go.Figure:
    """Give a figure the house style."""
    figure.update_layout(charts.HOUSE, template="none")
    figure.update_xaxes(charts.ACROSS)
    figure.update_yaxes(charts.UP)
    return figure
