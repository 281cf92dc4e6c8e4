"""Plotly figures of traces. Colours and greys are chosen to read on white and on near-black.

Every text of a model or a user goes through ``safe``: plotly reads a small HTML in labels, and LaTeX between dollars.
"""

from __future__ import annotations

import math
from collections import Counter

import plotly.graph_objects as go

from tr_core import acceptance, traffic
from tr_core import reliability as calibration
from tr_core.diagnosis import diagnose
from tr_core.rows import RowHistory
from tr_core.trace import RunTrace
from tr_core.wording import REASON_WORDS, namer

ACCEPTED, BONUS, INK = "#16a394", "#d98324", "#7d8590"
LOST, DRAFT = "#c2566b", "#8e7cc3"
GRID, EMPTY = "rgba(128,128,128,0.2)", "rgba(128,128,128,0.12)"
# draft, forward, verify, update: told apart by lightness too.
PHASE_COLOURS = (DRAFT, INK, ACCEPTED, BONUS)
# Of the sources of a draft; told apart by their marks too.
SOURCE_COLOURS = (ACCEPTED, BONUS, DRAFT, LOST, "#5b8db8", "#8a8f3c")
SOURCE_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star")
_SCALE = [[0.0, EMPTY], [1.0, ACCEPTED]]


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


def accepted_histogram(trace: RunTrace) -> go.Figure:
    """Number of steps by the length of their path; the bonus is not counted."""
    counts = Counter(len(step.path) for step in trace.steps)
    lengths = list(range(max(counts, default=0) + 1))
    bars = go.Bar(
        x=lengths, y=[counts[n] for n in lengths], marker_color=ACCEPTED, hovertemplate="%{x} accepted: %{y} steps"
    )
    figure = go.Figure([bars])
    figure.update_layout(bargap=0.25)
    figure.update_xaxes(title_text="drafted tokens accepted", dtick=_every(len(lengths)))
    figure.update_yaxes(title_text="steps", rangemode="tozero", tickformat="d")
    return calm(figure)


def acceptance_by_depth_and_rank(trace: RunTrace) -> go.Figure:
    """Heat map: of the drafted nodes whose parent was accepted, the share that was too; empty where there was none."""
    shares = acceptance.by_depth_and_rank(trace.steps)
    depths = list(range(1, max((d for d, _ in shares), default=0) + 1))
    ranks = list(range(max((r for _, r in shares), default=-1) + 1))
    cells = [[shares.get((d, r)) for d in depths] for r in ranks]
    heat = go.Heatmap(
        x=depths,
        y=ranks,
        z=[[None if c is None else c.rate for c in row] for row in cells],
        text=[["" if c is None else f"{c.accepted}/{c.total}" for c in row] for row in cells],
        texttemplate="%{text}",
        hovertemplate="depth %{x}, rank %{y}: %{z:.0%} (%{text})<extra></extra>",
        colorscale=_SCALE,
        zmin=0,
        colorbar={"tickformat": ".0%", "thickness": 10, "outlinewidth": 0},
        xgap=2,
        ygap=2,
    )
    figure = calm(go.Figure([heat]))
    figure.update_xaxes(title_text="depth", dtick=_every(len(depths)))
    figure.update_yaxes(title_text="rank", dtick=1, autorange="reversed", showgrid=False)
    return figure


def tokens_against_passes(trace: RunTrace) -> go.Figure:
    """Tokens written after each forward pass, and plain decoding, which writes one a pass, as the diagonal."""
    tokens = [0]
    for step in trace.steps:
        tokens.append(tokens[-1] + len(step.emitted))
    passes = list(range(len(tokens)))
    run = go.Scatter(
        name=trace.info.drafter, x=passes, y=tokens, mode="lines", line={"color": ACCEPTED, "width": 2},
        hovertemplate="%{x} passes: %{y} tokens<extra></extra>",
    )  # fmt: skip
    plain = go.Scatter(
        name="plain decoding", x=[0, tokens[-1]], y=[0, tokens[-1]], mode="lines", line={"color": INK, "dash": "dot"},
        hoverinfo="skip",
    )  # fmt: skip
    figure = go.Figure([run, plain])
    figure.update_xaxes(title_text="forward passes")
    figure.update_yaxes(title_text="tokens", rangemode="tozero")
    return calm(figure)


