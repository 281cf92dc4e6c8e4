"""The figures' data, number by number; how they look is not tested here."""

from __future__ import annotations

import json
from inspect import signature

import msgspec
import plotly.graph_objects as go
import plotly.io as pio
import pytest

import viz
from tests.support import viz_runs
from tests.support.hand_runs import A, B, C, D, E, run, step
from tr_core.trace import RunTrace
from viz.figures import charts
from viz.figures import plotly_figures as figures
from viz.records.analysis_record import FIGURES as ON_THE_PAGE

# a ─┬─ b ── d     the model: a → b → e; then e alone, its row unseen; then a → b → e again
#    └─ c
SMALL = run(
    [A],
    step(
        [(0, 0, B), (0, 1, C), (1, 0, D)],
        [B, E, A, A],
        {A: ((B, C), (B, D)), B: ((D, C), (E, D))},
        root=A,
    ),
    step(
        [(0, 0, A), (0, 1, A), (1, 0, A)], [A, A, A, A], {E: ((), (A, B))}, root=E, unseen=[1, 2, 3]
    ),
    step(
        [(0, 0, B), (0, 1, D), (1, 0, E)],
        [B, E, A, C],
        {A: ((B, D), (B, D)), B: ((E, D), (D, E))},
        root=A,
    ),
)
NOTHING = run([A])
FIGURES = [
    viz.acceptance_by_depth_and_rank, viz.accepted_histogram, viz.accepted_per_step,
    viz.bytes_per_token, viz.matrix_over_time, viz.most_rewritten_rows, viz.reliability,
    viz.sliding_mat, viz.time_per_phase, viz.tokens_against_passes, viz.why_paths_ended,
]  # fmt: skip


@pytest.mark.parametrize("figure", FIGURES, ids=lambda f: f.__name__)
def test_every_figure_of_every_run_can_be_drawn(figure):
    plain = run([A], step([], [B], root=A), drafter="none")
    for trace in (SMALL, NOTHING, plain, viz_runs.tiny_run(), viz_runs.toy_run(5)):
        drawn = figure(trace)
        assert isinstance(drawn, go.Figure)
        assert drawn.to_json()
        assert drawn.layout.paper_bgcolor == "rgba(0,0,0,0)"


@pytest.mark.parametrize("chart", [*ON_THE_PAGE, charts.reliability], ids=lambda f: f.__name__)
def test_what_the_page_is_sent_unchecked_is_what_plotly_makes_of_it_when_it_checks(chart):
    for trace in (SMALL, NOTHING, viz_runs.toy_run(30), expecting()):
        plain = chart(trace)
        checked = go.Figure(plain).to_plotly_json()  # refuses a property that it does not know
        del checked["layout"]["template"]
        assert json.loads(json.dumps(plain)) == json.loads(json.dumps(checked))
        drawn = getattr(viz, chart.__name__)(trace)
        assert isinstance(drawn, go.Figure)
        assert drawn.layout.template == pio.templates["none"], "not plotly's own look"
        assert drawn.update_layout(template="plotly") == go.Figure(plain)


def test_a_notebook_is_told_what_a_figure_takes_and_gives():
    assert list(signature(viz.sliding_mat).parameters) == ["trace", "window"]
    assert signature(viz.sliding_mat).return_annotation is go.Figure
    assert viz.sliding_mat.__doc__ == charts.sliding_mat.__doc__


def expecting():
    """The small run, as if its drafter had expected something of each node."""
    steps = [
        msgspec.structs.replace(s, expected=(1.0, *[0.5] * (len(s.tokens) - 1)))
        for s in SMALL.steps
    ]
    return msgspec.structs.replace(SMALL, steps=tuple(steps))


def data(figure):
    return [(trace.name, tuple(trace.x), tuple(trace.y)) for trace in figure.data]


def test_histogram_of_path_lengths():
    (bars,) = viz.accepted_histogram(SMALL).data
    assert (tuple(bars.x), tuple(bars.y)) == ((0, 1, 2), (1, 1, 1))


def test_heat_map_of_depths_and_ranks():
    (heat,) = viz.acceptance_by_depth_and_rank(SMALL).data
    assert (heat.x, heat.y) == ((1, 2), (0, 1))
    assert [list(row) for row in heat.z] == [[1.0, 0.5], [0.0, None]]
    assert [list(row) for row in heat.text] == [["2/2", "1/2"], ["0/2", ""]]


def test_tokens_against_passes_with_plain_decoding_as_the_diagonal():
    assert data(viz.tokens_against_passes(SMALL)) == [
        ("token_recycling", (0, 1, 2, 3), (0, 2, 3, 6)),
        ("plain decoding", (0, 6), (0, 6)),
    ]


