"""Static steps against ordinary ones, step by step, and against transformers' ``generate``.

On a CPU nothing is captured, but it is the same function, which must be one graph of fixed shapes
with no copy to the host in it: that is checked here too. Whether a GPU captures it is for
benchmarks/gpu/checks.py.
"""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support import tiny_models as tiny
from tests.support.lossless import (
    KINDS,
    ODD,
    PROMPT,
    SAMPLED,
    TREES,
    Hostile,
    decoded,
    late_end,
    meetings,
)
from tests.support.toy import ToyTarget
from tr_core import Session, Settings, TreeTemplate
from tr_core.attention.families import FAMILIES
from tr_core.attention.static_cache import StaticCache
from tr_core.budget.cost_curve import CostCurve
from tr_core.decoding.recording import record
from tr_core.decoding.static import graphs as capture
from tr_core.decoding.static import run as static_run
from tr_core.drafters.base import Drafter
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.registry import DRAFTERS
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.errors import SettingsError
from tr_core.models import hf_target
from tr_core.models.hf_target import HFTarget
from tr_core.target import Draft
from tr_core.trace import RunTrace

COMPARED = (
    "tokens",
    "parents",
    "ranks",
    "unseen",
    "choices",
    "candidates",
    "path",
    "bonus",
    "emitted",
    "stop",
    "rows",
)
# Full and sliding layers, positions from a table, capped scores, sinks, experts, attention of its
# own, packed keys.
VARIED = [
    "llama",
    "qwen2",
    "mistral",
    "gemma2",
    "gpt2",
    "gpt_oss",
    "mixtral",
    "falcon",
    "deepseek_v3",
]
LONG = {"max_position_embeddings": 2048}


def static(target, prompt=PROMPT, **settings):
    """A session run to its end by static steps."""
    given = {"capture": "on", "ignore_eos": True, "max_new_tokens": 40} | settings
    session = decoded(target, Settings(**given), prompt)
    assert session.execution.startswith("static step")
    return session


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_writes_what_generate_writes(family):
    target = tiny.target(family, FAMILIES[family].attention[0])
    expected = target.plain_ids(PROMPT, Settings(max_new_tokens=40, ignore_eos=True))
    for drafter in ("token_recycling", "none"):
        assert static(target.fork(), drafter=drafter, tree="paper").output_ids == expected


@pytest.mark.parametrize(("family", "drafter"), meetings(VARIED, ["llama"]))
def test_every_step_equals_the_ordinary_one(family, drafter):
    target = tiny.target(family)
    for tree in (ODD, "small-8"):
        settings = Settings(
            drafter=drafter, tree=tree, max_new_tokens=25, ignore_eos=True, capture="off"
        )
        ordinary = record(Session(target.fork(), settings).start(PROMPT))
        fast = record(
            Session(target.fork(), dataclasses.replace(settings, capture="on")).start(PROMPT)
        )
        assert ordinary.info.execution == "ordinary: switched off"
        assert fast.info.execution.startswith("static step")
        assert len(ordinary.steps) == len(fast.steps)
        for one, other in zip(ordinary.steps, fast.steps, strict=True):
            assert {f: getattr(one, f) for f in COMPARED} == {
                f: getattr(other, f) for f in COMPARED
            }
            for p, q in zip(one.probabilities, other.probabilities, strict=True):
                assert p == pytest.approx(q, abs=3e-5)


@pytest.mark.parametrize("drafter", KINDS)
def test_growing_past_buckets_and_past_the_room_changes_nothing(drafter, monkeypatch):
    target = tiny.target("llama", "sdpa", **LONG)
    rooms = []

    def reserve(self, rows, real=StaticCache.reserve):
        moved = real(self, rows)
        rooms.extend([self.room] * moved)
        return moved

    monkeypatch.setattr(StaticCache, "reserve", reserve)
    for length in (170, 940):  # crosses 256 rows, and 1,024, where the buffers move
        prompt = [2 + (n * n) % 90 for n in range(length)]
        expected = target.plain_ids(prompt, Settings(max_new_tokens=90, ignore_eos=True))
        session = static(target, prompt, drafter=drafter, tree="paper", max_new_tokens=90)
        assert session.output_ids == expected
        assert session._pass.run.captures >= 2
        # Past a bucket nothing is copied, past the room everything once. The second run finds the
        # first one's room.
        assert rooms == ([1024] if length == 170 else [1024, 2048])


