"""recycling_plus, story by story on small numbers: which source answers, what is expected,
forgotten and kept.
"""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.toy import FLAT, ToyTarget
from tr_core import Session, Settings
from tr_core.budget.budget import StepOutcome
from tr_core.budget.cost_curve import CostCurve, LiveCurve
from tr_core.budget.grown_tree_budget import GrownTreeBudget
from tr_core.decoding.recording import record
from tr_core.drafters import registry
from tr_core.drafters.base import Lesson
from tr_core.drafters.recycling_plus import RecyclingPlus
from tr_core.drafters.recycling_plus.kernels import features
from tr_core.errors import MatrixError, SettingsError
from tr_core.trees import templates

A, B, C, D, E, F = range(6)
V = 10
GROWERS = [name for name, entry in registry.DRAFTERS.items() if entry.grows]
CIRCLE = {A: [B, C, D], B: [C, A, E], C: [A, B, F]}


def rows(*lines):
    """(n, k) candidates and probabilities of (candidate, probability) lists."""
    ids = np.array([[t for t, _ in line] for line in lines], dtype=np.int32)
    return ids, np.array([[p for _, p in line] for line in lines], dtype=np.float32)


def taught(prompt, lines, k=2, **options):
    """A drafter that has read a prompt; ``lines`` are what the model said after all but its last
    token.
    """
    drafter = RecyclingPlus(V, k, **options)
    drafter.begin()
    drafter.learn_prompt(prompt, 0, *rows(*lines))
    return drafter


def paths(draft):
    """Letters from below the root to each node → where it came from, (kind, key, place)."""
    tokens, parents = draft.tokens.tolist(), draft.template.parents
    texts = [""]
    for node in range(1, len(tokens)):
        texts.append(texts[parents[node]] + "abcdefghij"[tokens[node]])
    return {t: (s.kind, s.key, s.place) for t, s in zip(texts[1:], draft.sources[1:], strict=True)}


def chances(draft):
    """The same → the chance."""
    return dict(zip(paths(draft), draft.expected[1:], strict=True))


def passed(draft, context, choices, path):
    """What a pass tells in which the model chose ``choices`` and was sure of them."""
    said = rows(*([(c, 0.9), ((c + 1) % V, 0.05)] for c in choices))
    return Lesson(
        context, draft.template.parents, tuple(draft.tokens.tolist()), choices, *said, path, True
    )


def once_more(drafter, context, choice):
    """A pass in which the model chose this after the text, as sure of all else as before."""
    draft = drafter.propose(context, templates.chain(2))
    nodes = draft.template.nodes + 1
    said = rows(*[[(B, 0.9), (8, 0.05)]] * nodes)
    drafter.learn(
        Lesson(
            context,
            draft.template.parents,
            tuple(draft.tokens.tolist()),
            (choice,) * nodes,
            *said,
            (),
            True,
        )
    )


def test_a_pair_answers_before_a_token_and_a_token_where_no_pair_is_known():
    # After “ab” the model said c, after “db” e: b's own row holds the later one alone, the pairs
    # keep both.
    said = [
        [(B, 0.9), (F, 0.05)],
        [(C, 0.9), (F, 0.05)],
        [(D, 0.9), (F, 0.05)],
        [(E, 0.9), (F, 0.05)],
    ]
    drafter = taught([A, B, D, B, E], said, lookup=False)
    drawn = paths(drafter.propose([E, A, B], templates.chain(8)))
    assert drawn["c"] == ("row", 2, -1)
    assert drawn["e"] == ("row", 1, -1)  # the token's row adds what the pair's lacks
    assert paths(drafter.propose([E, C, B], templates.chain(1))) == {"e": ("row", 1, -1)}
    assert paths(drafter.propose([A, B, D, B], templates.chain(1))) == {"e": ("row", 3, -1)}
    single = taught([A, B, D, B, E], said, keys=1, lookup=False)
    assert paths(single.propose([E, A, B], templates.chain(1))) == {"e": ("row", 1, -1)}


