"""The measured budget, told with made-up costs and statistics: no clock anywhere."""

import dataclasses

import pytest

from tests.support.hand_runs import A, B, C
from tests.support.toy import CIRCLE, FLAT, ToyTarget
from tr_core import Session, Settings, TreeTemplate
from tr_core.budget.budget import StepOutcome
from tr_core.budget.constants import EVERY, LONGEST_SPINE, MEASURED, SIZES
from tr_core.budget.cost_curve import CostCurve
from tr_core.budget.template_budget import Acceptance, TemplateBudget
from tr_core.decoding.measure_cost import CostBook, measure
from tr_core.decoding.recording import record

FREE = CostCurve((0, 80), (10.0, 10.0))
STEEP = CostCurve((0, 80), (10.0, 810.0))  # every node costs a whole plain step


def paths(template):
    found = {0: ()}
    for node in range(1, template.nodes + 1):
        found[node] = (*found[template.parents[node]], template.ranks[node])
    return sorted(found.values())[1:]


def choose(budget, root=A):
    """The next template, and why."""
    return budget.next(root), budget.choice()


def learn(budget, tokens, ranks, **more):
    """A step whose draft was as chosen last, and went on to its end after a rank 0."""
    drafted = budget.choice().chosen
    path = range(1, len(tokens) + (drafted if ranks[-1] == 0 else 0))
    budget.observe(StepOutcome(drafted, path, tokens, ranks, **more))


def choice_after(budget, ranks, steps, root=A):
    """The choice for ``root`` after that many steps of roots of which nothing else was known."""
    for fresh in range(100, 100 + steps):
        budget.next(fresh)
        learn(budget, [fresh] * len(ranks), ranks)
    return choose(budget, root)


# -- what a step costs


def test_cost_is_straight_between_measured_sizes_and_beyond_the_last():
    curve = CostCurve((0, 4, 8), (10.0, 12.0, 20.0))
    assert [curve.at(n) for n in (0, 2, 4, 6, 8, 12)] == [10, 11, 12, 16, 20, 28]
    assert CostCurve((0,), (10.0,)).at(3) == 40


def test_a_busy_moment_neither_raises_nor_bends_the_curve():
    calm = {0: [10, 10, 10, 10, 10], 8: [12, 12, 12, 12, 12], 80: [30, 30, 30, 30, 30]}
    busy = {0: [10, 10, 10, 90, 95], 8: [12, 12, 12, 70, 12], 80: [300, 30, 30, 30, 300]}
    assert CostCurve.fit(busy) == CostCurve.fit(calm) == CostCurve((0, 8, 80), (10, 12, 30))


def test_times_that_fall_with_more_nodes_are_levelled():
    assert CostCurve.fit({0: [5], 2: [9], 4: [7], 8: [8.5]}).ms == (5, 8, 8, 8.5)
    assert CostCurve.fit({8: [1], 4: [2], 0: [3]}) == CostCurve((0, 4, 8), (2, 2, 2))


@pytest.mark.parametrize(
    ("nodes", "ms"),
    [((), ()), ((1,), (1.0,)), ((0, 2, 2), (1.0, 1.0, 1.0)), ((0, 2), (2.0, 1.0)), ((0,), (0.0,))],
)
def test_what_is_no_curve_is_refused(nodes, ms):
    with pytest.raises(ValueError, match=r"cost curve|takes some time"):
        CostCurve(nodes, ms)


class Clock:
    """Seconds that pass by the number of nodes just scored, and nothing else."""

    def __init__(self, target, seconds):
        self.target, self.seconds, self.now, self.passes = target, seconds, 0.0, 0

    def __call__(self):
        scored = self.target.last_fork
        if scored is not None and scored.passes > self.passes:
            self.passes = scored.passes
            self.now += self.seconds(scored.last_nodes)
        return self.now


def test_what_is_measured_are_the_steps_of_a_session():
    target = ToyTarget({}, 30, max_length=60)
    curve = measure(
        target, Settings(tree="auto"), Clock(target, lambda nodes: 0.001 + 0.0001 * nodes)
    )
    assert curve.nodes == tuple(sorted(MEASURED))
    assert curve.ms == pytest.approx([1 + 0.1 * n for n in sorted(MEASURED)])
    assert target.length == target.passes == 0  # a fork did the work


def test_a_slow_model_is_measured_at_two_sizes_and_let_go():
    target = ToyTarget({}, 30)
    curve = measure(target, Settings(), Clock(target, lambda nodes: 2.0 + nodes))
    assert curve == CostCurve((0, 8), (2000, 10000))
    assert target.last_fork.passes == 2