@pytest.mark.parametrize(("family", "drafter"), meetings(["llama", "gemma2", "phi3"], ["llama"]))
def test_sampled_output_equals_generate_with_the_same_seed(family, drafter):
    target = tiny.target(family)
    for seed in (0, 11):
        for tree in TREES[1:]:
            settings = Settings(
                drafter=drafter, tree=tree, max_new_tokens=30, ignore_eos=True, **SAMPLED, seed=seed
            )
            session = static(
                target, drafter=drafter, tree=tree, max_new_tokens=30, **SAMPLED, seed=seed
            )
            assert session.output_ids == target.plain_ids(PROMPT, settings)


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_hostile_drafts_from_outside_change_nothing(family):
    target = tiny.target(family)
    free = target.plain_ids(PROMPT, Settings(max_new_tokens=40, ignore_eos=True))
    end = late_end(free)
    for tree in TREES:
        hostile = Hostile(PROMPT + free, [end, free[3]], target.vocab_size)
        session = static(target, tree=tree)
        assert session.output_ids == free
        session = decoded(
            target,
            Settings(tree=tree, max_new_tokens=40, ignore_eos=True, capture="on"),
            PROMPT,
            hostile,
        )
        assert session.output_ids == free
        assert session.steps < len(free)


def test_an_end_token_or_a_limit_in_the_middle_of_a_path():
    target = tiny.target("qwen3")
    free = target.plain_ids(PROMPT, Settings(max_new_tokens=40, ignore_eos=True))
    for count in range(1, 12):
        assert static(target, tree="paper", max_new_tokens=count).output_ids == free[:count]
    for end in sorted({free[7], free[20]}):
        target.eos_ids = frozenset([end])
        assert (
            static(target, tree="paper", ignore_eos=False).output_ids == free[: free.index(end) + 1]
        )


@pytest.mark.parametrize("family", ["gpt2", "opt", "mistral"])
def test_the_models_maximum_length(family):
    target = tiny.target(family)
    prompt = [2 + n % 90 for n in range(tiny.LENGTH - 12)]
    session = static(target, prompt, tree=ODD)
    assert session.stop_reason == "model_length"
    assert session.output_ids == target.plain_ids(
        prompt, Settings(max_new_tokens=40, ignore_eos=True)
    )


def test_a_prompt_of_one_token():
    target = tiny.target("llama")
    assert static(target, [9]).output_ids == target.plain_ids(
        [9], Settings(max_new_tokens=40, ignore_eos=True)
    )


class Shifting(Drafter):
    """Recycles into another tree every step, outside the graph: chains, bushes, the root alone."""

    name = "token_recycling"
    uses_tree = has_matrix = True

    def __init__(self, vocab_size):
        self.inner = TokenRecycling(CandidateMatrix(vocab_size, 8))
        self.matrix = self.inner.matrix
        self.steps = 0

    def begin(self):
        self.steps = 0

    def propose(self, context, template, growth=None) -> Draft:
        self.steps += 1
        counts = [[[2], [1, 3]], [[1], [1], [1]], [], [[4], [0, 2, 0, 1], [1, 1, 0]]][
            self.steps % 4
        ]
        return self.inner.propose(context, TreeTemplate.from_child_counts("shifting", counts))

    def observe_prompt(self, tokens, candidates):
        self.inner.observe_prompt(tokens, candidates)

    def observe(self, draft, candidates):
        return self.inner.observe(draft, candidates)


def test_trees_of_changing_shape_run_through_one_graph():
    target = tiny.target("llama")
    settings = Settings(tree="small-16", max_new_tokens=50, ignore_eos=True, capture="on")
    ordinary = record(
        Session(
            target.fork(), dataclasses.replace(settings, capture="off"), drafter=Shifting(112)
        ).start(PROMPT)
    )
    session = Session(target.fork(), settings, drafter=Shifting(112)).start(PROMPT)
    fast = record(session)
    assert (
        fast.output_ids
        == ordinary.output_ids
        == tuple(target.plain_ids(PROMPT, Settings(max_new_tokens=50, ignore_eos=True)))
    )
    assert len({len(s.tokens) for s in fast.steps}) == 4
    assert [(s.path, s.rows) for s in fast.steps] == [(s.path, s.rows) for s in ordinary.steps]
    assert session._pass.run.captures == 1