def test_the_spine_is_copied_from_the_text_and_rows_branch_off_it():
    # “abcdefab” so far; everywhere the model held i for nearly as likely as what was written.
    prompt = [A, B, C, D, E, F, A, B]
    said = [[(t, 0.5), (8, 0.45)] for t in prompt[1:]]
    drawn = paths(taught(prompt, said).propose(prompt, templates.chain(14)))
    # Two tokens of text stood before c at place 2, and a row under the same two: the row answers.
    # From there on the look-up has seen more, and copies on; where it reaches the end of the text
    # it goes on in its own draft.
    assert drawn.pop("c") == ("row", 2, -1)
    assert drawn.pop("cd") == ("row", 3, -1)
    spine = {text: source for text, source in drawn.items() if source[0] == "lookup"}
    assert spine == {
        "cdefabcdefabcdef"[: n + 3]: ("lookup", n + 4, n + 4) for n in range(len(spine))
    }
    assert len(spine) > 5
    assert drawn == spine
    # With less faith in copies the tree takes in what rows know beside the spine too.
    doubting = [
        w - 2 * (features.THIS_COPY <= n < features.SHORTER_COPY)
        for n, w in enumerate(features.PRIORS)
    ]
    drawn = paths(taught(prompt, said, priors=doubting).propose(prompt, templates.chain(8)))
    assert drawn == {
        "c": ("row", 2, -1),
        "i": ("row", 2, -1),
        "cd": ("row", 3, -1),
        "ci": ("row", 3, -1),
        "cde": ("lookup", 4, 4),
        "cdef": ("lookup", 5, 5),
        "cdefa": ("lookup", 6, 6),
        "ii": ("usual", 0, -1),
    }
    bare = paths(taught(prompt, said, lookup=False).propose(prompt, templates.chain(8)))
    assert {kind for kind, _, _ in bare.values()} == {"row"}
    only = RecyclingPlus(V, 2)
    assert paths(only.propose(prompt, templates.chain(3))) == {
        "c": ("lookup", 2, 2), "cd": ("lookup", 3, 3), "cde": ("lookup", 4, 4),
    }  # fmt: skip


def test_a_new_text_is_not_copied_from_the_old_one_but_its_rows_stay():
    prompt = [A, B, C, A]
    drafter = taught(prompt, [[(t, 0.9), (8, 0.05)] for t in prompt[1:]])
    drafter.propose(prompt, templates.chain(4))
    drafter.begin()
    assert set(paths(drafter.propose([E, A], templates.chain(2))).values()) == {
        ("row", 1, -1),
        ("row", 2, -1),
    }


def test_failures_lower_what_is_expected_and_hits_raise_it():
    prompt = [A, B, C, A]
    drafter = taught(prompt, [[(t, 0.9), (8, 0.05)] for t in prompt[1:]], lookup=False)
    at_first = chances(drafter.propose(prompt, templates.chain(2)))["b"]
    for _ in range(40):
        once_more(drafter, prompt, E)
    failed = chances(drafter.propose(prompt, templates.chain(2)))["b"]
    assert failed < at_first / 2
    for _ in range(120):
        once_more(drafter, prompt, B)
    assert chances(drafter.propose(prompt, templates.chain(2)))["b"] > failed * 2
    # With rate 0 weights never leave their priors.
    still = taught(prompt, [[(t, 0.9), (8, 0.05)] for t in prompt[1:]], rate=0)
    for _ in range(50):
        once_more(still, prompt, B)
    assert tuple(still.weights) == features.PRIORS


