"""Costs that are learned on the way, told on machines that are made up: no real clock anywhere."""

import random

import pytest
import torch

from tests.support.hand_runs import A, B, C
from tests.support.toy import CIRCLE, ToyTarget
from tr_core import Session, Settings
from tr_core.budget.cost_curve import KNOTS, CostCurve, LiveCurve
from tr_core.decoding.recording import record
from tr_core.decoding.step_clock import StepClock

# As on two CPU cores with the bundled model, in float32: milliseconds over 0 … 80 nodes.
CPU = CostCurve(KNOTS, (3.1, 3.9, 4.3, 4.8, 5.9, 8.4, 15.5))
FLAT = CostCurve((0, 80), (3.0, 3.3))
STEEP = CostCurve((0, 80), (3.0, 240.0))


def seen(curve, machine, sizes, steps, noise=0.1):
    """``curve`` after so many steps of a machine, sizes at random, each a little late and one in
    twenty very late.
    """
    chance = random.Random(0)
    for _ in range(steps):
        size = chance.choice(sizes)
        late = 1 + abs(chance.gauss(0, noise)) + (2 if chance.random() < 0.05 else 0)
        curve.observe(size, machine.at(size) * late)
    return curve


def ratio(curve, nodes):
    return curve.at(nodes) / curve.at(0)


# -- the curve by itself


def test_before_the_first_step_it_is_what_was_measured():
    curve = LiveCurve(CPU)
    assert curve.curve() is CPU
    assert curve.rounded() == CPU.rounded()
    assert LiveCurve(CostCurve((0, 80), (10.0, 20.0))).at(8) == 11


@pytest.mark.parametrize("lie", [FLAT, STEEP], ids=["too flat", "too steep"])
def test_a_lying_first_curve_heals_within_a_few_dozen_steps(lie):
    curve = LiveCurve(lie)
    assert not 0.7 < ratio(curve, 8) / ratio(CPU, 8) < 1.3
    seen(curve, CPU, (0, 4, 8), 40)
    assert ratio(curve, 4) == pytest.approx(ratio(CPU, 4), rel=0.12)
    assert ratio(curve, 8) == pytest.approx(ratio(CPU, 8), rel=0.12)


def test_sizes_that_were_not_seen_learn_from_their_neighbours():
    curve = seen(LiveCurve(FLAT), CPU, (0, 8), 40)
    assert ratio(curve, 6) == pytest.approx(ratio(CPU, 6), rel=0.15)
    assert ratio(curve, 16) > 1.25 * ratio(FLAT, 16)


def test_one_busy_moment_does_not_bend_it():
    curve = seen(LiveCurve(CPU), CPU, (0, 4, 8, 16), 60)
    before = ratio(curve, 8)
    curve.observe(8, 20 * CPU.at(8))
    assert ratio(curve, 8) == pytest.approx(before, rel=0.1)


def test_a_machine_that_slows_down_keeps_its_shape():
    curve = seen(LiveCurve(CPU), CPU, (0, 8, 16), 60)
    slow = CostCurve(CPU.nodes, tuple(2 * ms for ms in CPU.ms))
    seen(curve, slow, (0, 8, 16), 60)
    assert curve.at(0) == pytest.approx(slow.at(0), rel=0.25)
    assert ratio(curve, 8) == pytest.approx(ratio(CPU, 8), rel=0.12)


def test_a_change_of_pace_is_no_change_of_shape_though_no_plain_step_tells():
    """A run that always drafts sees a faster machine in its drafts alone: they are no cheaper
    beside a plain step.
    """
    curve = seen(LiveCurve(CPU), CPU, (0, 8, 16), 200)
    quick = CostCurve(CPU.nodes, tuple(ms / 1.7 for ms in CPU.ms))
    seen(curve, quick, (8, 16), 30)
    assert curve.at(16) == pytest.approx(quick.at(16), rel=0.15)
    assert ratio(curve, 16) == pytest.approx(ratio(CPU, 16), rel=0.15)


def test_a_machine_on_which_drafts_become_dear_is_followed():
    curve = seen(LiveCurve(CPU), CPU, (0, 8), 200)
    dear = CostCurve((0, 8, 80), (3.1, 9.6, 90.0))
    seen(curve, dear, (0, 8), 60)
    assert ratio(curve, 8) == pytest.approx(ratio(dear, 8), rel=0.15)


def test_it_doubts_what_it_has_not_seen():
    curve = LiveCurve(CPU)
    assert curve.doubt(0) == 0
    assert curve.doubt(2) < curve.doubt(8) < curve.doubt(80)
    first = curve.doubt(8)
    seen(curve, CPU, (0, 8), 30)
    assert curve.doubt(8) < first / 2
    assert curve.doubt(80) > first / 2
    for _ in range(300):
        curve.observe(0, 3.1)
    assert curve.doubt(8) > first / 2  # what is long ago is in doubt again