def test_all_forks_share_one_measurement_for_each_kind_of_step():
    target, book = ToyTarget({}, 30), CostBook()
    settings = Settings()
    curve = book.curve(target, settings)
    fork = target.last_fork
    assert (
        book.curve(target.fork(), dataclasses.replace(settings, max_new_tokens=5, stop=("a",)))
        is curve
    )
    assert book.curve(target, dataclasses.replace(settings, trace=False)) is not curve
    assert fork is not target.last_fork


# -- what is accepted


def test_chances_start_at_the_prior_and_follow_what_is_seen():
    prior, seen = (0.5, 0.25), Acceptance([0.0, 0.0])
    assert seen.chances(prior) == [0.5, 0.25]
    for _ in range(400):
        seen.observe(1)
    first, second = seen.chances(prior)
    assert first == pytest.approx(
        0.5 * 6 / 70, abs=0.01
    )  # 64 remembered observations against a prior worth 6
    assert second == pytest.approx((64 + 1.5) / 70, abs=0.01)
    for _ in range(400):
        seen.observe(None)
    assert max(seen.chances(prior)) < 0.05


# -- what is chosen


def test_the_choice_is_the_size_with_most_tokens_per_millisecond():
    template, why = choose(TemplateBudget(CostCurve((0, 80), (10.0, 50.0)), [0.5, 0.25]))
    # ½, ¼ beside and below it, ⅛ three times, then 1/16; what lies beyond 8 nodes could not pay and
    # is not weighed.
    assert (why.sizes, why.ms) == ((0, 2, 4, 6, 8), (10, 11, 12, 13, 14))
    assert why.expected == (1, 1.75, 2.125, 2.375, 2.5)
    # 0.1, 0.159, 0.177, 0.183 and 0.179 a millisecond.
    assert (why.chosen, why.reason) == (6, "best")
    assert template.nodes == 6


def test_the_tree_has_the_most_probable_nodes():
    budget = TemplateBudget(CostCurve((0, 4, 5, 80), (10.0, 10.0, 100.0, 1000.0)), [0.5, 0.1, 0.3])
    template, _ = choose(budget)
    # ½, then ½·½ below it, then 0.3 beside it: rank 2 comes before rank 1, and depth before width.
    assert paths(template) == [(0,), (0, 0), (0, 2), (2,)]


def test_nothing_is_drafted_where_nothing_pays():
    template, why = choose(TemplateBudget(STEEP, [0.5, 0.1]))
    assert (template.nodes, why.chosen, why.reason) == (0, 0, "plain")


def test_free_nodes_are_all_taken():
    assert choose(TemplateBudget(FREE, [0.5, 0.1]))[0].nodes == SIZES[-1]


def test_it_gives_up_drafting_and_comes_back_without_having_drafted():
    budget = TemplateBudget(FLAT, [0.4, 0.1])
    assert choose(budget)[1].chosen > 0
    template, why = choice_after(budget, [None], 400)
    assert (template.nodes, why.reason) == (0, "plain")
    # Plain decoding still tells where the choice stood in the root's row.
    template, why = choice_after(budget, [0], 100)
    assert template.nodes > 0
    assert why.reason in {"best", "kept"}


def test_what_is_right_all_the_way_down_gives_a_deep_tree():
    template, _ = choice_after(TemplateBudget(FLAT, [0.4, 0.1]), [0, 0, 0, 0, 0], 100)
    assert template.depth >= 6
    assert set(template.ranks[1:]) == {0}


def test_a_shape_nearly_as_good_is_kept():
    budget = TemplateBudget(FLAT, [0.5, 0.2])
    first = budget.next(A)
    learn(budget, [B], [0])
    template, why = choose(budget)
    assert why.reason == "kept"
    assert template is first


def test_an_unseen_root_gets_no_nodes_and_says_nothing_about_the_others():
    budget = TemplateBudget(FREE, [0.5, 0.2])
    budget.root_seen = False
    template, why = choose(budget)
    assert (template.nodes, why.chosen, why.reason) == (0, 0, "unseen")
    for _ in range(EVERY):
        learn(budget, [A], [None], root_seen=False)
    budget.root_seen = True
    assert choose(budget) == choose(TemplateBudget(FREE, [0.5, 0.2]))


