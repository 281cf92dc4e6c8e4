"""Half precision: what rounding may turn is measured, told apart from a bug, and settled exactly
when strict.
"""

import json

import pytest
import torch

from tests.support import tiny_models
from tests.support.toy import ToyTarget
from tr_core import RunTrace, Session, Settings, load_target
from tr_core.analysis import metrics
from tr_core.cli.compare import divergences
from tr_core.cli.prompts import Prompt
from tr_core.decoding import rounding as numerics
from tr_core.decoding.recording import record
from tr_core.errors import SettingsError
from tr_core.models import pick_dtype as speed
from tr_core.trees import templates

ROUNDING = 0.25
PROMPTS = ["the then", "hello world"]


class RoundingToy(ToyTarget):
    """After tokens 3 and 6 the two best logits are close, and a pass over several tokens swaps
    them.

    A token whose row a pass over several tokens has cached moves the next logits as well, as keys
    and values do: one more pass over the doubtful token alone does not bring plain decoding's
    choice back.
    """

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.exact: list[
            bool
        ] = []  # for each cached token, whether a prefill or a one-token pass made its row

    def fork(self):
        return RoundingToy(self.table, self.vocab_size)

    def reset(self):
        super().reset()
        self.exact = []

    def prefill(self, ids, observe=None, positions=None):
        super().prefill(ids, observe, positions)
        self.exact += [True] * len(ids)

    def score(self, draft):
        logits = super().score(draft)
        for token in (3, 6):
            close = logits[:, self.table[token][1]] + 2 * ROUNDING - 0.1
            logits[:, self.table[token][0]] = torch.where(
                draft.tokens == token, close, logits[:, self.table[token][0]]
            )
        if len(draft.tokens) > 1 or not all(self.exact):
            for token in (3, 6):
                here = draft.tokens == token
                logits[here, self.table[token][0]] -= ROUNDING
                logits[here, self.table[token][1]] += ROUNDING
        return logits

    def keep(self, nodes):
        one = len(self._pending) == 1
        super().keep(nodes)
        self.exact += [one and all(self.exact)] * len(nodes)

    def rewind(self, length):
        super().rewind(length)
        del self.exact[length:]


TABLE = {0: [1], 1: [2], 2: [3], 3: [4, 7], 4: [5], 5: [6], 6: [0, 8], 7: [0], 8: [1]}

TOLD = [
    3,
    4,
    5,
    6,
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    0,
    1,
]  # has the close places in it, so that measuring finds them


def toy_output(**settings):
    session = Session(
        RoundingToy(TABLE), Settings(**({"max_new_tokens": 40, "tree": "2"} | settings))
    ).start(TOLD)
    return session, list(session.run())


def test_the_difference_is_measured_and_bounds_the_margin_that_can_turn():
    found = numerics.logit_difference(
        RoundingToy(TABLE), [0, 1, 2, 3, 4, 5, 6], templates.resolve("small-8", k=8), cuts=7
    )
    assert found == pytest.approx(ROUNDING)
    assert numerics.tolerance(found) == pytest.approx(2 * ROUNDING)
    exact = numerics.logit_difference(
        ToyTarget(TABLE), [0, 1, 2, 3], templates.resolve("small-8", k=8)
    )
    assert (
        exact == numerics.step_at(10.0, torch.float32) == 2.0**-20
    )  # 10 lies in 8 … 16, where float32 steps by 2⁻²⁰
    assert numerics.step_at(10.0, torch.bfloat16) == 2.0**-4


def test_strict_equals_plain_decoding_where_rounding_turns_choices():
    plain, _ = toy_output(drafter="none")
    loose, _ = toy_output()
    assert loose.output_ids != plain.output_ids, "otherwise strict would have nothing to settle"
    strict, steps = toy_output(strict=True)
    assert strict.output_ids == plain.output_ids
    assert 0 < sum(s.passes > 1 for s in steps) < len(steps)


