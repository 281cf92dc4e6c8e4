"""Runs side by side: made by hand, every number known."""

from __future__ import annotations

import msgspec
import pytest

from tests.support import viz_runs
from tests.support.hand_lanes import OTHER, X, Y, Z, of_two, with_info
from tests.support.hand_runs import A, B, C, D, E, F, run
from tr_core.analysis.alignment import Chosen, Jump, LaneStep, Lead, align
from tr_core.analysis.run_names import facts, names
from tr_core.errors import CompareError
from tr_core.trees.templates import chain


def test_every_position_knows_who_wrote_it_and_after_how_many_passes():
    x, y, z = align([X, Y, Z]).lanes
    assert x.steps == (LaneStep(1, 1, 3, 2, 1), LaneStep(2, 4, 4, 0, 2), LaneStep(3, 5, 6, 1, 3))
    assert (x.emitter, x.passes) == ((1, 1, 1, 2, 3, 3), (1, 1, 1, 2, 3, 3))
    assert (y.emitter, y.passes) == ((1, 2, 3, 4, 5, 6),) * 2
    assert (z.emitter, z.passes) == ((1, 2, 2, 3, 3, 3),) * 2
    assert [x.spent(1, 3), x.spent(2, 3), x.spent(4, 6)] == [1, 0, 2]


def test_a_pass_that_was_settled_by_others_counts_them_all():
    strict = msgspec.structs.replace(
        X, steps=(msgspec.structs.replace(X.steps[0], passes=4), *X.steps[1:])
    )
    found = align([strict, Y])
    assert found.lanes[0].passes == (4, 4, 4, 5, 6, 6)
    assert found.summaries[0].passes == 6
    # The first token took four passes here and one there; the last two took one and two.
    assert found.jumps == (Jump(1, 1, 1, 1, (4, 1), 3), Jump(0, 3, 5, 6, (1, 2), 1))


def test_where_one_jumped_ahead_and_where_it_was_ahead_most():
    found = align([X, Y])
    assert found.jumps == (Jump(0, 1, 1, 3, (1, 3), 2), Jump(0, 3, 5, 6, (1, 2), 1))
    assert found.leads == (Lead(0, 6, 3),)
    # The other way round it is the same run.
    assert align([Y, X]).jumps[0] == Jump(1, 1, 1, 3, (3, 1), 2)
    # X jumps first, Z catches up in its last step: over “e f a” it takes one pass, X two.
    found = align([X, Z])
    assert found.jumps == (Jump(0, 1, 1, 3, (1, 2), 1), Jump(1, 3, 4, 6, (2, 1), 1))
    assert found.leads == (Lead(0, 2, 1),)
    # Of three, only what beats both others counts.
    assert align([X, Y, Z]).jumps == (
        Jump(0, 1, 1, 3, (1, 3, 2), 1),
        Jump(2, 3, 4, 6, (2, 3, 1), 1),
    )
    assert (align([X, X]).jumps, align([X, X]).leads) == ((), ())


def test_equal_texts_and_beginnings_of_texts():
    found = align([X, Y, Z])
    assert (found.verdict, found.shared, found.difference) == ("equal", 6, None)
    short = of_two(*X.steps[:2])
    found = align([Y, short])
    assert (found.verdict, found.shared, found.difference.position) == ("beginning", 4, 5)
    # Y's fifth token came from its fifth step; the shorter run has none there.
    assert found.difference.runs == (Chosen(F, 5, 0.75, 0.625), Chosen(None, None, None, None))
    # Behind the end of the shorter one nothing is compared.
    assert found.leads == (Lead(1, 3, 2),)
    empty = run([A])
    assert (align([X, empty]).verdict, align([X, empty]).shared) == ("beginning", 0)
    assert align([empty, empty]).verdict == "equal"


def test_the_first_difference_and_how_near_the_two_best_were():
    unsure = msgspec.structs.replace(
        OTHER.steps[1],
        candidates=((E, D), (A, B), (A, B)),
        probabilities=((0.4, 0.375), (0.9, 0.05), (0.9, 0.05)),
    )
    other = msgspec.structs.replace(OTHER, steps=(OTHER.steps[0], unsure))
    found = align([X, other])
    assert (found.verdict, found.shared, found.difference.position) == ("different", 2, 3)
    x, o = found.difference.runs
    # X wrote d as the bonus after node 2; the other accepted e below its root, node 0.
    assert x == Chosen(D, 1, 0.75, 0.625)
    assert o == Chosen(E, 2, 0.4, pytest.approx(0.025))
    # A jump must lie within what all have written: X's first step reaches over the difference.
    assert found.jumps == ()
    assert found.leads == ()
    assert align([other, Y]).jumps == (Jump(0, 1, 1, 2, (1, 2), 1),)


def test_runs_that_wrote_the_same_are_told_where_not_all_did():
    assert align([X, OTHER, Y, OTHER]).alike == ((0, 2), (1, 3))
    assert align([X, OTHER]).alike == ()
    assert align([X, Y]).alike == ()


