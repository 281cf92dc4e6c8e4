"""What the panels say about a run, on runs made by hand where all of it is known."""

from __future__ import annotations

import json

import msgspec
import pytest

import viz
from tests.support import viz_runs
from tests.support.hand_runs import A, B, C, run, step, telling_run
from tr_core.analysis.diagnosis import diagnose
from tr_core.errors import TraceError
from tr_core.trace import RunTrace, Source
from viz.records.analysis_record import COLOURS, FIGURES, figure_record
from viz.records.schema import encode

TELLING = telling_run()


def analysis(trace):
    """The record as the browser gets it."""
    return json.loads(viz.analysis_record(trace))


def test_each_step_has_its_reason_and_two_sentences():
    why = analysis(TELLING)["why"]
    assert [line[0] for line in why] == [
        "rank_cut",
        "row_never_seen",
        "evicted",
        "depth_limit",
        "stopped",
    ]
    assert why[2][1:] == [
        (
            "0 of 3 drafted tokens accepted: after “a” the model chose “c” (probability 0.75),"
            " which is not among the 2 candidates of its row (“b”, “d”)."
        ),
        "The row held it until step 1, when the root that read “b” “a” evicted it.",
    ]


def test_reasons_add_up_to_the_steps_and_evicted_tokens_are_counted_apart():
    assert analysis(TELLING)["reasons"] == [
        ["row_never_seen", "row never seen", 1, 1],
        ["evicted", "token evicted from the row", 1, 2],
        ["rank_cut", "in the row, but no child at that rank", 1, 1],
        ["depth_limit", "depth limit", 1, 1],
        ["stopped", "stopped", 1, 0],
    ]


@pytest.mark.parametrize("seed", range(4))
def test_on_any_run_the_sums_are_those_of_the_diagnosis(seed):
    trace = viz_runs.toy_run(25, seed=seed, stop_reason="eos", cut=1)
    found, d = analysis(trace), diagnose(trace)
    assert sum(line[2] for line in found["reasons"]) == 25 == len(found["why"])
    assert sum(line[3] for line in found["reasons"]) == sum(d.lost.values())
    for key, _, steps, _ in found["reasons"]:
        assert [w[0] for w in found["why"]].count(key) == steps
    assert [line[0] for line in found["costly"]] == [c.token for c in d.costly]
    for token, places, lost in found["costly"]:
        ended = [d.steps[place - 1] for place in places]
        assert {s.after for s in ended} == {token}
        assert sum(s.lost for s in ended) == lost


def test_the_tokens_that_cost_most_lead_to_their_steps():
    assert analysis(TELLING)["costly"] == [[C, [2, 4], 2], [A, [3], 2], [B, [1], 1]]


def test_what_ifs_say_what_could_not_be_replayed():
    lines = {words: rest for words, *rest in analysis(TELLING)["what_ifs"]}
    assert lines["this run"] == [5, 1.6, 0, "as recorded"]
    assert lines["a wider tree: every rank at every node, same depth"] == [
        4,
        2.0,
        1,
        "at most, with these rows",
    ]
    assert lines["a larger k: 4"] == [None, None, None, "not in the record"]
    assert analysis(TELLING)["additions"] == [["[0, 1]", 1, 1], ["[0, 0, 0]", 1, 1]]


def test_what_a_step_emits_with_the_beginning_of_its_tree():
    # 8 tokens in 5 steps: 4 bonuses; node 1 was accepted twice, 2 and 3 once.
    assert analysis(TELLING)["reach"] == [0.8, 1.2, 1.4, 1.6]
    trees_differ = run([A], step([(0, 0, B)], [B, C], root=A), step([], [A], root=C))
    assert analysis(trees_differ)["reach"] == []
    assert analysis(run([A]))["reach"] == []


def test_bytes_of_each_step():
    assert (analysis(TELLING)["weights"], analysis(TELLING)["bytes"]) == (0, [])
    info = msgspec.structs.replace(TELLING.info, weight_bytes=1000, cache_bytes_per_token=10)
    found = analysis(msgspec.structs.replace(TELLING, info=info))
    # Step 1: two committed tokens, the root one of them, and three nodes; two tokens emitted.
    assert (found["weights"], found["bytes"][0]) == (1000, [1050, 1020, 2 * 1020 + 10])
    assert len(found["bytes"]) == 5


def test_figures_are_plain_json_in_the_page_s_own_colours():
    found = json.loads(viz.analysis_record(TELLING, "r"))
    assert (found["type"], found["run"], found["steps"]) == ("analysis", "r", 5)
    assert [f["name"] for f in found["figures"]] == [make.__name__ for make in FIGURES]
    text = json.dumps(found["figures"])
    assert '"template"' not in text
    assert not [colour for colour in COLOURS if colour in text]
    first = found["figures"][0]
    assert first["data"][0] | {"hovertemplate": ""} == {
        "type": "bar",
        "name": "accepted",
        "x": [1, 2, 3, 4, 5],
        "y": [1, 0, 0, 2, 1],
        "marker": {"color": "$accepted"},
        "hovertemplate": "",
    }


def test_a_figure_of_a_hundred_steps_is_small():
    trace = viz_runs.toy_run(100)
    sizes = [len(encode(figure_record(make.__name__, make(trace)))) for make in FIGURES]
    assert max(sizes) < 10_000


def test_a_run_without_steps_or_rows_has_a_record_too():
    for trace in (run([A]), run([A], step([], [B], root=A), drafter="none"), viz_runs.tiny_run()):
        assert json.loads(viz.analysis_record(trace))["steps"] == len(trace.steps)


def test_all_records_of_a_saved_run_agree_on_its_name():
    trace = viz_runs.toy_run(3)
    name = json.loads(viz.run_record(trace))["run"]
    assert json.loads(viz.analysis_record(trace))["run"] == name
    assert json.loads(viz.run_record(viz_runs.toy_run(4)))["run"] != name


def test_a_view_names_only_what_there_is():
    more = {"panel": "diagnosis", "node": 3, "highlight": [{"rows": [5]}]}
    assert (
        json.loads(viz.view_record(2, "accept", **more))
        == {
            "type": "view",
            "step": 2,
            "phase": "accept",
        }
        | more
    )
    with pytest.raises(ValueError, match="a view has no panels"):
        viz.view_record(1, panels="diagnosis")


def test_a_copy_that_runs_on_into_its_own_branch_can_be_read_again():
    """In “aaaa” a copy of the last token copies itself; the engine's own record of it was refused
    before.
    """
    run_on = (Source("root"), Source("row", 1), Source("row", 1), Source("lookup", 2, 6))
    first = msgspec.structs.replace(TELLING.steps[3], sources=run_on)
    assert run_on[3].place >= first.committed
    trace = msgspec.structs.replace(TELLING, steps=(*TELLING.steps[:3], first, TELLING.steps[4]))
    assert RunTrace.from_json(trace.to_json()) == trace
    beyond = msgspec.structs.replace(first, sources=(*run_on[:3], Source("lookup", 2, 60)))
    with pytest.raises(TraceError, match="step 4"):
        RunTrace.from_json(msgspec.structs.replace(trace, steps=(beyond,)).to_json())