def test_time_per_phase():
    assert data(viz.time_per_phase(SMALL)) == [
        ("draft", (1, 2, 3), (1.0, 1.0, 1.0)),
        ("forward", (1, 2, 3), (10.0, 10.0, 10.0)),
        ("verify", (1, 2, 3), (2.0, 2.0, 2.0)),
        ("update", (1, 2, 3), (3.0, 3.0, 3.0)),
    ]


def test_sliding_mat():
    assert data(viz.sliding_mat(SMALL, window=2)) == [
        ("MAT of 2 steps", (1, 2, 3), (2.0, 1.5, 2.0)),
        ("plain decoding", (1, 2, 3), (1.0, 1.0, 1.0)),
    ]


def test_matrix_over_time():
    assert data(viz.matrix_over_time(SMALL)) == [
        ("rows filled", (1, 2, 3), (0, 1, 1)),
        ("age of the rows used", (1, 2, 3), (1, None, 2)),
    ]


def test_most_rewritten_rows():
    lost, written = viz.most_rewritten_rows(SMALL).data
    assert (lost.y, lost.x, written.x) == (("“a”", "“b”", "“e”"), (1, 1, 0), (2, 2, 1))
    assert viz.most_rewritten_rows(SMALL, count=1).data[0].y == ("“a”",)


def test_why_paths_ended():
    steps, lost = viz.why_paths_ended(SMALL).data
    assert dict(zip(steps.customdata, steps.x, strict=True)) == {
        "row_never_seen": 1, "not_in_row": 1, "depth_limit": 1,
    }  # fmt: skip
    assert sum(lost.x) > 0


def test_bytes_per_token():
    info = msgspec.structs.replace(
        SMALL.info, weight_bytes=4_000_000, cache_bytes_per_token=1_000_000
    )
    trace = msgspec.structs.replace(SMALL, info=info)
    # Step 1: weights, the root and three nodes in the cache, for two tokens; plain: weights and 1,
    # then 2 tokens.
    tree, plain = data(viz.bytes_per_token(trace))
    assert tree == ("token_recycling", (1, 2, 3), (4.0, 10.0, pytest.approx(11 / 3)))
    assert plain == ("plain decoding", (1, 2, 3), (5.5, 7.0, 9.0))


def test_the_draft_tree_tells_statuses_by_shape_and_word():
    figure = viz.draft_tree(viz_runs.tiny_run())
    marks = {t.name: t for t in figure.data if t.name}
    assert {name: (list(t.x), list(t.y)) for name, t in marks.items()} == {
        "root": ([0], [0]),
        "accepted": ([1], [0]),
        "rejected": ([1, 2, 2], [1, 0, 1]),
        "row never seen": ([3], [0]),
        "bonus": ([2], [-1]),
    }
    assert len({t.marker.symbol for t in marks.values()}) == 5
    assert marks["accepted"].text == (" ·fox",)
    assert marks["accepted"].hovertext == (
        "node 1, rank 0 of “·the”: “·fox”, accepted, probability 0.75",
    )
    assert marks["row never seen"].hovertext == (
        "node 5, rank 0 of “·ran”: its row was never seen",
    )
    assert marks["bonus"].hovertext == ("bonus: “·saw”, the model's own choice after “·fox”",)
    thin, thick = (t for t in figure.data if not t.name)
    assert list(thick.x) == [0, 1, None, 1, 2, None]
    assert len(thin.x) == 3 * 4
    assert viz.draft_tree(viz_runs.toy_run(5), step=5).data
    assert viz.draft_tree(run([A], step([], [B], root=A, emitted=1, stop="eos"))).data
    with pytest.raises(ValueError, match="step must be 1 … 3, got 4"):
        viz.draft_tree(SMALL, step=4)


def test_no_text_of_a_model_is_markup_to_plotly():
    pieces = {A: "<b>x</b>", B: '<a href="x">', C: "$x$", D: "${x}", E: "</div"}
    trace = msgspec.structs.replace(SMALL, pieces=pieces)
    drawn = [viz.draft_tree(trace, s.index) for s in trace.steps] + [viz.most_rewritten_rows(trace)]
    # Not to_json(): it writes "<" as an escape, and would hide what the browser gets.
    shown = str([figure.to_dict() for figure in drawn])
    assert "&lt;b&gt;" in shown
    for hostile in ("<b", "<a", "</", "$"):
        assert hostile not in shown
    assert (
        figures.safe("<a href='x'>$x$</a> &lt;")
        == "&lt;a href='x'&gt;&#36;x&#36;&lt;/a&gt; &amp;lt;"
    )


def test_an_old_trace_without_bytes_is_read():
    old = SMALL.to_json().replace(',"weight_bytes":0,"cache_bytes_per_token":0', "")
    assert '"weight_bytes"' not in old
    assert RunTrace.from_json(old) == SMALL