def test_every_pass_counts():
    strict, steps = toy_output(strict=True)
    target = strict.target
    assert strict.passes == sum(s.passes for s in steps) == target.passes
    assert metrics.mean_accepted_tokens(steps) == 40 / strict.passes
    for step in steps:
        node = step.path[-1] if step.path else 0
        assert step.bonus is None or step.choices[node] == step.bonus


def test_plain_decoding_has_nothing_to_settle():
    session, steps = toy_output(drafter="none", strict=True)
    assert session.passes == len(steps) == 40


@pytest.mark.parametrize("stop", [{"max_new_tokens": 7}, {"max_new_tokens": 8}, {"stop": ("ef",)}])
def test_a_strict_run_stops_where_plain_decoding_stops(stop):
    outputs = {}
    for drafter, strict in (("none", False), ("token_recycling", True)):
        settings = Settings(drafter=drafter, strict=strict, **({"max_new_tokens": 40} | stop))
        session = Session(RoundingToy(TABLE), settings).start(TOLD)
        list(session.run())
        outputs[drafter] = (session.output_ids, session.stop_reason)
        assert session.target.length == len(session.prompt_ids) + len(session.output_ids) - 1
    assert outputs["none"] == outputs["token_recycling"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_strict_equals_plain_decoding_on_a_model_in_half_precision(dtype, attention):
    target = tiny_models.wrap(
        tiny_models.model("llama", attention).to(dtype), tiny_models.byte_tokenizer(), name="tiny"
    )
    for text in PROMPTS:
        ids = target.vocabulary.encode(text)
        outputs = []
        for settings in (
            {"drafter": "none"},
            {"tree": "paper", "strict": True},
            {"drafter": "prompt_lookup", "strict": True},
        ):
            session = Session(
                target.fork(), Settings(max_new_tokens=60, ignore_eos=True, **settings)
            ).start(ids)
            list(session.run())
            outputs.append(session.output_ids)
        assert outputs[0] == outputs[1] == outputs[2], text


def test_in_float32_strict_costs_nothing():
    target = tiny_models.target("llama", "sdpa")
    ids = target.vocabulary.encode("the then")
    passes = []
    for strict in (False, True):
        settings = Settings(tree="paper", max_new_tokens=60, ignore_eos=True, strict=strict)
        session = Session(target.fork(), settings).start(ids)
        list(session.run())
        passes.append(session.passes)
    assert passes[0] == passes[1] < 60


def test_strict_is_refused_with_sampling():
    with pytest.raises(SettingsError, match="greedy"):
        Settings(strict=True, temperature=0.5)


def test_a_divergence_is_a_near_tie_within_the_tolerance_and_a_bug_above_it():
    target = tiny_models.target("llama", "sdpa", tie_word_embeddings=False)
    head = target._loaded.model.lm_head.weight
    ids = target.vocabulary.encode("the then")
    output = target.plain_ids(ids, Settings(max_new_tokens=30, ignore_eos=True))
    twin = next(t for t in range(2, target.vocab_size) if t not in output)
    index = 12
    with torch.no_grad():
        head[twin] = head[output[index]]  # the same logit everywhere: the margin is 0
    target = target.moved("cpu")  # packed anew
    winner = min(twin, output[index])
    plain = [winner if t in (twin, output[index]) else t for t in output]
    plain = plain[: index + 1]  # behind it the twin's embedding would tell another story
    loser = twin + output[index] - winner
    template = templates.resolve("small-8", k=8)

    def found(drafted):
        return divergences(target, [ids], [Prompt("the then", "p1")], [plain], [drafted], template)

    assert found(plain) == []
    (tie,) = found([*plain[:index], loser])
    assert (tie["prompt"], tie["index"], tie["plain"], tie["drafted"]) == (
        "p1",
        index,
        winner,
        loser,
    )
    assert (tie["class"], tie["margin"]) == ("near-tie", 0.0)
    (bug,) = found([*plain[:5], (plain[5] + 1) % target.vocab_size, *plain[6:]])
    assert (bug["class"], bug["index"]) == ("bug", 5)
    assert bug["margin"] > bug["tolerance"] > 0


def test_rewinding_forgets_rows_and_an_unkept_draft():
    target = tiny_models.target("llama", "sdpa")
    target.prefill([5, 9])
    target.prefill([33, 41])
    first = target.score(numerics.one_token(17, target.device))
    target.rewind(2)
    assert target.length == 2
    target.prefill([33, 41])
    assert torch.equal(target.score(numerics.one_token(17, target.device)), first)
    with pytest.raises(RuntimeError, match="cannot go back"):
        target.rewind(9)


def test_a_trace_from_before_there_were_strict_runs_is_read():
    trace = record(Session(ToyTarget(TABLE), Settings(max_new_tokens=5)).start([0]))
    old = json.loads(trace.to_json())
    for step in old["steps"]:
        del step["passes"]
    assert RunTrace.from_json(json.dumps(old)) == trace


@pytest.mark.parametrize(
    ("seconds", "chosen"), [(0.5, torch.bfloat16), (0.95, torch.float32), (2.0, torch.float32)]
)
def test_fast_takes_bfloat16_only_where_it_is_clearly_faster(
    monkeypatch, tmp_path, seconds, chosen
):
    tiny_models.model("llama").save_pretrained(tmp_path)
    tiny_models.byte_tokenizer().save_pretrained(tmp_path)
    monkeypatch.setattr(speed, "pass_seconds", lambda models: [[1.0, 1.0], [seconds, seconds]])
    assert load_target(str(tmp_path), dtype="fast", device="cpu").dtype == chosen
    assert load_target(str(tmp_path), device="cpu").dtype == torch.float32, "auto stays exact"


def test_passes_of_both_dtypes_are_timed():
    models = [tiny_models.model("llama"), tiny_models.model("llama").to(torch.bfloat16)]
    times = speed.pass_seconds(models)
    assert [len(t) for t in times] == [len(speed.WIDTHS)] * 2
    assert all(0 < t < float("inf") for row in times for t in row)


@pytest.mark.parametrize(
    ("drafter", "nodes"), [("none", 0), ("prompt_lookup", None), ("token_recycling", 8)]
)
def test_without_a_trace_nothing_but_ids_leaves_the_device(monkeypatch, drafter, nodes):
    sizes, ranked = [], []
    real_cpu, real_topk = torch.Tensor.cpu, torch.Tensor.topk

    def cpu(self):
        assert self.dtype == torch.int32
        sizes.append(self.numel())
        return real_cpu(self)

    def topk(self, *args, **more):
        ranked.append(self.shape)
        return real_topk(self, *args, **more)

    def not_needed(self, *args, **more):
        raise AssertionError("probabilities are for the trace alone")

    settings = Settings(drafter=drafter, tree="small-8", max_new_tokens=12, trace=False)
    session = Session(ToyTarget(TABLE), settings).start([0, 1, 2, 0, 1])
    # As on an accelerator.
    monkeypatch.setattr("tr_core.decoding.readout.on_host", lambda tensor: False)
    monkeypatch.setattr(torch.Tensor, "cpu", cpu)
    monkeypatch.setattr(torch.Tensor, "topk", topk)
    monkeypatch.setattr(torch.Tensor, "softmax", not_needed)
    steps = list(session.run())
    # Three numbers a node: its token, whether that is no filler, the model's choice. One copy a
    # step.
    assert sizes == [3 * len(s.tokens) for s in steps]
    assert nodes is None or {len(s.tokens) for s in steps} == {nodes + 1}
    assert bool(ranked) == (drafter == "token_recycling"), (
        "candidates only for a drafter that learns from them"
    )