def time_per_phase(trace: RunTrace) -> go.Figure:
    """Milliseconds of each part of each step, stacked."""
    steps = [step.index for step in trace.steps]
    figure = go.Figure(
        [
            go.Bar(
                name=phase,
                x=steps,
                y=[getattr(step.timing, f"{phase}_ms") for step in trace.steps],
                marker_color=colour,
                hovertemplate=f"step %{{x}}: {phase} %{{y:.2f}} ms<extra></extra>",
            )
            for phase, colour in zip(("draft", "forward", "verify", "update"), PHASE_COLOURS, strict=True)
        ]
    )
    figure.update_layout(barmode="stack", bargap=0.1)
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="milliseconds", rangemode="tozero")
    return calm(figure)


def sliding_mat(trace: RunTrace, window: int = acceptance.WINDOW) -> go.Figure:
    """MAT of the last ``window`` steps at each step, and that of plain decoding."""
    line = acceptance.sliding_mat(trace.steps, window)
    steps = [step for step, _ in line]
    figure = go.Figure(
        [
            go.Scatter(
                name=f"MAT of {window} steps", x=steps, y=[mat for _, mat in line], mode="lines",
                line={"color": ACCEPTED, "width": 2}, hovertemplate="step %{x}: %{y:.2f}<extra></extra>",
            ),
            go.Scatter(
                name="plain decoding", x=steps, y=[1.0] * len(steps), mode="lines",
                line={"color": INK, "dash": "dot"}, hoverinfo="skip",
            ),
        ]
    )  # fmt: skip
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="tokens a pass", rangemode="tozero")
    return calm(figure)


def emitted_by_class(trace: RunTrace) -> go.Figure:
    """Tokens emitted of each class that occurred, told apart by whether they had been drafted."""
    shares = {name: share for name, share in acceptance.by_class(trace).items() if share.total}
    names = list(shares)
    figure = go.Figure(
        [
            go.Bar(
                name=name, x=values, y=names, orientation="h", marker_color=colour,
                hovertemplate=f"%{{y}}: %{{x}} {name}<extra></extra>",
            )
            for name, values, colour in (
                ("drafted", [s.accepted for s in shares.values()], ACCEPTED),
                ("bonus", [s.total - s.accepted for s in shares.values()], BONUS),
            )
        ]
    )  # fmt: skip
    figure = calm(figure)
    figure.update_layout(barmode="stack", bargap=0.3)
    figure.update_xaxes(title_text="tokens", tickformat="d")
    figure.update_yaxes(autorange="reversed", type="category", automargin=True, showgrid=False)
    return figure


def mat_by_position(trace: RunTrace) -> go.Figure:
    """MAT in each part of the output, cut into ten: whether acceptance rises as the matrix warms up."""
    spans = acceptance.by_position(trace)
    parts = [f"{span.first}–{span.last}" for span in spans]
    bars = go.Bar(
        x=parts,
        y=[span.mean_accepted_tokens for span in spans],
        marker_color=ACCEPTED,
        hovertemplate="tokens %{x}: %{y:.2f} a pass<extra></extra>",
    )
    figure = calm(go.Figure([bars]))
    figure.update_layout(bargap=0.25)
    figure.update_xaxes(title_text="tokens of the output", type="category", tickvals=parts[::3], tickangle=0)
    figure.update_yaxes(title_text="tokens a pass", rangemode="tozero")
    return figure


def matrix_over_time(trace: RunTrace) -> go.Figure:
    """Rows that hold candidates after each step, and the mean age of the rows that each draft was made from."""
    states = RowHistory(trace).over_time()
    steps = [s.step for s in states]
    figure = go.Figure(
        [
            go.Scatter(
                name="rows filled", x=steps, y=[s.rows_seen for s in states], mode="lines",
                line={"color": ACCEPTED, "width": 2}, hovertemplate="step %{x}: %{y} rows<extra></extra>",
            ),
            go.Scatter(
                name="age of the rows used", x=steps, y=[s.age for s in states], mode="lines", yaxis="y2",
                line={"color": BONUS, "dash": "dot"}, hovertemplate="step %{x}: %{y:.1f} steps old<extra></extra>",
            ),
        ]
    )  # fmt: skip
    figure.update_layout(yaxis2={"title": {"text": "age in steps"}, "overlaying": "y", "side": "right"})
    figure = calm(figure)
    figure.update_xaxes(title_text="step")
    figure.update_layout(yaxis={"title": {"text": "rows"}, "rangemode": "tozero"}, margin_r=48)
    figure.update_layout(yaxis2={"showgrid": False, "rangemode": "tozero", "tickmode": "auto", "nticks": 6})
    return figure


