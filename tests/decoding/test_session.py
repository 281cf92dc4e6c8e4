"""A run step by step on a bigram table, where you can check drafts and verdicts by hand."""

from itertools import accumulate

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.toy import ToyTarget
from tr_core import Session, Settings, TreeTemplate
from tr_core.budget.cost_curve import CostCurve
from tr_core.decoding.recording import record
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.registry import DRAFTERS
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.errors import PromptError, SettingsError, TemplateError

# After a the model says b, after b c, after c a: “abcabc…”. Second best is what a draft may be
# wrong about.
CIRCLE = {0: [1, 2, 3], 1: [2, 0, 4], 2: [0, 1, 5]}
A, B, C = 0, 1, 2

# root ─┬─ 1 (rank 0) ── 3 (rank 0)
#       └─ 2 (rank 1)
TREE = TreeTemplate.from_child_counts("three", [[2], [1, 0]])


def start(prompt, table=CIRCLE, target=None, drafter=None, **settings):
    given = {"tree": TREE, "k": 3, "max_new_tokens": 12} | settings
    return Session(target or ToyTarget(table), Settings(**given), drafter=drafter).start(prompt)


def test_a_cold_run_step_by_step():
    session = start([A])

    # Nothing is known: all nodes are fillers, the bonus alone is emitted, and a's row is learned.
    step = session.step()
    assert step.tokens == (A, 0, 0, 0)
    assert step.unseen == (1, 2, 3)
    assert step.statuses == ("root", "unseen", "unseen", "unseen")
    assert (step.path, step.bonus, step.emitted) == ((), B, (B,))
    assert [(r.token, r.before, r.after) for r in step.rows] == [(A, (), (B, C, 3))]
    assert (step.committed, step.cached) == (1, 1)

    # b's row is unknown still, so the root has no seen child.
    step = session.step()
    assert step.tokens[0] == B
    assert step.unseen == (1, 2, 3)
    assert step.emitted == (C,)

    session.step()  # the same for c
    step = session.step()  # a: its row gives b and c, b's gives c below it
    assert step.tokens == (A, B, C, C)
    assert step.unseen == ()
    assert step.choices == (B, C, A, A)
    assert step.path == (1, 3)
    assert step.bonus == A
    assert step.emitted == (B, C, A)
    assert step.statuses == ("root", "accepted", "rejected", "accepted")
    # c stands at nodes 2 and 3: the later one in breadth-first order writes the row.
    assert [(r.token, r.node) for r in step.rows] == [(A, 0), (B, 1), (C, 3)]
    assert (step.committed, step.cached) == (4, 6)


def test_prompt_positions_fill_rows_unless_switched_off():
    assert start([A, B, C, A]).step().path == (1, 3)
    assert start([A, B, C, A], prompt_rows=False).step().path == ()
    assert start([A, B, C, A]).rows_seen == 3
    assert start([A, B, C, A], prompt_rows=False).rows_seen == 0


def test_of_a_prompts_equal_tokens_the_last_one_alone_is_computed():
    asked = []

    class Asked(ToyTarget):
        def prefill(self, ids, observe=None, positions=None):
            asked.append(list(positions))
            super().prefill(ids, observe, positions)

    prompt = [A, B, A, C, B, A, A]
    trace = record(start(prompt, target=Asked(CIRCLE)))
    assert asked == [
        [3, 4, 5]
    ]  # c, b, a; the last token of all is the first root, which its step will score
    assert (trace.info.prompt_rows, trace.info.rows_seen) == (3, 3)
    start(prompt, target=Asked(CIRCLE), prompt_rows=False)
    Session(Asked(CIRCLE), Settings(drafter="none", k=3)).start(prompt)
    assert asked[1:] == [[], []]


