"""Choices: sampled with the noise that plain sampling would draw at a position, or greedy."""

import pytest
import torch
from transformers import GenerationConfig

from tests.support.toy import ToyTarget
from tr_core import Session, Settings
from tr_core.decoding.recording import record
from tr_core.decoding.sampling import Greedy, Sampled
from tr_core.trees import templates
from tr_core.trees.templates import chain

CPU = torch.device("cpu")


def test_noise_is_what_multinomial_draws_position_by_position():
    logits = torch.randn(20, 50, generator=torch.Generator().manual_seed(1))
    choose = Sampled(Settings(temperature=0.8, seed=5), CPU)
    ours = [int(choose(logits[i : i + 1], chain(0), i)) for i in range(20)]
    with torch.random.fork_rng():
        torch.manual_seed(5)
        plain = [
            int(torch.multinomial((logits[i : i + 1] / 0.8).softmax(-1), 1)) for i in range(20)
        ]
    assert ours == plain


def test_a_chain_scored_at_once_gives_the_choices_of_single_passes():
    logits = torch.randn(6, 50, generator=torch.Generator().manual_seed(2))
    settings = Settings(temperature=1, top_p=0.9, top_k=30, seed=3)
    at_once = Sampled(settings, CPU)(logits, chain(5), 0)
    one_by_one = Sampled(settings, CPU)
    assert at_once.tolist() == [int(one_by_one(logits[i : i + 1], chain(0), i)) for i in range(6)]


def test_siblings_share_one_draw():
    template = templates.grown(3)  # all three below the root
    logits = torch.zeros(4, 50)
    choices = Sampled(Settings(temperature=1), CPU)(logits, template, 0).tolist()
    assert template.depths == (0, 1, 1, 2)
    assert choices[1] == choices[2]


def test_greedy_takes_the_lowest_id_of_equal_logits():
    assert Greedy()(torch.tensor([[1.0, 3.0, 3.0]]), chain(0), 0).tolist() == [1]


@pytest.mark.parametrize("temperature", [1, 2])
def test_a_temperature_may_be_a_whole_number(temperature):
    # transformers' warper refuses 2 and takes 2.0; a script or a browser sends either.
    table = {t: [(t + 1) % 10] for t in range(10)}
    written = Settings(temperature=temperature, top_p=1, max_new_tokens=5)
    exact = Settings(temperature=float(temperature), max_new_tokens=5)
    texts = [record(Session(ToyTarget(table), s).start([0])).text for s in (written, exact)]
    assert texts[0] == texts[1]


def test_every_setting_of_sampling_is_an_argument_of_generate():
    sampled = Settings(temperature=0.5, top_p=0.9, top_k=3)
    assert sampled.sampling == {"temperature": 0.5, "top_p": 0.9, "top_k": 3}
    assert Settings().sampling == {}
    assert all(hasattr(GenerationConfig(), name) for name in sampled.sampling)


def test_another_seed_gives_another_text_and_the_same_seed_the_same():
    table = {t: [(t + 1) % 10] for t in range(10)}

    def text(seed):
        settings = Settings(temperature=3.0, seed=seed, max_new_tokens=30)
        return record(Session(ToyTarget(table), settings).start([0])).text

    assert text(1) == text(1)
    assert len({text(s) for s in range(5)}) == 5


@pytest.mark.parametrize("k", [1, 3])
def test_among_equal_logits_the_lowest_id_is_chosen_however_they_were_ranked(k):
    noise = torch.Generator().manual_seed(1)
    for _ in range(200):
        logits = torch.randint(4, (5, 9), generator=noise).float()  # ties nearly everywhere
        values, ids = logits.topk(k, dim=-1)
        assert Greedy().of_ranked(logits, values, ids).tolist() == logits.argmax(dim=-1).tolist()


def test_without_ties_the_logits_are_not_read_again(monkeypatch):
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, 1.0, 0.0]])
    values, ids = logits.topk(2, dim=-1)
    monkeypatch.setattr(torch.Tensor, "argmax", lambda self, dim: pytest.fail("read again"))
    assert Greedy().of_ranked(logits, values, ids).tolist() == [1, 0]
