"""A run cut into pieces that go on in other sessions, through JSON, equals the run that was never
interrupted.
"""

import contextlib
import copy
import dataclasses
import functools
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import tiny_models
from tests.support.toy import ToyTarget
from tr_core import Session, Settings
from tr_core.budget.cost_curve import CostCurve
from tr_core.decoding.checkpoint import Checkpoint
from tr_core.decoding.resume import resume, take
from tr_core.drafters import registry
from tr_core.drafters.registry import DRAFTERS
from tr_core.errors import CheckpointError, TokenRecyclingError
from tr_core.trace import Timing
from tr_core.trees import templates

TABLE = {t: [(3 * t + 1) % 10, (t + 2) % 10] for t in range(10)}
NO_TIME = Timing(0, 0, 0, 0)
COSTS = CostCurve((0, 16, 80), (1.0, 1.3, 3.0))


def same(one, other):
    """Whether two runs' traces agree in all but timings, and probabilities as far as two ways to
    compute them do.

    They are recorded in steps of 1e-5, and a prefill rounds otherwise than tree passes.
    """
    numbers = [
        [p for step in steps for row in step.probabilities for p in row] for steps in (one, other)
    ]
    chances = [[e for step in steps for e in step.expected] for steps in (one, other)]
    weighed = [
        [e for step in steps if step.budget for e in step.budget.expected] for steps in (one, other)
    ]
    bare = [[_bare(step) for step in steps] for steps in (one, other)]
    return (
        bare[0] == bare[1]
        and numbers[0] == pytest.approx(numbers[1], abs=1.5e-5)
        and chances[0] == pytest.approx(chances[1], abs=1.5e-4)
        and weighed[0] == pytest.approx(weighed[1], abs=1.5e-4)
    )


def _bare(step):
    budget = msgspec.structs.replace(step.budget, expected=()) if step.budget else None
    return msgspec.structs.replace(
        step, timing=NO_TIME, probabilities=(), expected=(), budget=budget
    )


def in_pieces(target, settings, prompt, sizes, curve):
    """Steps of a run whose every piece is made by a session of its own, out of the JSON text of the
    one before.
    """
    started = Session(target.fork(), settings, curve=curve).start(prompt)
    steps, text, pieces = [], take(started).to_json(), iter(sizes)
    while True:
        session = resume(target.fork(), Checkpoint.from_json(text))
        for _ in range(next(pieces)):
            if session.stop_reason is not None:
                return steps, session
            steps.append(session.step())
        text = take(session).to_json()


SETTINGS = {
    "greedy": Settings(tree="small-8", max_new_tokens=40, ignore_eos=True),
    "sampled": Settings(
        tree="small-8", max_new_tokens=40, ignore_eos=True, temperature=0.9, top_p=0.9, seed=4
    ),
    "budget": Settings(tree="auto", max_new_tokens=60, ignore_eos=True),
    "cold prompt": Settings(tree="chain-4", max_new_tokens=20, prompt_rows=False, temperature=1.2),
}


@pytest.mark.parametrize("drafter", DRAFTERS)
@pytest.mark.parametrize("kind", SETTINGS)
def test_pieces_are_one_run_trace_by_trace(drafter, kind):
    target = tiny_models.target("llama")
    settings = dataclasses.replace(SETTINGS[kind], drafter=drafter)
    prompt = target.vocabulary.encode("the then the other")
    # What steps cost is learned from clocks; two runs only agree where both weigh the same costs.
    whole = Session(target.fork(), settings, curve=COSTS).start(prompt)
    expected = list(whole.run())
    for sizes in ([1] * 100, [3, 1, 7] * 20):
        steps, last = in_pieces(target, settings, prompt, sizes, COSTS)
        assert same(steps, expected)
        assert (last.output_ids, last.stop_reason, last.rows_seen) == (
            whole.output_ids,
            whole.stop_reason,
            whole.rows_seen,
        )