def test_under_a_budget_a_prompt_gets_no_more_rows_than_the_output_can_pay_for():
    # A row costs 1 of 10 ms at most; a tenth of two plain steps pays for two, and the last ones are
    # nearest the output.
    dear = CostCurve((0, 80), (10.0, 90.0))
    short = start(
        [A, B, C, 3, 4, 5], target=ToyTarget(CIRCLE, costs=dear), tree="auto", max_new_tokens=2
    )
    assert (short.prompt_rows, short.rows_seen) == (2, 2)
    assert short.drafter.matrix.known(torch.tensor([C, 3, 4])).tolist() == [False, True, True]
    long = start(
        [A, B, C, 3, 4, 5], target=ToyTarget(CIRCLE, costs=dear), tree="auto", max_new_tokens=100
    )
    assert long.prompt_rows == 5
    named = start([A, B, C, 3, 4, 5], target=ToyTarget(CIRCLE, costs=dear), max_new_tokens=2)
    assert named.prompt_rows == 5  # a tree of the user's own has no costs to go by


def test_a_hot_start_keeps_the_rows():
    drafter = TokenRecycling(CandidateMatrix(10, 3))
    record(start([A], drafter=drafter))
    assert start([A], drafter=drafter).step().path == (1, 3)


def test_a_filler_is_never_accepted_by_accident():
    # After a comes a: the filler of an unseen node is a too, and agrees with the choice.
    step = start([A], table={A: [A]}).step()
    assert step.choices[0] == A
    assert step.tokens[1] == A
    assert step.path == ()
    assert step.statuses[1] == "unseen"


def test_every_scored_row_is_overwritten_rejected_ones_too():
    session = start([A, B, C, A])
    step = session.step()
    assert step.statuses[2] == "rejected"
    assert {r.token for r in step.rows} == {A, B, C}
    # Rewriting what was there is told as kept.
    assert step.rows[0].changes == ("kept", "kept", "kept")


@pytest.mark.parametrize("limit", range(1, 9))
def test_it_stops_at_the_limit_and_not_a_token_later(limit):
    session = start([A, B, C, A], max_new_tokens=limit)
    trace = record(session)
    assert trace.text == "bcabcabca"[:limit]
    assert trace.stop_reason == "max_new_tokens"
    assert session.target.length == 4 + limit - 1
    assert trace.steps[-1].stop == "max_new_tokens"


def test_it_stops_at_an_end_token_in_the_middle_of_a_path():
    session = start([A, B, C, A], target=ToyTarget(CIRCLE, eos=[C]))
    step = session.step()
    assert step.path == (1, 3)
    assert step.bonus is None
    assert step.emitted == (B, C)
    assert session.stop_reason == "eos"
    assert start(
        [A, B, C, A], target=ToyTarget(CIRCLE, eos=[C]), ignore_eos=True
    ).step().emitted == (B, C, A)


def test_a_node_cut_off_by_the_stop_is_not_on_the_path():
    step = start([A, B, C, A], target=ToyTarget(CIRCLE, eos=[B])).step()
    assert step.path == (1,)
    assert step.statuses == ("root", "accepted", "rejected", "rejected")


def test_it_stops_at_a_stop_string():
    session = start([A, B, C, A], stop=("ca",))
    trace = record(session)
    assert trace.text == "bca"
    assert trace.stop_reason == "stop_string"


def test_it_stops_at_the_models_length():
    trace = record(start([A, B, C, A], target=ToyTarget(CIRCLE, max_length=7)))
    assert trace.text == "bca"
    assert trace.stop_reason == "model_length"


def test_it_can_be_left_and_taken_up_again():
    session = start([A, B, C, A])
    for _ in session.run():
        break
    assert session.stop_reason is None
    rest = list(session.run())
    assert session.stop_reason == "max_new_tokens"
    assert [s.index for s in rest] == list(range(2, len(rest) + 2))
    with pytest.raises(RuntimeError):
        session.step()


def test_bad_prompts_are_refused():
    with pytest.raises(PromptError, match="empty"):
        start([])
    with pytest.raises(PromptError, match="shorten it by 3"):
        start([A] * 9, target=ToyTarget(CIRCLE, max_length=7))
    with pytest.raises(PromptError, match="outside"):
        start([10])