def most_rewritten_rows(trace: RunTrace, count: int = 15) -> go.Figure:
    """The rows that lost most candidates over the run: how often written, how many candidates lost."""
    name = namer(trace)
    rows = RowHistory(trace).lives()[:count]
    labels = [safe(name(row.token)) for row in rows]
    figure = go.Figure(
        [
            go.Bar(name="candidates lost", y=labels, x=[r.evicted for r in rows], marker_color=LOST, orientation="h"),
            go.Bar(name="times written", y=labels, x=[r.writes for r in rows], marker_color=INK, orientation="h"),
        ]
    )
    figure = calm(figure)
    figure.update_layout(barmode="group", height=max(280, 80 + 26 * len(rows)))
    figure.update_yaxes(autorange="reversed", type="category", automargin=True, showgrid=False)
    return figure


def why_paths_ended(trace: RunTrace) -> go.Figure:
    """Steps that ended for each reason, and the tokens they lost; reasons that did not occur are left out."""
    diagnosis = diagnose(trace)
    reasons = [reason for reason, steps in diagnosis.reasons.items() if steps]
    words = [REASON_WORDS[reason] for reason in reasons]
    steps = [diagnosis.reasons[reason] for reason in reasons]
    lost = [diagnosis.lost[reason] for reason in reasons]
    figure = go.Figure(
        [
            go.Bar(name="steps", y=words, x=steps, marker_color=INK, orientation="h", customdata=reasons),
            go.Bar(name="tokens lost", y=words, x=lost, marker_color=LOST, orientation="h", customdata=reasons),
        ]
    )
    figure = calm(figure)
    figure.update_layout(barmode="group")
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    return figure


def bytes_per_token(trace: RunTrace) -> go.Figure:
    """Megabytes read for each token written, by this run and by plain decoding; empty if the record does not tell."""
    lines = [line for line in traffic.readings(trace) if line.emitted]
    steps = [line.step for line in lines]
    figure = go.Figure(
        [
            go.Scatter(
                name=name, x=steps, y=values, mode="lines", line={"color": colour, "dash": dash},
                hovertemplate="step %{x}: %{y:.1f} MB a token<extra></extra>",
            )
            for name, values, colour, dash in (
                (trace.info.drafter, [line.tree / line.emitted / 1e6 for line in lines], ACCEPTED, "solid"),
                ("plain decoding", [line.plain_for_all / line.emitted / 1e6 for line in lines], INK, "dot"),
            )
        ]
    )  # fmt: skip
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text="MB read a token", rangemode="tozero")
    return calm(figure)


def reliability(trace: RunTrace) -> go.Figure:
    """Expected against observed acceptance of the drafted nodes, by source, and the diagonal on which both are equal.

    The larger a point, the more nodes stand behind it. Empty for a drafter that expects nothing.
    """
    sources = calibration.by_source(trace.steps)
    lines = {"all": calibration.overall(trace.steps)} if len(sources) > 1 else {}
    figure = go.Figure(
        [
            go.Scatter(
                name="as expected", x=[0, 1], y=[0, 1], mode="lines", line={"color": INK, "dash": "dot"},
                hoverinfo="skip",
            )
        ]
    )  # fmt: skip
    for place, (name, line) in enumerate((lines | sources).items()):
        figure.add_scatter(
            name=name,
            x=[b.expected for b in line.bins],
            y=[b.observed for b in line.bins],
            mode="lines+markers",
            line={"color": SOURCE_COLOURS[place % len(SOURCE_COLOURS)], "width": 2 if name == "all" else 1},
            marker={
                "size": [4 + 3 * math.log10(b.nodes) for b in line.bins],
                "symbol": SOURCE_SYMBOLS[place % len(SOURCE_SYMBOLS)],
            },
            text=[f"{b.accepted} of {b.nodes} nodes" for b in line.bins],
            hovertemplate="expected %{x:.1%}, observed %{y:.1%}: %{text}",
        )
    figure.update_xaxes(title_text="expected", range=[0, 1.02], tickformat=".0%")
    figure.update_yaxes(title_text="accepted", range=[-0.02, 1.04], tickformat=".0%")
    return calm(figure)


def _every(places: int) -> int:
    """Numbers from one tick to the next, so that there are no more than a dozen."""
    return -(-places // 12) or 1


def safe(text: str) -> str:
    """Text as plotly shows it letter by letter: no tags, no entities, no LaTeX."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")


def calm(figure: go.Figure) -> go.Figure:
    """Give a figure the house style: no frame, faint lines, transparent ground, the page's own font."""
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12, "color": INK},
        height=280,
        margin={"l": 48, "r": 12, "t": 28, "b": 40},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        hoverlabel={"font": {"family": "system-ui, sans-serif"}},
    )
    figure.update_xaxes(showgrid=False, zeroline=False, title_font_size=12)
    figure.update_yaxes(title_font_size=12, gridcolor=GRID, zeroline=False)
    return figure