@pytest.mark.parametrize("drafter", [name for name, entry in DRAFTERS.items() if entry.saves])
def test_what_earlier_texts_left_travels_too(drafter):
    target = ToyTarget(TABLE)
    settings = Settings(drafter=drafter, tree="4", max_new_tokens=12)
    cold = Session(target.fork(), settings).start([1])
    list(cold.run())
    asleep = take(cold)
    hot = Session(target.fork(), settings, drafter=cold.drafter).start([3, 7, 1])
    text = take(hot).to_json()  # before the first step
    steps = [hot.step(), hot.step()]
    later = take(hot).to_json()
    steps += hot.run()
    assert any(step.path for step in steps[:2]), "what it knew from before was of use"
    assert same(list(resume(target.fork(), Checkpoint.from_json(text)).run()), steps)
    assert same(list(resume(target.fork(), Checkpoint.from_json(later)).run()), steps[2:])
    # A drafter that was put to sleep after the first text and woken for the second knows the same.
    woken = registry.create(drafter, 10, settings.k, "cpu")
    woken.restore(asleep.drafter, asleep.prompt_ids, asleep.output_ids)
    assert same(list(Session(target.fork(), settings, drafter=woken).start([3, 7, 1]).run()), steps)


def test_an_ended_run_stays_ended():
    session = Session(ToyTarget(TABLE), Settings(max_new_tokens=5, tree="2")).start([1])
    list(session.run())
    again = resume(ToyTarget(TABLE), take(session))
    assert (again.stop_reason, again.output_ids) == ("max_new_tokens", session.output_ids)
    assert list(again.run()) == []


def test_a_tree_from_a_file_travels_as_a_shape(tmp_path):
    file = tmp_path / "tree.json"
    file.write_text('{"child_counts": [[2], [1, 0]]}')
    session = Session(ToyTarget(TABLE), Settings(tree=str(file), max_new_tokens=9)).start([1])
    text = take(session).to_json()
    assert str(tmp_path) not in text
    assert Checkpoint.from_json(text).settings.tree.parents == (-1, 0, 0, 1)


def taken(**changes):
    """A checkpoint after two steps, changed."""
    session = Session(ToyTarget(TABLE), Settings(tree="2", max_new_tokens=30)).start([1, 2])
    session.step(), session.step()
    return json.loads(take(session).to_json()) | changes


def go_on(content):
    session = resume(ToyTarget(TABLE), Checkpoint.from_json(json.dumps(content)))
    return [t for step in session.run() for t in step.emitted]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 3}, "schema 3"),
        ({"vocab_size": 11}, "another model"),
        ({"tokenizer": "other"}, "another model"),
        ({"prompt_ids": []}, "no prompt"),
        ({"prompt_ids": [1, 10]}, "outside the model's vocabulary"),
        ({"prompt_ids": [1, -1]}, "outside the model's vocabulary"),
        ({"prompt_ids": [1, "2"]}, "no complete checkpoint"),
        ({"prompt_ids": [1] * 1000}, "more tokens than the 1,000"),
        ({"output_ids": [1] * 30}, "more tokens than requested"),
        ({"output_ids": [1]}, "steps and its tokens"),
        ({"steps": 0}, "steps and its tokens"),
        ({"stop_reason": "boredom"}, "no known reason"),
        ({"drafter": {"rows": {"1": [2, 3]}}}, "8 candidates"),
        ({"drafter": {"rows": {"1": [10] * 8}}}, "below 10"),
        ({"drafter": {"rows": {"-1": [1] * 8}}}, "below 10"),
        ({"drafter": {"rows": {"1": "abcdefgh"}}}, "damaged"),
        ({"drafter": {"rows": {}, "code": "import os"}}, "damaged"),
        ({"settings": {"tree": "/etc/passwd"}}, "must be a name"),
        ({"settings": {"strict": True}}, "strict"),
        ({"settings": {"k": 99}}, "k must be"),
        ({"settings": {"drafter": "oracle"}}, "no drafter"),
        ({"budget": {}}, "no complete checkpoint"),
        ({"surprise": 1}, "no complete checkpoint"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(changes, words):
    with pytest.raises(TokenRecyclingError, match=words) as error:
        go_on(taken(**changes))
    assert "\n" not in str(error.value)


def test_a_budget_that_was_tampered_with_is_refused():
    session = Session(ToyTarget(TABLE), Settings(max_new_tokens=30)).start([1])
    session.step()
    whole = json.loads(take(session).to_json())
    assert go_on(whole)
    choice = {"chosen": 1, "reason": "best", "spine": 0, "sizes": [0], "expected": [1], "ms": [1]}
    template = {"name": "x", "parents": [-1, 0], "ranks": [-1, 9]}
    plan = {"offer": {"template": template, "choice": choice, "promised": 1.0}, "until": 1}
    for changes in (
        {"curve": {"nodes": [0, 8], "ms": [-1.0, 2.0]}},
        {"curve": {"nodes": [0, 0], "ms": [1.0, 2.0]}},
        {"surprise": 1},
        {"steps": -1},
        {"kinds": []},
        {"kinds": [{"hits": [1e300] * 8, "tries": 0.0}] * 5},
        {"plans": {"0": plan}},
        {"plans": {"0": {"offer": None, "until": 1}}},
    ):
        with pytest.raises(TokenRecyclingError):
            go_on(whole | {"budget": whole["budget"] | changes})
    with pytest.raises(CheckpointError, match="budget goes with"):
        go_on(whole | {"budget": None})


def test_a_lie_about_rows_costs_speed_and_changes_no_token():
    honest = go_on(taken())
    wrong = {str(t): [(t + 7) % 10] * 8 for t in range(10)}
    assert go_on(taken(drafter={"rows": wrong})) == honest


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8
    ),
    st.sampled_from(sorted(taken())),
)
def test_any_value_anywhere_is_refused_or_harmless(value, field):
    with contextlib.suppress(TokenRecyclingError):
        go_on(taken(**{field: value}))