def test_it_tells_what_it_knew_at_the_end_of_the_path():
    prompt = [A, B, C, A]
    drafter = taught(prompt, [[(t, 0.9), (8, 0.05)] for t in prompt[1:]], lookup=False)
    draft = drafter.propose(prompt, templates.chain(1))
    assert paths(draft) == {"b": ("row", 1, -1)}
    # The model agrees on b, and then says c, which b's row holds first; the row of “ab” had held it
    # too.
    learned = drafter.learn(passed(draft, prompt, (B, C), (1,)))
    assert (learned.held.candidates, learned.held.rank) == (2, 0)
    assert [(r.token, r.node, r.before, r.after) for r in learned.rows] == [
        (A, 0, (B, 8), (B, C)),
        (B, 1, (C, 8), (C, D)),
    ]
    drafter.begin()  # a new text: nothing is known of e, and no token is frequent yet
    draft = drafter.propose([E], templates.chain(1))
    learned = drafter.learn(passed(draft, [E], (F,), ()))
    assert (learned.held.candidates, learned.held.rank, learned.rows[0].before) == (0, None, ())


def test_where_nothing_is_known_frequent_tokens_of_the_text_are_guessed():
    # The model held a likely everywhere, b now and then; of i nobody has heard.
    said = [[(A, 0.6), (B, 0.2)], [(A, 0.5), (C, 0.1)], [(A, 0.7), (B, 0.2)]]
    drafter = taught([A, B, C, 8], said, lookup=False)
    draft = drafter.propose([A, B, C, 8], templates.chain(12))
    drawn = paths(draft)
    assert {text: drawn[text] for text in "ab"} == {"a": ("usual", 0, -1), "b": ("usual", 0, -1)}
    assert drawn["aa"] == ("row", 1, -1)  # below a guess rows answer
    assert chances(draft)["a"] > 2 * chances(draft)["b"]
    # What was guessed is corrected like all else, apart from rows.
    weight = drafter.weights[features.FREQUENT]
    drafter.learn(passed(draft, [A, B, C, 8], (D, *[E] * draft.template.nodes), ()))
    assert drafter.weights[features.FREQUENT] < weight
    # Another text has frequent tokens of its own.
    drafter.begin()
    assert paths(drafter.propose([F], templates.chain(3))) == {}
    # It travels, and what cannot be so is refused.
    drafter.learn_prompt([A, B, C, 8], 0, *rows(*said))
    again = RecyclingPlus(V, 2)
    again.restore(drafter.state())
    assert again.state() == drafter.state()
    assert chances(again.propose([F], templates.chain(3))) == chances(
        drafter.propose([F], templates.chain(3))
    )
    rows_kept = drafter.state()["keys"]
    for key in (0, (V + 1) ** 3, 2**62, 2**63 - 1):
        with pytest.raises(MatrixError, match="damaged"):
            again.restore(drafter.state() | {"keys": [key, *rows_kept[1:]]})
    for broken in (
        {"steps": [-1]},
        {"steps": [2**62]},
        {"sums": [1.0, 0.0, 3.0]},
        {"usual": [99]},
        {"guessed": [A]},
        {"mass": [float("nan")]},
    ):
        with pytest.raises(MatrixError, match="damaged"):
            again.restore(drafter.state() | broken)


@st.composite
def toy_tables(draw):
    tokens = st.integers(0, V - 1)
    return {t: draw(st.lists(tokens, min_size=3, max_size=3, unique=True)) for t in range(V)}, draw(
        st.lists(tokens, min_size=1, max_size=12)
    )


def expected_by_path(draft):
    """Where each node stands, as the tokens from the root on, with its chance."""
    tokens, parents, listed = draft.tokens.tolist(), draft.template.parents, [()]
    for node in range(1, len(tokens)):
        listed.append((*listed[parents[node]], tokens[node]))
    return dict(zip(listed, draft.expected, strict=True))


