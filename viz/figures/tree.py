"""One step's draft tree as a plotly figure: for notebooks and papers. The page draws its own."""

from __future__ import annotations

import plotly.graph_objects as go

from tr_core.trace import RunTrace, StepTrace
from tr_core.trace.labels import full_label, label
from viz.figures.charts import ACCEPTED, BONUS, INK
from viz.figures.plotly_figures import calm, safe
from viz.layout import bonus_place, tidy

# Status → colour, shape, and the word in the legend: none of them alone has to carry it.
LOOKS = {
    "root": (INK, "square", "root"),
    "accepted": (ACCEPTED, "circle", "accepted"),
    "rejected": (INK, "x-thin-open", "rejected"),
    "unseen": (INK, "diamond-open", "row never seen"),
    "bonus": (BONUS, "star", "bonus"),
}
# Beyond this many rows the labels would lie on each other, and are shown on pointing only.
LABELLED_ROWS = 60


def draft_tree(trace: RunTrace, step: int = 1) -> go.Figure:
    """The tree of a step: depth to the right, best candidates on top, accepted path and bonus
    joined by a thick line.

    Args:
        trace: the run.
        step: number of the step, from 1.

    Raises:
        ValueError: the run has no such step.
    """
    found = next((s for s in trace.steps if s.index == step), None)
    if found is None:
        raise ValueError(f"step must be 1 … {len(trace.steps)}, got {step}")
    layout = tidy(found.parents, found.ranks)
    places = list(zip(layout.columns, layout.rows, strict=True))
    statuses: list[str] = list(found.statuses)
    tokens = list(found.tokens)
    hovers = [_hover(trace, found, node) for node in range(len(tokens))]
    thin = [
        (places[found.parents[n]], places[n])
        for n in range(1, len(tokens))
        if statuses[n] != "accepted"
    ]
    thick = [(places[found.parents[n]], places[n]) for n in found.path]
    if found.bonus is not None:
        end = found.path[-1] if found.path else 0
        places.append(bonus_place(layout, end))
        thick.append((places[end], places[-1]))
        statuses.append("bonus")
        tokens.append(found.bonus)
        hovers.append(
            f"bonus: {_name(trace, found.bonus)}, the model's own choice after"
            f" {_name(trace, tokens[end])}"
        )
    lines = [_lines(thin, INK, 1), _lines(thick, ACCEPTED, 3)]
    figure = go.Figure([line for line in lines if line.x])
    height = max(row for _, row in places) - min(row for _, row in places) + 1
    for status, (colour, symbol, word) in LOOKS.items():
        chosen = [n for n, s in enumerate(statuses) if s == status]
        if chosen:
            figure.add_scatter(
                name=word,
                x=[places[n][0] for n in chosen],
                y=[places[n][1] for n in chosen],
                mode="markers+text" if height <= LABELLED_ROWS else "markers",
                text=["" if status == "unseen" else _label(trace, tokens[n]) for n in chosen],
                # Above the line that goes on to the right, which would run through the text.
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
    figure.update_xaxes(title_text="depth", dtick=1, range=[-0.3, max(c for c, _ in places) + 0.9])
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
    place = f"node {node}, rank {step.ranks[node]} of {_name(trace, step.tokens[parent])}"
    if status == "unseen":
        return f"{place}: its row was never seen"
    chances = dict(zip(step.candidates[parent], step.probabilities[parent], strict=False))
    chance = chances.get(step.tokens[node])
    return f"{place}: {_name(trace, step.tokens[node])}, {status}" + (
        "" if chance is None else f", probability {chance:.2f}"
    )


def _label(trace: RunTrace, token: int) -> str:
    return safe(
        " " + label(trace.pieces.get(token, f"<id {token}>"), trace.partial_bytes.get(token, ""))
    )


def _name(trace: RunTrace, token: int) -> str:
    piece = trace.pieces.get(token, f"<id {token}>")
    return safe(f"“{full_label(piece, trace.partial_bytes.get(token, ''))}”")