def test_a_row_that_was_right_the_last_time_gets_a_tree_of_its_own():
    budget = TemplateBudget(FLAT, [0.4, 0.1])
    for _ in range(50):  # after a its row is right, after b it never is
        for root, rank in ((A, 0), (B, None)):
            budget.next(root)
            learn(budget, [root], [rank])
    assert (choose(budget, A)[1].spine, choose(budget, B)[1].spine) == (1, 0)
    assert choose(budget, A)[1].expected[1] > 2
    assert choose(budget, B)[1].expected[1] < 1.2
    learn(budget, [A], [1])
    assert choose(budget, A)[1].spine == 0


def test_the_spine_follows_first_candidates_as_far_as_they_were_right():
    budget = TemplateBudget(FLAT, [0.4, 0.1])
    learn(budget, [A, B, C], [0, 0, 1], rows=[(A, B), (B, C), (C, A)])
    assert [choose(budget, root)[1].spine for root in (A, B, C)] == [2, 1, 0]
    learn(budget, [C], [0], rows=[(C, C)])
    assert choose(budget, A)[1].spine == LONGEST_SPINE
    # The first candidates lead where they were last written to lead.
    learn(budget, [B], [None], rows=[(A, 7)])
    assert choose(budget, A)[1].spine == 1


def test_a_long_spine_is_drafted_as_a_chain():
    budget = TemplateBudget(FLAT, [0.4, 0.1])
    for _ in range(9):
        budget.next(A)
        learn(budget, [A, B, C], [0, 0, 0], rows=[(A, B), (B, C), (C, A)])
    template, why = choose(budget)
    assert why.spine == LONGEST_SPINE
    assert template.depth >= 6
    assert template.ranks[1:7] == (0,) * 6


# -- in a run


def test_a_cold_run_decodes_plainly_until_a_row_is_known():
    trace = record(Session(ToyTarget(CIRCLE), Settings(k=3, max_new_tokens=200)).start([A]))
    assert [s.budget.reason for s in trace.steps[:3]] == [
        "unseen"
    ] * 3  # a, b, c for the first time
    assert all(s.budget.reason != "unseen" for s in trace.steps[3:])
    assert all(len(s.tokens) == s.budget.chosen + 1 for s in trace.steps)
    assert (trace.info.tree, trace.info.cost) == ("auto", {0: 10.0, 80: 20.0})
    assert trace.text == ("bca" * 67)[:200]
    # Always right: chains of ever more nodes.
    assert len(trace.steps[-2].path) > len(trace.steps[3].path)


def test_the_prompts_rows_are_known_at_the_first_step():
    session = Session(ToyTarget(CIRCLE), Settings(k=3)).start([A, B, A])
    assert session.step().budget.reason == "best"
    assert (
        Session(ToyTarget(CIRCLE), Settings(k=3)).start([A, B, C]).step().budget.reason == "unseen"
    )


def test_a_run_that_is_not_worth_drafting_is_plain_decoding():
    trace = record(Session(ToyTarget(CIRCLE, costs=STEEP), Settings(k=3)).start([A, B, C, A]))
    assert {s.budget.chosen for s in trace.steps} == {0}


def test_a_new_start_forgets_what_the_last_text_was_like():
    session = Session(ToyTarget(CIRCLE), Settings(k=3, max_new_tokens=60))
    first = record(session.start([A, B, C, A])).steps[0]
    assert session.start([A, B, C, A]).step().budget == first.budget


def test_prompt_lookup_drafts_longer_chains_while_they_are_right():
    circle = {t: [(t + 1) % 30] for t in range(30)}
    settings = Settings(drafter="prompt_lookup", k=3, max_new_tokens=300)
    trace = record(Session(ToyTarget(circle, 30), settings).start([*range(30), 0]))
    assert trace.steps[-2].budget.chosen > trace.steps[0].budget.chosen >= 2


def test_prompt_lookup_goes_on_with_short_chains_where_nothing_pays():
    target = ToyTarget(CIRCLE, costs=STEEP)
    trace = record(Session(target, Settings(drafter="prompt_lookup", k=3)).start([A, B, C, A]))
    assert {s.budget.chosen for s in trace.steps} == {2}
    assert {s.budget.reason for s in trace.steps} == {"plain"}


@pytest.mark.parametrize("tree", ["small-8", TreeTemplate.from_child_counts("auto", [[2]])])
def test_a_tree_of_the_users_own_is_left_alone(tree):
    trace = record(Session(ToyTarget(CIRCLE), Settings(tree=tree)).start([A]))
    assert trace.info.cost == {}
    assert {s.budget for s in trace.steps} == {None}


def test_plain_decoding_has_no_budget():
    trace = record(Session(ToyTarget(CIRCLE), Settings(drafter="none")).start([A]))
    assert {s.budget for s in trace.steps} == {None}