@pytest.mark.parametrize("name", GROWERS)
@settings(max_examples=40, deadline=None)
@given(case=toy_tables(), steps=st.integers(0, 6))
def test_chances_are_chances_and_a_small_tree_is_the_beginning_of_a_large_one(name, case, steps):
    table, prompt = case
    session = Session(
        ToyTarget(table), Settings(drafter=name, tree="24", k=3, max_new_tokens=60)
    ).start(prompt)
    for _ in range(steps):
        if session.stop_reason is None:
            session.step()
    context = session._context
    large = session.drafter.propose(context, templates.chain(40))
    tree = expected_by_path(large)
    assert len(tree) == large.template.nodes + 1 <= 41
    assert all(0 <= chance <= 1 for chance in tree.values())
    assert all(tree[path] <= tree[path[:-1]] for path in tree if path)
    for parent in tree:
        assert (
            sum(c for path, c in tree.items() if path and path[:-1] == parent)
            <= tree[parent] + 1e-9
        )
    small = expected_by_path(session.drafter.propose(context, templates.chain(8)))
    # The nodes of the small tree are the likeliest of the large one.
    assert small.keys() <= tree.keys()
    assert (
        min(small.values())
        >= max((c for p, c in tree.items() if p not in small), default=0) - 1e-12
    )


@pytest.mark.parametrize("name", GROWERS)
def test_output_is_the_models_own_and_a_number_is_the_budget(name):
    plain = record(
        Session(ToyTarget(CIRCLE), Settings(drafter="none", k=3, max_new_tokens=30)).start([A])
    )
    for tree in ("16", "auto", "small-8", 5):
        run = Session(
            ToyTarget(CIRCLE), Settings(drafter=name, tree=str(tree), k=3, max_new_tokens=30)
        ).start([A])
        trace = record(run)
        assert trace.output_ids == plain.output_ids
        assert len(trace.steps) < 25
        nodes = [len(s.tokens) - 1 for s in trace.steps]
        assert max(nodes) <= {"16": 16, "small-8": 8, 5: 5}.get(tree, 80)
        assert all(len(s.expected) == len(s.tokens) and s.expected[0] == 1 for s in trace.steps)
        assert all((s.budget is not None) == (tree == "auto") for s in trace.steps)
        assert all(s.budget is None or s.budget.chosen == len(s.tokens) - 1 for s in trace.steps)


def test_auto_drafts_as_many_nodes_as_are_worth_their_time_at_the_speed_of_the_run():
    growth = GrownTreeBudget(FLAT)  # 10 ms, and 0.125 ms a node
    growth.next(A)
    assert growth.choice().reason == "unseen"  # nothing was offered
    # At first a run is believed to be 1.8 × as fast as plain decoding: 10 ms must bring 1.8 tokens,
    # a node 0.0225. And chances count for 0.6 before they have shown how right they are, of the
    # third and fourth node for 0.39.
    assert [growth.admits(c) for c in (0.9, 0.5, 0.4)] == [True, True, True]
    assert growth.decide() == 2  # of 3 nodes kernels would have to be made
    assert growth.admits(0.3)
    assert growth.decide() == 4
    why = growth.choice()
    assert (why.reason, why.sizes, why.ms, why.rate) == (
        "best",
        (0, 2, 4),
        (10.0, 10.25, 10.5),
        0.18,
    )
    assert why.expected == (
        1.0,
        pytest.approx(1 + 0.6 * 1.4),
        pytest.approx(1 + 0.6 * 1.4 + 0.39 * 0.7),
    )
    # What the rows of rejected nodes save later: 0.12 tokens for a node, halved every six places.
    assert why.later == (
        0.0,
        *(
            pytest.approx(sum(0.12 * 0.5 ** (n / 6) for n in range(1, m + 1)), abs=1e-4)
            for m in (2, 4)
        ),
    )


def test_auto_drafts_no_more_where_nothing_was_ever_right_until_that_is_forgotten():
    growth = GrownTreeBudget(CostCurve((0, 80), (10.0, 90.0)))  # a tenth of a plain step a node

    def nodes():
        growth.next(A)
        while growth.admits(0.3):
            pass
        return growth.decide()

    assert nodes() > 0
    for _ in range(40):
        learn(growth, [1.0, *[0.5] * 4], ())
    assert growth.trust[0] < 0.1
    assert (nodes(), growth.choice().reason) == (0, "plain")
    for _ in range(200):
        learn(growth, [1.0], ())  # plain decoding
    assert nodes() > 0


def learn(growth, expected, path):
    """A step over a draft whose nodes had these chances."""
    growth.observe(StepOutcome(len(expected) - 1, path, (), expected=expected))