def test_what_the_record_does_not_tell_is_none():
    bare = msgspec.structs.replace(
        OTHER.steps[1], candidates=((9,), (A,), (A,)), probabilities=((0.4,), (0.9,), (0.9,))
    )
    found = align([X, msgspec.structs.replace(OTHER, steps=(OTHER.steps[0], bare))])
    assert found.difference.runs[1] == Chosen(E, 2, None, None)


def test_the_summary():
    x, y, _ = align([X, Y, Z]).summaries
    assert (x.tokens, x.passes, x.mean_accepted_tokens) == (6, 3, 2.0)
    assert (x.nodes, x.drafted, x.accepted, x.lossless) == (4 / 3, 4, 3, None)
    assert (x.ms_per_step, x.tokens_per_second) == (16.0, pytest.approx(6 / 0.048))
    assert (y.tokens, y.passes, y.drafted, y.accepted, y.nodes) == (6, 6, 0, 0, 0.0)
    empty = align([run([A]), run([A])]).summaries[0]
    assert (empty.passes, empty.mean_accepted_tokens, empty.ms_per_step, empty.nodes) == (
        0,
        0.0,
        0.0,
        0.0,
    )


def test_runs_are_named_by_what_tells_them_apart():
    def named(*traces):
        return names([t.info for t in traces])

    paper = with_info(X, tree="paper", nodes=80, rows_seen=1, prompt_ids=(A, B, C))
    assert named(paper, with_info(Y)) == ["token_recycling", "none"]
    assert named(paper, with_info(paper, tree="small-16")) == ["paper 80", "small-16"]
    assert named(paper, with_info(paper, k=4), with_info(paper, k=4, tree="auto")) == [
        "paper 80 · k 3",
        "paper 80 · k 4",
        "auto · k 4",
    ]
    assert named(paper, with_info(paper, rows_seen=3)) == ["cold", "hot"]
    sampled = with_info(paper, settings={"temperature": 0.8, "top_p": 0.9, "seed": 3})
    assert named(paper, sampled) == ["greedy", "temperature 0.8, top-p 0.9, seed 3"]
    assert named(paper, with_info(paper, model="other"), paper) == ["hand", "other", "hand (2)"]
    assert named(paper, paper, paper) == [
        "token_recycling",
        "token_recycling (2)",
        "token_recycling (3)",
    ]


def test_a_hot_start_is_told_by_more_rows_than_the_prompt_can_have_written():
    # The last prompt token is the first root: nothing was scored after it before step 1.
    prompt = (A, B, A, C)
    assert facts(with_info(X, prompt_ids=prompt, rows_seen=2).info)["start"] == "cold"
    assert facts(with_info(X, prompt_ids=prompt, rows_seen=3).info)["start"] == "hot"
    assert (
        facts(with_info(X, prompt_ids=prompt, rows_seen=1, settings={"prompt_rows": False}).info)[
            "start"
        ]
        == "hot"
    )
    assert facts(with_info(Y, prompt_ids=prompt).info)["start"] == ""


def test_other_texts_are_no_fault_where_the_settings_are_others():
    assert align([X, Y]).may_differ == ()
    assert align([with_info(X), with_info(OTHER, settings={"temperature": 0.5})]).may_differ == (
        "sampling",
    )
    assert align([with_info(X), with_info(OTHER, model="other", dtype="bfloat16")]).may_differ == (
        "model",
        "dtype",
    )


@pytest.mark.parametrize(
    ("traces", "words"),
    [
        ([X], "takes 2 to 4 runs, got 1"),
        ([X] * 5, "takes 2 to 4 runs, got 5"),
        ([X, run([B], *Y.steps)], "Run 2 has another prompt than run 1"),
        (
            [X, Y, with_info(Z, tokenizer="1" * 16, model="b")],
            r"Run 3 \(b\) has another tokenizer than run 1 \(hand\)",
        ),
    ],
)
def test_runs_that_do_not_belong_together_are_refused_in_one_sentence(traces, words):
    with pytest.raises(CompareError, match=words):
        align(traces)


@pytest.mark.parametrize("seed", range(3))
def test_lanes_of_any_run_add_up(seed):
    paper = viz_runs.toy_run(20, seed=seed)
    small = viz_runs.toy_run(30, seed=seed, template=chain(3), stop_reason="eos", cut=1)
    found = align([paper, small, paper])
    for lane, trace, line in zip(found.lanes, (paper, small, paper), found.summaries, strict=True):
        assert len(lane.emitter) == len(lane.passes) == line.tokens == len(trace.output_ids)
        assert [s.last - s.first + 1 for s in lane.steps] == [len(s.emitted) for s in trace.steps]
        assert lane.steps[-1].passes == line.passes == len(trace.steps)
    # The toy's text depends on the text alone, so it is one text, and a run is never ahead of
    # itself.
    assert found.verdict == "beginning"
    assert all(j.gain > 0 and j.run == 1 for j in found.jumps)
