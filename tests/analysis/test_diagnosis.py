"""Why paths ended: runs made by hand whose answers are known, and random runs held against the
engine itself.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import viz_runs
from tests.support.hand_runs import LETTERS, A, B, C, D, E, F, run, step
from tests.support.toy import ToyTarget
from tr_core import Session, Settings, TreeTemplate
from tr_core.analysis import diagnosis_report as report
from tr_core.analysis.csv_tables import nodes_csv, steps_csv
from tr_core.analysis.diagnosis import REASONS, diagnose
from tr_core.analysis.replay import Replay
from tr_core.analysis.row_history import RowHistory, Write
from tr_core.analysis.wording import REASON_WORDS, explain, explain_addition, explain_what_if, namer
from tr_core.decoding.recording import record
from tr_core.drafters.registry import DRAFTERS
from tr_core.trace import RunTrace


def only(trace, number=1):
    """The diagnosis of one step, and its two sentences with plain letters for names."""
    d = diagnose(trace).steps[number - 1]
    return d, explain(d, lambda t: LETTERS[t].upper())


def stop_after(token, root):
    """A last step that gives the text one more token, so that the one before could have gained by
    it.
    """
    return step([], [token], {root: ((), (token,))}, root=root, stop="max_new_tokens")


# a ── ? ── ?      a's row was never written, the model goes on with b
def test_row_never_seen():
    first = step([(0, 0, A), (1, 0, A)], [B, A, A], {A: ((), (B, C, D))}, root=A, unseen=[1, 2])
    d, (what, remedy) = only(run([A], first, stop_after(C, B)))
    assert (d.reason, d.end, d.after, d.token, d.row, d.rank) == (
        "row_never_seen",
        0,
        A,
        B,
        (),
        None,
    )
    assert (d.accepted, d.drafted, d.lost, d.add, d.evicted) == (0, 0, 1, None, None)
    assert (
        what == "Nothing could be drafted, because the row of A had never been written."
        " The model continued"
        " with B."
    )
    assert (
        remedy
        == "This pass wrote the row; a matrix that already held it could have given 1 more token in"
        " this step."
    )


# a ── b ── ?      b is accepted, and its row was never written
def test_row_never_seen_below_an_accepted_node():
    first = step(
        [(0, 0, B), (1, 0, A)],
        [B, C, A],
        {A: ((B, C), (B, C)), B: ((), (C, D))},
        root=A,
        unseen=[2],
    )
    d, (what, _) = only(run([A], first, stop_after(D, C)))
    assert (d.reason, d.end, d.after, d.token, d.accepted, d.drafted, d.position) == (
        "row_never_seen", 1, B, C, 1, 1, 1,
    )  # fmt: skip
    assert what.startswith("1 of 1 drafted token accepted: nothing could be drafted after B")


# a ─┬─ c          the model goes on with b, which never was in a's row
#    └─ d
def test_token_never_stored():
    first = step([(0, 0, C), (0, 1, D)], [B, A, A], {A: ((C, D, E), (B, C, D))}, root=A)
    d, (what, remedy) = only(run([A], first, stop_after(C, B)))
    assert (d.reason, d.row, d.rank, d.evicted, d.written, d.below) == (
        "not_in_row", (C, D, E), None, None, None, (C, D),
    )  # fmt: skip
    assert (
        what
        == "0 of 2 drafted tokens accepted: after A the model chose B (probability 0.75), which is"
        " not among the 3 candidates of its row (C, D, E)."
    )
    assert remedy.startswith("The row dates from before step 1")


# step 1:  a ── b          the model goes on with c; the root writes a's row anew: b, c → c, d
# step 2:  c ─┬─ e ── a    the model goes on with a; the rejected node a writes a's row: c, d → d, e
#             └─ a
# step 3:  a ── d          the model goes on with c, which step 2 took away
def test_token_evicted_when_and_by_what():
    trace = run(
        [F, A],
        step([(0, 0, B)], [C, A], {A: ((B, C), (C, D))}, root=A),
        step(
            [(0, 0, E), (1, 0, A)],
            [A, F, F],
            {C: ((E, D), (A, D)), E: ((A, B), (A, B)), A: ((C, D), (D, E))},
            root=C,
        ),
        step([(0, 0, D)], [C, B], {A: ((D, E), (C, D)), D: ((B,), (B,))}, root=A),
        stop_after(D, C),
    )
    d, (_, remedy) = only(trace, 3)
    assert d.reason == "not_in_row"
    assert d.evicted == Write(step=2, node=2, position=4, context=(A, C, E, A), status="rejected")
    assert d.written == d.evicted
    assert (
        remedy == "The row held it until step 2, when a rejected node that read A C E A evicted it."
    )
    assert diagnose(trace).evicted == 1
    # b was evicted in step 1, by the root.
    history = RowHistory(trace)
    assert history.eviction(A, B, 2) == Write(
        step=1, node=0, position=1, context=(F, A), status="root"
    )
    assert history.eviction(A, B, 0) is None


# a ─┬─ b ── d     a → b → e: e is at rank 2 of b's row, the tree has rank 0 alone there;
#    └─ c          then e → f → a, which the rows hold too, but the tree has two levels only
RANK_CUT = step(
    [(0, 0, B), (0, 1, C), (1, 0, D)],
    [B, E, A, A],
    {
        A: ((B, C, D), (B, C, D)),
        B: ((D, C, E), (E, D, C)),
        C: ((A, B, C), (A, B, C)),
        D: ((A, B, C), (A, B, C)),
    },
    root=A,
)


def test_in_the_row_but_no_child_at_that_rank():
    rest = step([(0, 0, F)], [F, A], {E: ((F, A), (F, A)), F: ((A, B), (A, B))}, root=E)
    d, (what, remedy) = only(run([A], RANK_CUT, rest, stop_after(B, A)))
    assert (d.reason, d.end, d.rank, d.below, d.add, d.lost) == ("rank_cut", 1, 2, (D,), (0, 2), 1)
    assert (
        what == "1 of 3 drafted tokens accepted: the model chose E, which was at rank 2 in the row"
        " of B, "
        "but the tree drafted only D there."
    )
    assert remedy == "One more node at ranks [0, 2] from the root would have caught it."


def test_what_a_rank_cut_cost_is_counted_down_to_the_last_level():
    deep = msgspec.structs.replace(RANK_CUT)
    deeper = step(
        [(0, 0, B), (0, 1, C), (1, 0, D), (3, 0, A), (4, 0, A)], [B, E, A, A, A, A],
        {r.token: (r.before, r.after) for r in deep.rows}, root=A,
    )  # fmt: skip
    # After e the text goes on with f, a, b: rows of e and f are known by then, as the steps after
    # tell.
    rest = step([(0, 0, F)], [F, A], {E: ((F, A), (F, A)), F: ((A, B), (A, B))}, root=E)
    d, (_, remedy) = only(run([A], deeper, rest, stop_after(B, A)))
    assert (d.add, d.lost, d.open) == ((0, 2), 3, False)
    assert (
        remedy == "One more node at ranks [0, 2] from the root would have caught it, "
        "and the rows held the next 2 tokens too."
    )
    # The same, but the text ends with f: there is one token less to gain; e's follower comes as the
    # bonus.
    d, _ = only(run([A], deeper, step([], [F], {E: ((F, A), (F, A))}, root=E, stop="eos")))
    assert (d.lost, d.open) == (1, False)
    # Interrupted there, nobody knows how the text would have gone on.
    d, _ = only(run([A], deeper, step([], [F], {E: ((F, A), (F, A))}, root=E)))
    assert (d.lost, d.open) == (1, True)


@pytest.mark.parametrize(
    ("row", "rank", "add", "lost", "words"),
    [
        (
            (D, C),
            1,
            (0, 1),
            1,
            "was at rank 1 in the row of B; one more node at ranks [0, 1] from the root",
        ),
        ((D, E), None, None, 0, "A deeper tree would not have helped: the row does not hold C."),
        (
            (),
            None,
            None,
            0,
            "A deeper tree would not have helped: the row of that token had never been written.",
        ),
    ],
)
def test_depth_limit(row, rank, add, lost, words):
    # a ── b      accepted to the last level; whether b's row holds c tells what a deeper tree would
    # have gained
    first = step([(0, 0, B)], [B, C], {A: ((B, C), (B, C)), B: (row, (C, D))}, root=A)
    d, (what, remedy) = only(run([A], first, stop_after(D, C)))
    assert (d.reason, d.rank, d.add, d.lost) == ("depth_limit", rank, add, lost)
    assert what == "The path went through the one level of its draft, down to B."
    assert words in remedy


# a ── b ── c ── d      all agreed on; c ends the text
def test_stopped_by_an_end_token():
    first = step(
        [(0, 0, B), (1, 0, C), (2, 0, D)],
        [B, C, D, E],
        {A: ((B,), (B,))},
        root=A,
        emitted=2,
        stop="eos",
    )
    d, (what, remedy) = only(run([A], first))
    assert (d.reason, d.end, d.accepted, d.unused, d.lost, d.stop) == ("stopped", 2, 2, 1, 0, "eos")
    assert (
        what == "2 of 3 drafted tokens accepted: the run ended at C, because the model chose an end"
        " token."
    )
    assert remedy == "1 more drafted token after the stop agreed with the model."


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        ("max_new_tokens", "because the limit of new tokens was reached"),
        ("stop_string", "because a stop string was written"),
        ("model_length", "because the model's maximum length was reached"),
    ],
)
def test_stopped_by_a_limit(stop, words):
    first = step([(0, 0, B), (1, 0, C)], [B, C, D], {A: ((B,), (B,))}, root=A, emitted=1, stop=stop)
    d, (what, remedy) = only(run([A], first))
    assert (d.reason, d.end, d.accepted, d.unused, d.lost, d.stop) == ("stopped", 1, 1, 1, 0, stop)
    assert what == f"1 of 2 drafted tokens accepted: the run ended at B, {words}."
    assert remedy == "1 more drafted token after the stop agreed with the model."


def test_a_stop_at_the_bonus_leaves_the_reason_of_the_path():
    # The path ended by itself, and the bonus was the last token of the run.
    first = step([(0, 0, C)], [B, A], {A: ((C, D), (B, C))}, root=A, stop="max_new_tokens")
    d, _ = only(run([A], first))
    assert (d.reason, d.lost) == ("not_in_row", 0)


def test_plain_decoding_drafts_nothing():
    trace = run([A], step([], [B], root=A), step([], [C], root=B, stop="eos"), drafter="none")
    d, (what, _) = only(trace)
    assert (d.reason, d.row, d.lost) == ("no_draft", None, 1)
    assert what == "Nothing was drafted after A, so the pass gave only the model's own token, B."
    assert diagnose(trace).what_ifs == diagnose(trace).additions == ()
    assert diagnose(trace).steps_that_ended("no_draft") == (1, 2)


# a ── b ── d      looked up in the text, no row anywhere; the model goes on a → b → c
def test_a_draft_without_rows_went_elsewhere():
    first = step([(0, 0, B), (1, 0, D)], [B, C, A], root=A)
    whole = step([(0, 0, D)], [D, E], root=C)
    trace = run([A], first, whole, step([], [F], root=E, stop="eos"), drafter="prompt_lookup")
    d, (what, remedy) = only(trace)
    assert (d.reason, d.below, d.lost) == ("other_token", (D,), 1)
    assert "the draft continued with D, but the model chose C" in what
    assert "no row" in remedy
    d, (_, remedy) = only(trace, 2)
    assert (d.reason, d.lost) == ("depth_limit", 0)
    assert (
        remedy == "The model continued with E."
        " The record does not say whether a longer draft would have had it."
    )


def test_drafts_of_several_sources_are_told_honestly():
    # a's row is empty, but another source has put c below a; and b's row holds e at a rank where
    # that source put d.
    never = step([(0, 0, C)], [B, A], {A: ((), (B,)), C: ((A,), (A,))}, root=A)
    taken = step([(0, 0, D), (1, 0, D)], [E, A, A], {B: ((E, F), (E, F)), D: ((A,), (A,))}, root=B)
    assert [d.reason for d in diagnose(run([A], never, taken)).steps] == [
        "other_token",
        "other_token",
    ]


def test_a_trace_without_the_rows_still_tells_unseen_from_wrong():
    unseen = step([(0, 0, A), (1, 0, A)], [B, A, A], root=A, unseen=[1, 2])
    leaf = step([(0, 0, C), (0, 1, D), (2, 0, E)], [C, A, A, A], root=B)
    assert [d.reason for d in diagnose(run([A], unseen, leaf)).steps] == [
        "row_never_seen",
        "depth_limit",
    ]


def test_the_latest_eviction_counts():
    first = step([], [A], {A: ((B, C), (C, D))}, root=A)
    back = step([], [A], {A: ((C, D), (B, C))}, root=A)
    history = RowHistory(run([A], first, back, first, back))
    assert [e and e.step for e in (history.eviction(A, B, n) for n in range(4))] == [None, 1, 1, 3]


def test_within_a_step_the_later_writing_of_a_row_counts():
    # a ── a ── b, all accepted: a's row holds what the model gave after the second a.
    trace = run(
        [A], step([(0, 0, A), (1, 0, B)], [A, B, C], {A: ((A, B), (B, C)), B: ((), (C,))}, root=A)
    )
    replay = Replay(trace, RowHistory(trace))
    assert [replay._row(A, 0, root) for root in range(3)] == [(A, B), (A, 9), (B, 9)]


def test_runs_of_no_steps_and_without_a_prompt_are_no_fault():
    assert sum(diagnose(run([A])).reasons.values()) == 0
    assert diagnose(run([A])).steps == diagnose(run([A])).what_ifs == ()
    trace = run([], RANK_CUT)
    assert diagnose(trace).reasons["rank_cut"] == 1
    assert RowHistory(trace).text == (A, B, E)


def test_names_come_from_the_trace_and_can_be_missing():
    trace = msgspec.structs.replace(run([A], RANK_CUT), pieces={B: " <b>\n"})
    assert namer(trace)(B) == "“·<b>⏎”"
    assert namer(trace)(A) == "token 0"
    assert "the row of “·<b>⏎”" in explain(diagnose(trace).steps[0], namer(trace))[0]


def test_costly_tokens_and_the_nodes_that_would_have_helped():
    rest = step([(0, 0, F)], [F, A], {E: ((F, A), (F, A)), F: ((A, B), (A, B))}, root=E)
    found = diagnose(run([A], RANK_CUT, rest, stop_after(B, A)))
    assert [(c.token, c.steps, c.lost, c.reasons) for c in found.costly] == [
        (B, 1, 1, {"rank_cut": 1}),
        (F, 1, 1, {"depth_limit": 1}),
    ]
    # With [0, 2]: a → b e (f), then f → a (b). With [0, 0]: a → b (e), then e → f a (b). Two passes
    # instead of three.
    assert [(a.ranks, a.steps, a.saved) for a in found.additions] == [
        ((0, 0), 1, 1),
        ((0, 2), 1, 1),
    ]
    assert explain_addition(found.additions[1]) == "one more node: [0, 2]"


@pytest.mark.parametrize("seed", range(6))
def test_reasons_add_up_and_the_replay_gives_the_recorded_passes(seed):
    for cut, stop in ((0, None), (1, "eos"), (2, "max_new_tokens")):
        trace = viz_runs.toy_run(40, seed=seed, stop_reason=stop, cut=cut)
        found = diagnose(trace)
        assert list(found.reasons) == list(REASONS) == list(REASON_WORDS)
        assert sum(found.reasons.values()) == len(trace.steps) == len(found.steps)
        assert sum(found.lost.values()) == sum(d.lost for d in found.steps)
        recorded, *others = found.what_ifs
        # The engine emits at least one token a step; a cut of this toy may leave none of the last.
        assert recorded.passes == sum(bool(s.emitted) for s in trace.steps)
        assert all(explain_what_if(line) for line in others)
        lines = {w.kind: w for w in others}
        assert lines["any_tree"].passes <= lines["wider"].passes <= recorded.passes
        assert lines["hot_at_best"].passes <= lines["hot"].passes <= recorded.passes
        assert lines["larger_k"].passes is None
        for d in found.steps:
            assert len(explain(d, namer(trace))) == 2


def full(k: int, depth: int) -> TreeTemplate:
    return TreeTemplate.from_child_counts("full", [[k] * k**level for level in range(depth)])


@st.composite
def toy_runs(draw):
    size = draw(st.integers(5, 9))
    follower = st.lists(st.integers(0, size - 1), min_size=1, max_size=4, unique=True)
    table = {t: draw(follower) for t in range(size)}
    paths = {(draw(st.integers(0, 2)),) for _ in range(2)}
    for _ in range(draw(st.integers(0, 6))):
        paths.add(
            (
                *draw(st.sampled_from(sorted(p for p in paths if len(p) < 4))),
                draw(st.integers(0, 2)),
            )
        )
    return (
        size, table, TreeTemplate.from_paths("any", paths), draw(st.sampled_from(sorted(DRAFTERS))),
        draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=8)), draw(st.integers(1, 30)),
        draw(st.sampled_from([0.0, 1.5])), draw(st.sets(st.integers(0, size - 1), max_size=1)),
    )  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(toy_runs())
def test_any_run_is_explained_as_the_engine_would(case):
    size, table, tree, drafter, prompt, limit, temperature, eos = case

    def started(shape=tree):
        common = {"k": 3, "max_new_tokens": limit, "temperature": temperature, "seed": 7}
        return Session(
            ToyTarget(table, size, eos=eos), Settings(drafter=drafter, tree=shape, **common)
        ).start(prompt)

    def redone(step, shape):
        """The same step of the same run, with another tree for it alone."""
        session = started()
        for _ in range(step - 1):
            session.step()
        session.use(shape)
        return session.step()

    session, matrices = started(), []
    original = session.drafter.propose

    def propose(context, template, *growth):
        matrices.append(
            session.drafter.matrix.rows.tolist() if drafter == "token_recycling" else None
        )
        return original(context, template, *growth)

    session.drafter.propose = propose
    trace = RunTrace.from_json(record(session).to_json())
    found = diagnose(trace)

    assert sum(found.reasons.values()) == len(trace.steps)
    assert all(d.lost >= 0 and len(explain(d, str)) == 2 for d in found.steps)
    given = {r for r, n in found.reasons.items() if n} - {"stopped", "no_draft"}
    if DRAFTERS[drafter].grows:
        # What it knew is told by itself, so every end has a reason; only one with a single matrix
        # tells of its rows.
        rows = drafter == "token_recycling_dynamic"
        assert given <= {
            "budget_spent",
            *(("row_never_seen", "not_in_row") if rows else ("not_known", "nothing_known")),
        }
        assert bool(found.what_ifs) == (rows and any(s.rows for s in trace.steps))
        return
    if drafter != "token_recycling":
        assert not {"row_never_seen", "not_in_row", "rank_cut", "budget_spent"} & given
        return
    assert found.what_ifs[0].passes == len(trace.steps)
    verified = 0
    for number, d in enumerate(found.steps):
        row = tuple(t for t in matrices[number][d.after] if t >= 0)
        assert d.row == row
        held = [
            m
            for m in range(number)
            if d.token in matrices[m][d.after] and d.token not in matrices[m + 1][d.after]
        ]
        if d.reason == "not_in_row":
            assert d.token not in row
            assert (d.evicted.step - 1 if d.evicted else None) == (held[-1] if held else None)
        if d.reason == "row_never_seen":
            assert not row
        if d.reason in ("rank_cut", "depth_limit") and d.add is not None and verified < 3:
            verified += 1
            step = trace.steps[number]
            nodes = [_ranks(tree, n) for n in range(1, tree.nodes + 1)]
            suggested = TreeTemplate.from_paths("suggested", [*nodes, d.add])
            assert len(redone(d.step, suggested).path) == d.accepted + 1
            # What was lost is what a tree of all ranks emits more.
            deeper = d.reason == "depth_limit"
            gained = len(redone(d.step, full(3, tree.depth + deeper)).emitted) - len(step.emitted)
            assert gained == (min(d.lost, 1) if deeper else d.lost)


def _ranks(tree: TreeTemplate, node: int) -> tuple[int, ...]:
    ranks: list[int] = []
    while node:
        ranks.insert(0, tree.ranks[node])
        node = tree.parents[node]
    return tuple(ranks)


def _without(trace, **parts):
    return msgspec.structs.replace(
        trace, steps=tuple(msgspec.structs.replace(s, **parts) for s in trace.steps)
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: msgspec.structs.replace(t, steps=t.steps[7:]),
        lambda t: msgspec.structs.replace(t, steps=t.steps[::3]),
        lambda t: msgspec.structs.replace(t, pieces={}),
        lambda t: _without(t, rows=()),
        lambda t: _without(t, candidates=((),) * 81, probabilities=((),) * 81),
        lambda t: msgspec.structs.replace(
            t, info=msgspec.structs.replace(t.info, k=32, prompt_ids=())
        ),
    ],
    ids=["no-beginning", "gaps", "no-texts", "no-rows", "no-candidates", "wider-k"],
)
def test_records_with_parts_missing_are_explained_as_far_as_they_go(spoil):
    trace = RunTrace.from_json(spoil(viz_runs.toy_run(20)).to_json())
    found = diagnose(trace)
    assert sum(found.reasons.values()) == len(trace.steps)
    assert report.as_text(trace, found, each_step=True)
    assert report.as_json(trace, found)["steps"] == len(trace.steps)
    assert steps_csv(trace, found)
    assert nodes_csv(trace)
