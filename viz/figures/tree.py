"""One step's draft tree as a plotly figure: for notebooks and papers. The page draws its own."""

from __future__ import annotations

import plotly.graph_objects as go

from tr_core.trace import RunTrace, StepTrace
from tr_core.trace.labels import full_label, label
from viz.figures.charts import ACCEPTED, BONUS, INK
from viz.figures.plotly_figures import calm, safe
from viz.layout import bonus_position, tidy

# Status → colour, shape, and the word in the legend: none of them alone has to carry it.
LOOKS = {
    "root": (INK, "square", "root"),
    "accepted": (ACCEPTED, "circle", "accepted"),
    "rejected": (INK, "x-thin-open", "rejected"),
    "unseen": (INK, "diamond-open", "row never seen"),
    "bonus": (BONUS, "star", "bonus"),
}
# With more rows the labels would overlap, so they are shown on hover only.
LABELLED_ROWS = 60


def draft_tree(trace: RunTrace, step: int = 1) -> go.Figure:
    """The tree of a step: depth to the right, best candidates on top.

    A thick line joins the accepted path and the bonus.

    Args:
        trace: the run.
        step: number of the step, from 1.

    Raises:
        ValueError: the run has no such step.
    """
    shown = next((s for s in trace.steps if s.index == step), None)
    if shown is None:
        raise ValueError(f"step must be 1 … {len(trace.steps)}, got {step}")
    layout = tidy(shown.parents, shown.ranks)
    positions = list(zip(layout.columns, layout.rows, strict=True))
    statuses: list[str] = list(shown.statuses)
    tokens = list(shown.tokens)
    hovers = [_hover(trace, shown, node) for node in range(len(tokens))]
    thin = [
        (positions[shown.parents[n]], positions[n])
        for n in range(1, len(tokens))
        if statuses[n] != "accepted"
    ]
    thick = [(positions[shown.parents[n]], positions[n]) for n in shown.path]
    if shown.bonus is not None:
        end = shown.path[-1] if shown.path else 0
        positions.append(bonus_position(layout, end))
        thick.append((positions[end], positions[-1]))
        statuses.append("bonus")
        tokens.append(shown.bonus)
        hovers.append(
            f"bonus: {_name(trace, shown.bonus)}, the model's own choice after"
            f" {_name(trace, tokens[end])}"
        )
    lines = [_lines(thin, INK, 1), _lines(thick, ACCEPTED, 3)]
    figure = go.Figure([line for line in lines if line.x])
    height = max(row for _, row in positions) - min(row for _, row in positions) + 1
    for status, (colour, symbol, word) in LOOKS.items():
        chosen = [n for n, s in enumerate(statuses) if s == status]
        if chosen:
            figure.add_scatter(
                name=word,
                x=[positions[n][0] for n in chosen],
                y=[positions[n][1] for n in chosen],
                mode="markers+text" if height <= LABELLED_ROWS else "markers",
                text=["" if status == "unseen" else _label(trace, tokens[n]) for n in chosen],
                # Above the line to the right, which would cross the text.
                textposition="top right",
                textfont={"size": 10},
                hovertext=[hovers[n] for n in chosen],
                hoverinfo="text",
                marker={
                    "color": colour,
                    "symbol": symbol,
                    "size": 9,
                    "line": {"width": 1.5, "color": colour},
                },
            )
    figure = calm(figure)
    figure.update_layout(height=max(280, 90 + 22 * height))
    figure.update_xaxes(
        title_text="depth", dtick=1, range=[-0.3, max(c for c, _ in positions) + 0.9]
    )
    figure.update_yaxes(visible=False, autorange="reversed")
    return figure


def _lines(
    pairs: list[tuple[tuple[int, int], tuple[int, int]]], colour: str, width: int
) -> go.Scatter:
    """All edges of one kind as one broken line."""
    x: list[int | None] = []
    y: list[int | None] = []
    for (x0, y0), (x1, y1) in pairs:
        x += [x0, x1, None]
        y += [y0, y1, None]
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": colour, "width": width},
        opacity=0.6,
        hoverinfo="skip",
        showlegend=False,
    )


def _hover(trace: RunTrace, step: StepTrace, node: int) -> str:
    status = step.statuses[node]
    if node == 0:
        return f"root: {_name(trace, step.tokens[0])}, the last committed token"
    parent = step.parents[node]
    name = f"node {node}, rank {step.ranks[node]} of {_name(trace, step.tokens[parent])}"
    if status == "unseen":
        return f"{name}: its row was never seen"
    chances = dict(zip(step.candidates[parent], step.probabilities[parent], strict=False))
    chance = chances.get(step.tokens[node])
    return f"{name}: {_name(trace, step.tokens[node])}, {status}" + (
        "" if chance is None else f", probability {chance:.2f}"
    )


def _label(trace: RunTrace, token: int) -> str:
    return safe(
        " " + label(trace.pieces.get(token, f"<id {token}>"), trace.partial_bytes.get(token, ""))
    )


def _name(trace: RunTrace, token: int) -> str:
    piece = trace.pieces.get(token, f"<id {token}>")
    return safe(f"“{full_label(piece, trace.partial_bytes.get(token, ''))}”")
