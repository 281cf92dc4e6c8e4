"""The figures of a run that the page shows, as plain data that plotly.js takes.

Plain, since the page draws all of them again after each step, and plotly's own objects check every
property, which takes a hundred times as long. ``plotly_figures`` makes such objects of them for
notebooks. Colours and greys are chosen to read on white and on near-black.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tr_core.analysis import metrics
from tr_core.analysis import reliability as calibration
from tr_core.trace import RunTrace

# A figure: its ``data`` (lines, bars …) and its ``layout``.
Chart = dict[str, Any]

ACCEPTED, BONUS, INK = "#16a394", "#d98324", "#7d8590"
LOST, DRAFT = "#c2566b", "#8e7cc3"
GRID, EMPTY = "rgba(128,128,128,0.2)", "rgba(128,128,128,0.12)"
# draft, forward, verify, update: they differ in lightness too.
PHASE_COLOURS = (DRAFT, INK, ACCEPTED, BONUS)
# Of the sources of a draft; their marks differ too.
SOURCE_COLOURS = (ACCEPTED, BONUS, DRAFT, LOST, "#5b8db8", "#8a8f3c")
SOURCE_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star")
_SCALE = [[0.0, EMPTY], [1.0, ACCEPTED]]

# The house style: no frame, faint lines, transparent ground, the page's own font.
_FAMILY = "system-ui, sans-serif"
HOUSE = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": _FAMILY, "size": 12, "color": INK},
    "height": 280,
    "margin": {"l": 48, "r": 12, "t": 28, "b": 40},
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
    "hoverlabel": {"font": {"family": _FAMILY}},
}
_TITLE = {"font": {"size": 12}}
ACROSS = {"title": _TITLE, "showgrid": False, "zeroline": False}
UP = {"title": _TITLE, "gridcolor": GRID, "zeroline": False}


def accepted_per_step(trace: RunTrace) -> Chart:
    """Tokens that each pass emitted: those of the accepted path, and on top the model's own one."""
    steps = [step.index for step in trace.steps]
    path = [len(step.path) for step in trace.steps]
    bonus = [len(step.emitted) - len(step.path) for step in trace.steps]
    bars = [
        _bars(steps, path, ACCEPTED, name="accepted", hovertemplate="step %{x}: %{y} accepted"),
        _bars(steps, bonus, BONUS, name="bonus", hovertemplate="step %{x}: %{y} bonus"),
    ]
    up = _up("tokens emitted", rangemode="tozero", tickformat="d")
    return _chart(bars, _across("step"), up, barmode="stack", bargap=0.25)


def accepted_histogram(trace: RunTrace) -> Chart:
    """Number of steps by the length of their path; the bonus is not counted."""
    counts = Counter(len(step.path) for step in trace.steps)
    lengths = list(range(max(counts, default=0) + 1))
    bars = _bars(
        lengths, [counts[n] for n in lengths], ACCEPTED, hovertemplate="%{x} accepted: %{y} steps"
    )
    across = _across("drafted tokens accepted", dtick=_every(len(lengths)))
    return _chart([bars], across, _up("steps", rangemode="tozero", tickformat="d"), bargap=0.25)


def acceptance_by_depth_and_rank(trace: RunTrace) -> Chart:
    """Heat map: the accepted share of nodes drafted below an accepted parent; empty without any."""
    shares = metrics.by_depth_and_rank(trace.steps)
    depths = list(range(1, max((d for d, _ in shares), default=0) + 1))
    ranks = list(range(max((r for _, r in shares), default=-1) + 1))
    cells = [[shares.get((d, r)) for d in depths] for r in ranks]
    heat = {
        "type": "heatmap",
        "x": depths,
        "y": ranks,
        "z": [[None if c is None else c.rate for c in row] for row in cells],
        "text": [["" if c is None else f"{c.accepted}/{c.total}" for c in row] for row in cells],
        "texttemplate": "%{text}",
        "hovertemplate": "depth %{x}, rank %{y}: %{z:.0%} (%{text})<extra></extra>",
        "colorscale": _SCALE,
        "zmin": 0,
        "colorbar": {"tickformat": ".0%", "thickness": 10, "outlinewidth": 0},
        "xgap": 2,
        "ygap": 2,
    }
    up = _up("rank", dtick=1, autorange="reversed", showgrid=False)
    return _chart([heat], _across("depth", dtick=_every(len(depths))), up)


def tokens_against_passes(trace: RunTrace) -> Chart:
    """Tokens written after each pass; plain decoding, one token per pass, is the diagonal."""
    tokens = [0]
    for step in trace.steps:
        tokens.append(tokens[-1] + len(step.emitted))
    passes, name = list(range(len(tokens))), trace.info.drafter
    run = _line(passes, tokens, name=name, hovertemplate="%{x} passes: %{y} tokens<extra></extra>")
    plain = _dotted([0, tokens[-1]], [0, tokens[-1]], "plain decoding")
    return _chart([run, plain], _across("forward passes"), _up("tokens", rangemode="tozero"))


