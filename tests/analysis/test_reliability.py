"""What was expected of nodes against what happened, on steps written by hand; and the reasons that
held tells.
"""

import pytest
from msgspec.structs import replace

import viz
from tests.support.hand_runs import A, B, C, D, E, F, run, step
from tr_core.analysis import reliability
from tr_core.analysis.diagnosis import diagnose
from tr_core.analysis.diagnosis_report import as_json, as_text
from tr_core.analysis.wording import caveats, explain
from tr_core.errors import TraceError
from tr_core.trace import ROOT, Held, RunTrace, Source


def told(one, sources, expected, held=None):
    """A step whose drafter tells of its nodes, the root left out."""
    return replace(one, sources=(ROOT, *sources), expected=(1.0, *expected), held=held)


ROW, PAIR = Source("row", 1), Source("row", 2)
COPY = Source("lookup", 3, 0)
# a ─┬─ b ── c     the model says b, then c, then d
#    └─ d
THREE = [(0, 0, B), (0, 1, D), (1, 0, C)]


def example():
    first = told(
        step(THREE, [B, C, E, D], root=A), [PAIR, ROW, COPY], [0.85, 0.1, 0.6], Held(2, None)
    )
    # The same draft, and the model says e at once: the drafter had known it, as third best.
    second = told(
        step(THREE, [E, C, E, D], root=D), [PAIR, ROW, COPY], [0.85, 0.1, 0.6], Held(4, 2)
    )
    third = told(step([], [F], root=E), [], [], Held(0, None))
    fourth = told(step([(0, 0, B)], [C, C], root=F), [ROW], [0.05], Held(0, None))
    return run([A], first, second, third, fourth, drafter="recycling_plus")


def test_nodes_are_counted_by_what_was_expected_of_them():
    steps = example().steps
    found = reliability.overall(steps)
    assert [(b.nodes, round(b.expected, 3), b.accepted) for b in found.bins] == [
        (1, 0.05, 0), (2, 0.1, 0), (2, 0.6, 1), (2, 0.85, 1),
    ]  # fmt: skip
    assert (found.nodes, found.accepted, round(found.expected, 2)) == (7, 2, 3.15)
    # |0 − 0.05| + |0 − 0.2| + |1 − 1.2| + |1 − 1.7|, by 7 nodes
    assert found.error == pytest.approx((0.05 + 0.2 + 0.2 + 0.7) / 7)
    by_source = reliability.by_source(steps)
    assert {name: (r.nodes, r.accepted) for name, r in by_source.items()} == {
        "row 1": (3, 0), "lookup": (2, 1), "row 2": (2, 1),
    }  # fmt: skip


def test_what_stands_behind_a_stop_is_no_failure():
    cut = told(step(THREE, [B, C, E, D], root=A, emitted=1, stop="eos"), [ROW] * 3, [0.9, 0.1, 0.6])
    assert [(b.nodes, b.accepted) for b in reliability.overall([cut]).bins] == [
        (1, 0),
        (1, 1),
        (1, 1),
    ]


def test_drafters_that_expect_nothing_have_no_reliability():
    plain = run([A], step(THREE, [B, C, E, D], root=A), drafter="prompt_lookup")
    assert reliability.overall(plain.steps).bins == ()
    assert reliability.by_source(plain.steps) == {}
    assert len(viz.reliability(plain).data) == 1


def test_the_figure_has_a_line_for_each_source():
    figure = viz.reliability(example())
    assert [line.name for line in figure.data] == ["as expected", "all", "row 1", "lookup", "row 2"]
    lookup = figure.data[3]
    assert (list(lookup.x), list(lookup.y), list(lookup.text)) == ([0.6], [0.5], ["1 of 2 nodes"])


def test_what_the_drafter_knew_gives_the_reason():
    trace = example()
    found = diagnose(trace)
    assert [d.reason for d in found.steps] == [
        "not_known",
        "budget_spent",
        "no_draft",
        "nothing_known",
    ]
    assert sum(found.reasons.values()) == 4
    second = found.steps[1]
    assert (second.rank, second.row, second.add, second.lost) == (2, None, None, 1)
    assert found.what_ifs == found.additions == ()
    letters = {i: chr(ord("a") + i) for i in range(10)}
    assert explain(second, letters.get) == (
        (
            "0 of 3 drafted tokens accepted: after d the model chose e (probability 0.75), which"
            " the drafter ranked number 3 there, but the draft held only b, d there."
        ),
        "The drafter spent its nodes where it expected more: a larger tree could have held it.",
    )
    assert (
        explain(found.steps[3], letters.get)[0]
        == "0 of 1 drafted token accepted: the drafter knew nothing that could follow f. The model"
        " continued with c (probability 0.75)."
    )
    assert (
        explain(found.steps[0], letters.get)[0]
        == "2 of 3 drafted tokens accepted: after c the model chose d (probability 0.75), but the"
        " drafter knew only other tokens there."
    )
    assert "records no rows" in caveats(trace, False)[1]
    assert "source of nodes" in as_text(trace, found)
    assert as_json(trace, found)["reliability"]["all"]["nodes"] == 7


def test_it_goes_to_json_compactly_and_old_traces_read():
    trace = example()
    text = trace.to_json()
    assert '"sources":[["root",0,-1],["row",2,-1],["row",1,-1],["lookup",3,0]]' in text
    assert RunTrace.from_json(text) == trace
    old = text
    for field in ("sources", "expected", "held"):
        assert f'"{field}":' in old
    bare = run([A], step(THREE, [B, C, E, D], root=A))
    stripped = bare.to_json().replace(',"sources":[],"expected":[],"held":null', "")
    assert "sources" not in stripped
    assert RunTrace.from_json(stripped) == bare


@pytest.mark.parametrize(
    "spoiled",
    [
        {"sources": (ROOT, ROW)},
        {"expected": (1.0, 0.5)},
        {"expected": (1.0, 0.5, 0.5, 1.5)},
        {"sources": (ROOT, ROW, ROW, Source("lookup", 3, 9))},  # a place that no text had yet
        {"sources": (ROOT, ROW, ROW, Source("row", -1))},
    ],
)
def test_what_does_not_fit_is_refused(spoiled):
    trace = example()
    broken = replace(trace, steps=(replace(trace.steps[0], **spoiled),))
    with pytest.raises(TraceError, match="step 1 do not fit"):
        RunTrace.from_json(broken.to_json())