class DoubtfulCosts:
    """Costs that may be wrong by ``doubts``, by nodes; 0.1 elsewhere."""

    def __init__(self, curve, doubts):
        self.curve, self.doubts = lambda: curve, doubts

    def doubt(self, nodes):
        return self.doubts.get(nodes, 0.1)


def next_draft(growth):
    """Size and reason of a draft whose nodes have a chance of 0.3 each; its first is right."""
    growth.next(A)
    while growth.admits(0.3):
        pass
    growth.decide()
    why = growth.choice()
    learn(growth, [1.0, *[0.3] * growth.size], (1,) if growth.size else ())
    return why.chosen, why.reason


def test_a_size_whose_cost_is_in_doubt_is_tried_now_and_then():
    doubts = {8: 0.5}
    curve = CostCurve((0, 4, 8, 80), (10.0, 10.4, 20.0, 90.0))
    growth = GrownTreeBudget(DoubtfulCosts(curve, doubts))

    # 20 ms for 8 nodes are too much, 20 / e^0.5 = 12 would not be.
    assert [next_draft(growth) for _ in range(34)] == [
        (8, "probe"),
        *[(4, "best")] * 32,
        (8, "probe"),
    ]
    doubts[8] = 0.1
    growth.reprice()
    assert {next_draft(growth) for _ in range(10)} == {(4, "best")}


def test_where_the_best_size_is_in_doubt_a_step_is_plain_now_and_then():
    """All sizes are judged by what plain decoding costs, of which a run that always drafts learns
    nothing.
    """
    doubts = {4: 0.3}
    curve = CostCurve((0, 4, 80), (10.0, 10.4, 90.0))
    growth = GrownTreeBudget(DoubtfulCosts(curve, doubts))

    drafts = [next_draft(growth) for _ in range(17 + 33)]
    assert drafts == [*[(4, "best")] * 16, (0, "probe"), *[(4, "best")] * 32, (0, "probe")]
    doubts[4] = 0.1
    growth.reprice()
    assert {next_draft(growth) for _ in range(40)} == {(4, "best")}


def test_far_nodes_that_fail_leave_near_ones_their_trust():
    growth = GrownTreeBudget(FLAT)
    for _ in range(10):
        learn(growth, [1.0, 0.9, 0.8, *[0.7] * 30], (1, 2))
    near, *_, far, farthest = growth.trust
    assert near > 1.0 > 0.1 > far == farthest


def test_the_faster_a_run_the_less_a_poor_draft_gets_and_the_hosts_own_time_counts():
    def nodes(growth):
        growth.next(A)
        while growth.admits(0.055):
            pass
        return growth.decide()

    fast = GrownTreeBudget(FLAT)
    for _ in range(60):
        learn(fast, [1.0, *[0.9] * 8], tuple(range(1, 9)))
    new = GrownTreeBudget(FLAT).state()
    fast.restore(  # as trusting as the other
        msgspec.structs.replace(fast.state(), accepted=new.accepted, expected=new.expected)
    )
    assert fast.rate > 4 * GrownTreeBudget(FLAT).rate / 1.8
    assert nodes(fast) < nodes(GrownTreeBudget(FLAT))
    # A node that takes the host a millisecond must bring what the run emits in one, 0.18 tokens and
    # more.
    slow = GrownTreeBudget(LiveCurve(FLAT))
    for _ in range(100):
        slow.next(A)
        assert all(slow.admits(0.9) for _ in range(8))
        slow.observe(StepOutcome(8, range(1, 9), (), expected=[1.0, *[0.9] * 8], draft_ms=8.0))
    assert slow.state().node_ms == pytest.approx(1, abs=0.01)
    again = GrownTreeBudget(FLAT)
    assert again.admits(0.1)
    again.restore(msgspec.structs.replace(new, node_ms=slow.state().node_ms))
    again.next(A)
    assert not again.admits(0.1)