@pytest.mark.parametrize("sampled", [{}, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("make", [None, Shifting], ids=["inside", "outside"])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_budget_gets_the_same_answers_and_chooses_the_same_trees(
    family, make, sampled, monkeypatch
):
    # A made-up cost, so that both runs choose by the same numbers and not by the clock.
    monkeypatch.setattr(
        HFTarget, "cost_curve", lambda self, settings: CostCurve((0, 80), (1.0, 2.5))
    )
    target = tiny.target(family)
    settings = Settings(tree="auto", max_new_tokens=60, ignore_eos=True, capture="on", **sampled)
    runs = []
    for capture_ in ("off", "on"):
        session = Session(
            target.fork(),
            dataclasses.replace(settings, capture=capture_),
            drafter=make(112) if make else None,
        ).start(PROMPT)
        runs.append(record(session))
    ordinary, fast = runs
    assert fast.output_ids == ordinary.output_ids == tuple(target.plain_ids(PROMPT, settings))
    for one, other in zip(ordinary.steps, fast.steps, strict=True):
        assert (one.budget, one.path, one.rows) == (other.budget, other.path, other.rows)
    sizes = {s.budget.chosen for s in fast.steps}
    assert len(sizes) >= 2, "a budget that never changes its mind would prove nothing"
    assert session._pass.run.captures <= 12


def test_auto_is_lossless_with_measured_costs():
    target = tiny.target("llama", "sdpa")
    for drafter in DRAFTERS:
        session = static(target, drafter=drafter, tree="auto", max_new_tokens=80)
        assert session.output_ids == target.plain_ids(
            PROMPT, Settings(max_new_tokens=80, ignore_eos=True)
        )


def test_strict_decoding_takes_the_ordinary_path():
    session = Session(
        tiny.target("llama"), Settings(strict=True, tree="small-8", capture="on")
    ).start(PROMPT)
    assert session.execution == "ordinary: strict decoding goes back over what it has scored"


class Watcher(TorchDispatchMode):
    """Counts the operations that copy a value to the host."""

    def __init__(self):
        super().__init__()
        self.reads = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name
        self.reads += name in {
            "aten::_local_scalar_dense",
            "aten::nonzero",
            "aten::masked_select",
            "aten::equal",
        }
        return function(*args, **kwargs or {})


@pytest.mark.parametrize(
    "family", ["llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3_text", "phi3", "gpt2", "opt"]
)
def test_nothing_inside_a_step_reaches_for_the_host(family):
    target = tiny.target(family)
    for drafter in DRAFTERS:
        session = Session(
            target, Settings(drafter=drafter, tree="paper", capture="on", **SAMPLED)
        ).start(PROMPT)
        (ready,) = [
            r
            for (plan, _), r in session._pass.run._ready.items()
            if plan.source == _source(drafter)
        ][-1:]
        with torch.inference_mode(), Watcher() as watcher:
            ready.call()
        assert watcher.reads == 0


def _source(drafter):
    return {"token_recycling": "matrix", "none": "root"}.get(drafter, "outside")


@pytest.mark.parametrize(("family", "drafter"), meetings(["llama", "gemma2"], []))
@pytest.mark.slow
def test_fifty_steps_are_one_compiled_graph(family, drafter, monkeypatch):
    # The tracer is what counts: the backend runs the traced graph as it is.
    monkeypatch.setattr(
        static_run,
        "compiled",
        lambda function, owner: capture.compiled(function, owner, backend="eager"),
    )
    torch._dynamo.reset()
    counters.clear()
    target = tiny.target(family, FAMILIES[family].attention[0])
    expected = target.plain_ids(PROMPT, Settings(max_new_tokens=100, ignore_eos=True))
    settings = Settings(
        drafter=drafter, tree="small-8", max_new_tokens=100, ignore_eos=True, capture="compile"
    )
    session = decoded(target, settings)
    assert session.execution.startswith("compiled, static step")
    assert session.output_ids == expected
    assert session.steps >= 50
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    assert session._pass.run.captures == 1


def test_a_matrix_lives_on_when_another_one_takes_its_place():
    target = tiny.target("llama")
    first, second = (TokenRecycling(CandidateMatrix(target.vocab_size, 8)) for _ in range(2))
    alone = TokenRecycling(CandidateMatrix(target.vocab_size, 8))
    decoded(target.fork(), Settings(tree="paper", ignore_eos=True, capture="off"), PROMPT, alone)
    static(target, drafter="token_recycling", tree="paper", max_new_tokens=128)  # somebody else's
    decoded(target, Settings(tree="paper", ignore_eos=True, capture="on"), PROMPT, first)
    decoded(target, Settings(tree="paper", ignore_eos=True, capture="on"), PROMPT[::-1], second)
    assert torch.equal(first.matrix.rows, alone.matrix.rows)
    assert not torch.equal(first.matrix.rows, second.matrix.rows)
    # And a hot start brings its rows back.
    hot = Session(target, Settings(tree="paper", capture="on"), drafter=first).start(PROMPT)
    assert hot.rows_seen >= int((alone.matrix.rows[:, 0] >= 0).sum())


def test_a_model_that_cannot_take_static_steps_takes_ordinary_ones(monkeypatch):
    def fails(step):
        raise RuntimeError("this model reads a number\nand says much about it")

    monkeypatch.setattr(static_run, "run", fails)
    target = tiny.target("llama")
    session = decoded(target, Settings(max_new_tokens=20, ignore_eos=True, capture="on"))
    assert session.execution == "ordinary: RuntimeError: this model reads a number"
    assert session.output_ids == target.plain_ids(
        PROMPT, Settings(max_new_tokens=20, ignore_eos=True)
    )


class Recorder:
    """Plays a graph by calling the function again; the third one cannot be recorded."""

    made = 0

    def __init__(self, function, device, pool):
        Recorder.made += 1
        function()  # a real one warms up, and leaves its traces in the cache
        if Recorder.made == 3:
            raise RuntimeError("out of memory\nwhile recording")
        self._function = function

    def __call__(self):
        return self._function()


@pytest.mark.parametrize("sampled", [{}, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("drafter", ["token_recycling", "prompt_lookup"])
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "deepseek_v3"])
def test_a_graph_that_cannot_be_recorded_in_the_middle_of_a_run(
    family, drafter, sampled, monkeypatch
):
    # Buckets of 16 × 1, 2, 3, 4, 6 rows: each needs a graph of its own.
    monkeypatch.setattr(
        hf_target, "StaticRun", functools.partial(static_run.StaticRun, smallest_bucket=16)
    )
    monkeypatch.setattr(static_run, "can_capture", lambda device: True)
    monkeypatch.setattr(static_run, "graph_pool", lambda device: None)
    monkeypatch.setattr(static_run, "Captured", Recorder)
    Recorder.made = 0
    target = tiny.target(family)
    settings = Settings(
        drafter=drafter, tree="8", max_new_tokens=70, ignore_eos=True, capture="on", **sampled
    )
    session = Session(target, settings).start(PROMPT)
    trace = record(session)
    assert trace.output_ids == tuple(target.plain_ids(PROMPT, settings))
    assert Recorder.made == 3
    start = "captured graph, grouped attention"
    words = f"{start} up to step "
    assert trace.info.execution.startswith(words)
    assert trace.info.execution.endswith(", then ordinary: RuntimeError: out of memory")
    assert 1 <= int(trace.info.execution.removeprefix(words).split(",")[0]) < len(trace.steps) - 1
    # The steps before and after it are those of a run that was ordinary all along.
    ordinary = record(
        Session(target.fork(), dataclasses.replace(settings, capture="off")).start(PROMPT)
    )
    assert [(s.tokens, s.path, s.rows) for s in trace.steps] == [
        (s.tokens, s.path, s.rows) for s in ordinary.steps
    ]
    # And the next prompt tries again.
    assert Session(target, settings).start(PROMPT).execution == start


def test_what_the_record_says_where_nothing_is_captured():
    assert (
        Session(tiny.target("llama"), Settings()).start(PROMPT).execution
        == "ordinary: switched off"
    )
    auto = Session(tiny.target("llama"), Settings(capture="auto")).start(PROMPT)
    assert auto.execution == "ordinary: no graphs on cpu"
    toy = Session(ToyTarget({}), Settings(capture="on", tree="chain-4")).start([1])
    assert toy.execution == "ordinary: toy has no static step"
    with pytest.raises(
        SettingsError, match="Capture must be one of auto, on, off, compile, got 'yes'"
    ):
        Settings(capture="yes")


def test_traces_from_before_static_steps_can_be_read():
    trace = record(Session(tiny.target("llama"), Settings(max_new_tokens=3)).start(PROMPT))
    old = trace.to_json().replace(',"execution":"ordinary: switched off"', "")
    assert "execution" not in old
    assert RunTrace.from_json(old).info.execution == "ordinary"