def places(content, path=()):
    """Every place of a JSON value, of long lists the first two and the last."""
    if path:
        yield path
    if isinstance(content, dict):
        steps = list(content)
    else:
        steps = (
            sorted({*range(len(content))[:2], *range(len(content))[-1:]})
            if isinstance(content, list)
            else []
        )
    for step in steps:
        yield from places(content[step], (*path, step))


@functools.cache
def learned(drafter):
    """A checkpoint of a run that began hot and has made two steps, where to tamper with it, and how
    the run ends.
    """
    wish = Settings(drafter=drafter, tree="4", max_new_tokens=14)
    before = Session(ToyTarget(TABLE), wish).start([1, 2, 6])
    list(before.run())
    session = Session(ToyTarget(TABLE), wish, drafter=before.drafter).start([3, 7, 1])
    session.step(), session.step()
    whole = json.loads(take(session).to_json())
    return whole, sorted(places(whole["drafter"]), key=repr), go_on(whole)


ODD = st.sampled_from(
    [-1, 0, 10, 2**31, 2**63, 10**400, 1e300, 5e-324, -0.5, 1e9, [], {}, [[]], [1] * 60, "1", ""]
)


@settings(deadline=None, max_examples=200)
@given(st.data(), st.sampled_from([name for name, entry in DRAFTERS.items() if entry.saves]))
def test_a_drafters_state_that_was_tampered_with_is_refused_or_changes_no_token(data, drafter):
    whole, where, ids = learned(drafter)
    path = data.draw(st.sampled_from(where))
    state = here = copy.deepcopy(whole["drafter"])
    for step in path[:-1]:
        here = here[step]
    if data.draw(st.booleans()):
        here[path[-1]] = data.draw(
            ODD | st.none() | st.booleans() | st.integers() | st.floats() | st.text()
        )
    else:
        del here[path[-1]]
    refused = ""
    try:
        assert go_on(whole | {"drafter": state}) == ids
    except TokenRecyclingError as error:
        refused = str(error)
    assert "\n" not in refused


@settings(deadline=None)
@given(st.text() | st.binary())
def test_any_text_is_refused(text):
    with pytest.raises(CheckpointError):
        Checkpoint.from_json(text)


def test_strict_runs_do_not_travel():
    target = tiny_models.target("llama")
    session = Session(target, Settings(strict=True, tree=templates.chain(2))).start([5, 6, 7])
    with pytest.raises(CheckpointError, match="in one piece"):
        take(session)