def time_per_phase(trace: RunTrace) -> Chart:
    """Milliseconds of each part of each step, stacked."""
    steps = [step.index for step in trace.steps]
    bars = [
        _bars(
            steps,
            [getattr(step.timing, f"{phase}_ms") for step in trace.steps],
            colour,
            name=phase,
            hovertemplate=f"step %{{x}}: {phase} %{{y:.2f}} ms<extra></extra>",
        )
        for phase, colour in zip(
            ("draft", "forward", "verify", "update"), PHASE_COLOURS, strict=True
        )
    ]
    return _chart(
        bars, _across("step"), _up("milliseconds", rangemode="tozero"), barmode="stack", bargap=0.1
    )


def sliding_mat(trace: RunTrace, window: int = metrics.WINDOW) -> Chart:
    """MAT of the last ``window`` steps at each step, and that of plain decoding."""
    line = metrics.sliding_mat(trace.steps, window)
    steps = [step for step, _ in line]
    hover = "step %{x}: %{y:.2f}<extra></extra>"
    mats = _line(
        steps, [mat for _, mat in line], name=f"MAT of {window} steps", hovertemplate=hover
    )
    plain = _dotted(steps, [1.0] * len(steps), "plain decoding")
    return _chart([mats, plain], _across("step"), _up("tokens a pass", rangemode="tozero"))


def emitted_by_class(trace: RunTrace) -> Chart:
    """Tokens emitted of each class that occurred, split by whether they had been drafted."""
    shares = {name: share for name, share in metrics.by_class(trace).items() if share.total}
    bars = [
        _bars(
            values,
            list(shares),
            colour,
            name=name,
            orientation="h",
            hovertemplate=f"%{{y}}: %{{x}} {name}<extra></extra>",
        )
        for name, values, colour in (
            ("drafted", [s.accepted for s in shares.values()], ACCEPTED),
            ("bonus", [s.total - s.accepted for s in shares.values()], BONUS),
        )
    ]
    up = UP | {"autorange": "reversed", "type": "category", "automargin": True, "showgrid": False}
    return _chart(bars, _across("tokens", tickformat="d"), up, barmode="stack", bargap=0.3)


def mat_by_position(trace: RunTrace) -> Chart:
    """MAT in each tenth of the output: whether acceptance rises as the matrix warms up."""
    spans = metrics.by_position(trace)
    parts = [f"{span.first}–{span.last}" for span in spans]
    mats = [span.mean_accepted_tokens for span in spans]
    bars = _bars(parts, mats, ACCEPTED, hovertemplate="tokens %{x}: %{y:.2f} a pass<extra></extra>")
    across = _across("tokens of the output", type="category", tickvals=parts[::3], tickangle=0)
    return _chart([bars], across, _up("tokens a pass", rangemode="tozero"), bargap=0.25)


def reliability(trace: RunTrace) -> Chart:
    """Expected against observed acceptance by source; the diagonal is where both are equal.

    The larger a point, the more nodes it counts. Empty for a drafter that expects nothing.
    """
    sources = calibration.by_source(trace.steps)
    lines = {"all": calibration.overall(trace.steps)} if len(sources) > 1 else {}
    data = [_dotted([0, 1], [0, 1], "as expected")]
    for i, (name, line) in enumerate((lines | sources).items()):
        data.append(
            {
                "type": "scatter",
                "name": name,
                "x": [b.expected for b in line.bins],
                "y": [b.observed for b in line.bins],
                "mode": "lines+markers",
                "line": {
                    "color": SOURCE_COLOURS[i % len(SOURCE_COLOURS)],
                    "width": 2 if name == "all" else 1,
                },
                "marker": {
                    "size": [4 + 3 * math.log10(b.nodes) for b in line.bins],
                    "symbol": SOURCE_SYMBOLS[i % len(SOURCE_SYMBOLS)],
                },
                "text": [f"{b.accepted} of {b.nodes} nodes" for b in line.bins],
                "hovertemplate": "expected %{x:.1%}, observed %{y:.1%}: %{text}",
            }
        )
    across = _across("expected", range=[0, 1.02], tickformat=".0%")
    return _chart(data, across, _up("accepted", range=[-0.02, 1.04], tickformat=".0%"))


def _chart(
    data: list[dict[str, Any]], across: dict[str, Any], up: dict[str, Any], **layout: Any
) -> Chart:
    return {"data": data, "layout": HOUSE | {"xaxis": across, "yaxis": up} | layout}


def _across(title: str, **more: Any) -> dict[str, Any]:
    return ACROSS | {"title": _TITLE | {"text": title}} | more


def _up(title: str, **more: Any) -> dict[str, Any]:
    return UP | {"title": _TITLE | {"text": title}} | more


def _bars(x: list[Any], y: list[Any], colour: str, **more: Any) -> dict[str, Any]:
    return {"type": "bar", "x": x, "y": y, "marker": {"color": colour}} | more


def _line(x: Sequence[int], y: Sequence[float], **more: Any) -> dict[str, Any]:
    """The run's own line."""
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "mode": "lines",
        "line": {"color": ACCEPTED, "width": 2},
    } | more


def _dotted(x: list[int], y: list[float], name: str) -> dict[str, Any]:
    """A line to compare the run's own with."""
    line = {"color": INK, "dash": "dot"}
    return {
        "type": "scatter",
        "name": name,
        "x": x,
        "y": y,
        "mode": "lines",
        "line": line,
        "hoverinfo": "skip",
    }


def _every(ticks: int) -> int:
    """Numbers from one tick to the next, so that there are no more than a dozen."""
    return -(-ticks // 12) or 1