def test_rows_that_rejected_nodes_write_are_worth_nothing_where_plain_decoding_is_as_fast():
    """Two nodes bring a twelfth of a token, as told, and take a tenth of a plain step's time; more
    bring no more.
    """
    growth, sizes = GrownTreeBudget(CostCurve((0, 4, 80), (10.0, 12.0, 90.0))), []
    for step in range(200):
        growth.next(A)
        while growth.admits(0.04):
            pass
        sizes.append(growth.decide())
        right = sizes[-1] and step % 12 == 0
        learn(growth, [1.0, *[0.04] * sizes[-1]], (1,) if right else ())
    assert sizes[0] == 4, "a new run hopes for what rows will bring"
    assert set(sizes[-20:]) == {0}
    assert growth.trust[0] > 0.6, "the chances themselves are still believed"


def test_hot_start_from_a_file_goes_on_where_it_was(tmp_path: Path):
    def session(drafter):
        return Session(
            ToyTarget(CIRCLE), Settings(drafter="recycling_plus", tree="8", k=3), drafter=drafter
        )

    drafter = RecyclingPlus(V, 3)
    record(session(drafter).start([A, B]))
    path = tmp_path / "plus.safetensors"
    drafter.save(path, "toy")
    again = RecyclingPlus.load(path, "toy", V, torch.device("cpu"))
    assert again.rows_seen == drafter.rows_seen > 3
    assert again.state()["keys"] == drafter.state()["keys"]
    first, second = (session(d).start([B, C, A]) for d in (drafter, again))
    for one, other in zip(first.run(), second.run(), strict=True):
        assert (one.tokens, one.expected, one.sources) == (
            other.tokens,
            other.expected,
            other.sources,
        )
    hot, cold = (session(d).start([A]) for d in (again, RecyclingPlus(V, 3)))
    assert len(cold.step().emitted) == 1
    assert len(hot.step().emitted) > 1


@pytest.mark.parametrize("name", ["recycling_plus", "token_recycling_dynamic"])
def test_files_of_another_kind_are_refused_with_a_sentence(name, tmp_path: Path):
    # Drafters that keep the same rows may share a format; these do not.
    kinds = {
        n: registry.DRAFTERS[n]
        for n in ("recycling_plus", "token_recycling_dynamic", "token_recycling")
    }
    files = {}
    for other, entry in kinds.items():
        files[other] = tmp_path / other
        entry.create(V, 3, torch.device("cpu")).save(files[other], "toy")
    load = kinds[name].load
    load(files[name], "toy", V, torch.device("cpu"))
    for other in kinds.keys() - {name}:
        with pytest.raises(MatrixError, match="was not saved by this drafter"):
            load(files[other], "toy", V, torch.device("cpu"))
    with pytest.raises(MatrixError, match="belongs to another tokenizer"):
        load(files[name], "other", V, torch.device("cpu"))
    with pytest.raises(MatrixError, match="not a readable matrix file"):
        load(tmp_path / "none", "toy", V, torch.device("cpu"))
    files[name].write_bytes(files[name].read_bytes()[:50])
    with pytest.raises(MatrixError, match="not a readable matrix file"):
        load(files[name], "toy", V, torch.device("cpu"))


def test_a_file_of_ids_out_of_range_is_damaged(tmp_path: Path):
    drafter = taught([A, B, C, A], [[(t, 0.9), (77, 0.05)] for t in (B, C, A)], frequent=False)
    drafter.save(tmp_path / "x", "toy")
    with pytest.raises(MatrixError, match="damaged"):
        RecyclingPlus.load(tmp_path / "x", "toy", V, torch.device("cpu"))


def test_k_must_fit():
    with pytest.raises(SettingsError, match="k = 2, the settings ask for k = 3"):
        Session(
            ToyTarget(CIRCLE), Settings(drafter="recycling_plus", k=3), drafter=RecyclingPlus(V, 2)
        )
    for name in ("recycling_plus", "token_recycling_dynamic"):
        with pytest.raises(MatrixError, match="k must be 1 … 10"):
            registry.create(name, V, 11, torch.device("cpu"))