@pytest.mark.parametrize(
    "bad",
    [
        {"k": 0},
        {"k": 33},
        {"k": 2.5},
        {"k": True},
        {"max_new_tokens": 0},
        {"max_new_tokens": -1},
        {"max_new_tokens": 10**9},
        {"max_new_tokens": None},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": "hot"},
        {"temperature": 1e-9},
        {"top_p": 0.0},
        {"top_p": 1.5, "temperature": 1.0},
        {"top_p": 0.9},
        {"top_k": 5},
        {"top_k": -1},
        {"seed": -1},
        {"stop": ("",)},
    ],
)
def test_bad_settings_are_refused_in_one_sentence(bad):
    with pytest.raises(SettingsError) as error:
        Settings(**bad)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_settings_that_do_not_fit_each_other_are_refused():
    with pytest.raises(SettingsError, match="no drafter “oracle”"):
        Session(ToyTarget(CIRCLE), Settings(drafter="oracle"))
    with pytest.raises(TemplateError, match="needs k"):
        Session(ToyTarget(CIRCLE), Settings(tree="paper", k=4))
    with pytest.raises(SettingsError, match="only 10 tokens"):
        Session(ToyTarget(CIRCLE), Settings(k=11))
    with pytest.raises(SettingsError, match="k = 3"):
        Session(
            ToyTarget(CIRCLE),
            Settings(k=4, tree="chain-4"),
            drafter=TokenRecycling(CandidateMatrix(10, 3)),
        )


def test_one_forward_pass_a_step():
    session = start([A])
    trace = record(session)
    assert session.target.passes == len(trace.steps) == session.steps


@st.composite
def costs(draw):
    more = draw(st.lists(st.floats(0, 30), min_size=1, max_size=4))
    return CostCurve(
        tuple(8 * n for n in range(len(more) + 1)), tuple(accumulate(more, initial=10.0))
    )


@st.composite
def runs(draw):
    size = draw(st.integers(4, 9))
    follower = st.lists(st.integers(0, size - 1), min_size=1, max_size=4, unique=True)
    table = {t: draw(follower) for t in range(size)}
    paths = {(draw(st.integers(0, 2)),) for _ in range(3)}
    for _ in range(8):
        paths.add((*draw(st.sampled_from(sorted(paths))), draw(st.integers(0, 2))))
    closed = {p[:n] for p in paths for n in range(1, len(p) + 1)}
    return (
        size,
        table,
        draw(st.sampled_from([TreeTemplate.from_paths("any", closed), "auto"])),
        draw(st.sampled_from(sorted(DRAFTERS))),
        draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=12)),
        draw(st.integers(1, 25)),
        draw(st.sampled_from([0.0, 0.7, 2.0])),
        draw(st.sets(st.integers(0, size - 1), max_size=1)),
        draw(costs()),
    )


@settings(max_examples=150, deadline=None)
@given(runs())
def test_any_tree_and_drafter_writes_what_plain_decoding_writes(run):
    size, table, tree, drafter, prompt, limit, temperature, eos, curve = run
    common = {"k": 3, "tree": tree, "max_new_tokens": limit, "temperature": temperature, "seed": 7}

    def trace_of(name):
        return record(
            Session(
                ToyTarget(table, size, eos=eos, costs=curve), Settings(drafter=name, **common)
            ).start(prompt)
        )

    plain, trace = trace_of("none"), trace_of(drafter)
    assert trace.output_ids == plain.output_ids
    assert trace.stop_reason == plain.stop_reason
    assert all(len(s.emitted) == 1 for s in plain.steps)
    committed = len(prompt)
    for step in trace.steps:
        assert step.committed == committed
        committed += len(step.emitted)
        assert step.cached == committed - 1
        assert step.emitted
        assert not set(step.path) & set(step.unseen)
