"""Runs of one prompt in one plotly figure, by output position: for notebooks and papers."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from tr_core.analysis.alignment import align
from tr_core.analysis.wording import namer
from tr_core.trace import RunTrace
from viz.figures.charts import ACCEPTED, BONUS, DRAFT, INK, LOST
from viz.figures.plotly_figures import calm, safe

# Distinguished by dash as well as by colour.
LINES = ((ACCEPTED, "solid"), (BONUS, "dash"), (DRAFT, "dot"), (LOST, "dashdot"))


def passes_by_position(traces: Sequence[RunTrace]) -> go.Figure:
    """Forward passes before each token, for two to four runs; the lowest line is ahead.

    Raises:
        CompareError: the runs are not of one prompt.
    """
    alignment = align(traces)
    figure = go.Figure()
    for lane, (colour, dash) in zip(alignment.lanes, LINES, strict=False):
        figure.add_scatter(
            name=safe(lane.name),
            x=list(range(len(lane.passes) + 1)),
            y=[0, *lane.passes],
            mode="lines",
            line={"color": colour, "dash": dash, "width": 2},
            hovertemplate="token %{x}: %{y} passes",
        )
    if alignment.difference is not None:
        figure.add_vline(
            x=alignment.shared,
            line={"color": INK, "dash": "dot"},
            annotation_text="first difference",
        )
    figure = calm(figure)
    figure.update_xaxes(title_text="tokens written")
    figure.update_yaxes(title_text="forward passes", rangemode="tozero")
    return figure


def steps_by_position(traces: Sequence[RunTrace]) -> go.Figure:
    """A lane per run, two to four: a bar for each step over its tokens, with the bonus at its end.

    Raises:
        CompareError: the runs are not of one prompt.
    """
    alignment = align(traces)
    figure = go.Figure()
    for kind, colour, pattern in (("accepted", ACCEPTED, ""), ("bonus", BONUS, "/")):
        names, bases, widths, hovers = [], [], [], []
        for lane, trace in zip(alignment.lanes, traces, strict=True):
            name = namer(trace)
            for line in lane.steps:
                first = line.first if kind == "accepted" else line.first + line.accepted
                last = line.first + line.accepted - 1 if kind == "accepted" else line.last
                if last >= first:
                    names.append(safe(lane.name))
                    bases.append(first - 0.5)
                    widths.append(last - first + 1)
                    tokens = trace.output_ids[first - 1 : last]
                    hovers.append(
                        safe(f"step {line.step}: {' '.join(name(t) for t in tokens)}, {kind}")
                    )
        figure.add_bar(
            name=kind,
            y=names,
            base=bases,
            x=widths,
            hovertext=hovers,
            hoverinfo="text",
            orientation="h",
            marker={
                "color": colour,
                "line": {"color": INK, "width": 1},
                "pattern": {"shape": pattern},
            },
        )
    figure = calm(figure)
    figure.update_layout(barmode="overlay", height=max(240, 110 + 46 * len(alignment.lanes)))
    figure.update_xaxes(title_text="position in the output")
    figure.update_yaxes(
        type="category",
        automargin=True,
        showgrid=False,
        autorange="reversed",
        categoryorder="array",
        categoryarray=[safe(lane.name) for lane in alignment.lanes],
    )
    return figure