# -- in runs


class Machine(ToyTarget):
    """A toy whose passes take time by ``now`` alone; what is believed of it may be wrong."""

    def __init__(self, machine, believed, table=CIRCLE, vocab_size=10):
        super().__init__(table, vocab_size, costs=LiveCurve(believed))
        self.machine, self.ms = machine, 0.0

    def now(self):
        return self.ms / 1e3

    def score(self, draft):
        self.ms += self.machine.at(draft.template.nodes)
        return super().score(draft)

    def decoded(self, prompt, new_tokens=128):
        self.ms = 0.0
        settings = Settings(k=3, max_new_tokens=new_tokens)
        return record(Session(self, settings, clock=self.now).start(prompt))


class Moody(Machine):
    """After a token comes the next one with the chance of ``right``, else any: at 0 rows are of no
    use.
    """

    def __init__(self, machine, believed, right=0.0):
        super().__init__(machine, believed, {}, 400)
        self.mood, self.right = torch.Generator().manual_seed(3), right

    def logits(self, token):
        scores = torch.rand(self.vocab_size, generator=self.mood)
        if torch.rand((), generator=self.mood) < self.right:
            scores[(token + 1) % self.vocab_size] = 2
        return scores


def loss(target, trace, since=0):
    """How much longer the steps took than plain decoding of what they wrote."""
    steps = trace.steps[since:]
    spent = sum(target.machine.at(len(s.tokens) - 1) for s in steps)
    return spent / (target.machine.at(0) * sum(len(s.emitted) for s in steps)) - 1


def test_drafts_that_were_believed_free_are_given_up_when_they_prove_dear():
    dear = CostCurve(
        (0, 80), (3.0, 483.0)
    )  # a node costs two plain steps: even one that is right does not pay
    target = Moody(dear, FLAT, right=0.6)
    trace = target.decoded([n % 400 for n in range(401)], 400)
    assert sum(s.budget.chosen for s in trace.steps[:10]) > 50
    assert loss(target, trace, since=40) < 0.03


def test_drafts_that_were_believed_dear_are_tried_and_taken_up():
    target = Machine(CPU, CostCurve((0, 80), (3.0, 60.0)))
    trace = target.decoded([A, B, C, A], 300)
    assert trace.steps[-2].budget.chosen > 0
    assert loss(target, trace) < -0.5  # the text repeats itself: at least twice as fast
    # What was learned is not forgotten with the run.
    assert loss(target, target.decoded([A, B, C, A])) < loss(target, trace)


def test_a_hopeless_prompt_costs_less_than_three_per_cent():
    target = Moody(CPU, CPU)
    trace = target.decoded([n % 400 for n in range(401)])
    assert not any(s.path for s in trace.steps), "a hit would not be hopeless"
    assert any(s.budget.chosen for s in trace.steps), "without a try nothing would be proved"
    assert loss(target, trace) < 0.03
    # Nor do others that follow, and the rest of a long one costs next to nothing.
    trace = target.decoded([n % 400 for n in range(401)], 500)
    assert loss(target, trace) < 0.03
    assert loss(target, trace, since=100) < 0.01


def test_a_curve_that_is_not_live_is_left_as_it_is():
    target = ToyTarget(CIRCLE, costs=CPU)
    session = Session(target, Settings(k=3), clock=iter(range(100_000)).__next__).start([A])
    record(session)
    assert session.curve is CPU


def test_where_no_step_tells_its_time_nothing_is_probed_for_ever(monkeypatch):
    # As on an accelerator without a trace: nobody waits for it, so a clock would tell the host's
    # time.
    monkeypatch.setattr(StepClock, "times_device", lambda device, wait: wait)
    target = Machine(CPU, CPU)
    session = Session(
        target, Settings(k=3, max_new_tokens=300, trace=False), clock=target.now
    ).start([A, B, C, A])
    steps = list(session.run())
    assert not [s for s in steps if s.budget.reason == "probe"]
    assert session.curve is CPU
    assert target.costs.curve() is CPU


def test_processes_that_must_draft_alike_keep_what_they_measured_together():
    target = Machine(CPU, CPU)
    target.clock = lambda: lambda: 0.0  # a clock that they agree on
    session = Session(target, Settings(k=3, max_new_tokens=100)).start([A, B, C, A])
    list(session.run())
    assert target.costs.curve() is CPU


def test_a_probe_says_so():
    target = Machine(CPU, CPU)
    trace = target.decoded([A, B, C, A], 300)
    probes = [s for s in trace.steps if s.budget.reason == "probe"]
    assert probes
    assert all(s.budget.chosen == len(s.tokens) - 1 for s in probes)
    assert len(probes) < len(trace.steps) / 8
