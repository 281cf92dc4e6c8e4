"""Plotly figures of traces. Colours and greys are chosen to read on white and on near-black."""

from __future__ import annotations

import plotly.graph_objects as go

from tr_core.trace import RunTrace

ACCEPTED, BONUS, INK = "#16a394", "#d98324", "#7d8590"


def accepted_per_step(trace: RunTrace) -> go.Figure:
    """Tokens that each pass emitted: those of the accepted path, and on top the model's own one."""
    steps = [step.index for step in trace.steps]
    path = [len(step.path) for step in trace.steps]
    bonus = [len(step.emitted) - len(step.path) for step in trace.steps]
    figure = go.Figure(
        [
            go.Bar(name="accepted", x=steps, y=path, marker_color=ACCEPTED, hovertemplate="step %{x}: %{y} accepted"),
            go.Bar(name="bonus", x=steps, y=bonus, marker_color=BONUS, hovertemplate="step %{x}: %{y} bonus"),
        ]
    )
    figure.update_layout(barmode="stack", bargap=0.25)
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="tokens emitted", rangemode="tozero", tickformat="d")
    return calm(figure)


def calm(figure: go.Figure) -> go.Figure:
    """Give a figure the house style: no frame, faint lines, transparent ground, the page's own font."""
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12, "color": INK},
        height=280,
        margin={"l": 48, "r": 12, "t": 28, "b": 40},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"font": {"family": "system-ui, sans-serif"}},
    )
    figure.update_xaxes(showgrid=False, zeroline=False)
    figure.update_yaxes(gridcolor="rgba(128,128,128,0.2)", zeroline=False)
    return figure
