"""``model.generate(…, custom_generate=token_recycling)`` is plain ``generate``, id by id, with all
of its settings.
"""

from __future__ import annotations

import functools
import gc
import time
import weakref

import pytest
import torch
from transformers import (
    DynamicCache,
    GenerationConfig,
    LogitsProcessor,
    StaticCache,
    StoppingCriteria,
    StopStringCriteria,
    TextIteratorStreamer,
    WatermarkingConfig,
)

from tests.support import tiny_models as tiny
from tr_core import CandidateMatrix, TokenRecyclingError, token_recycling
from tr_core.drafters.registry import DRAFTERS
from tr_core.drafters.token_recycling_dynamic import TokenRecyclingDynamic
from tr_core.errors import PromptError
from tr_core.generate import method as generate_room

# One of each kind: all layers alike, mixed layers, a table of positions, a window everywhere,
# experts.
FAMILIES = ["llama", "gemma3_text", "gpt2", "mistral", "qwen3_moe"]
PROMPT = torch.tensor([[5, 9, 33, 41, 5, 9, 33, 41, 17, 5, 9]])
NEW = 24


@functools.cache
def model(family):
    return tiny.model(family)


@functools.cache
def free(family):
    """What the model writes by itself, new tokens only: for words to be forbidden and ends to be
    met.
    """
    return plain(model(family), eos_token_id=None)[0, PROMPT.shape[1] :].tolist()


def plain(decoder, inputs=PROMPT, **settings):
    return decoder.generate(inputs, **{"max_new_tokens": NEW, **settings})


def ours(decoder, inputs=PROMPT, **settings):
    return plain(
        decoder, inputs, **{"custom_generate": token_recycling, "tree": "small-16", **settings}
    )


class Moody(LogitsProcessor):
    """Remembers how often it was called, and throws dice: right only if called once a token and in
    order.
    """

    def __init__(self):
        self.calls = 0

    def __call__(self, input_ids, scores):
        self.calls += 1
        favourite = int(input_ids.sum()) % scores.shape[-1]
        dice = torch.rand(1).item()
        return scores.index_add(
            1, torch.tensor([favourite]), torch.tensor([[3.0 * (self.calls % 3) * dice]])
        )


class EndsWith(StoppingCriteria):
    """Ends the output behind a pair of tokens, and counts how often it is asked."""

    def __init__(self, pair):
        self.pair, self.asked = pair, 0

    def __call__(self, input_ids, scores, **more):
        self.asked += 1
        return torch.tensor([input_ids[0, -2:].tolist() == self.pair])


def greedy_settings(family):
    text = free(family)
    late = max(set(text), key=text.index)
    often = max(set(text), key=text.count)
    return {
        "nothing": {},
        "max_length": {"max_new_tokens": None, "max_length": 30},
        "an end in the middle": {"eos_token_id": [late, 3]},
        "the end put off": {"eos_token_id": [often, 3], "min_new_tokens": 9},
        "min_length": {"eos_token_id": [often], "min_length": 20},
        "forced end": {"eos_token_id": 3, "forced_eos_token_id": 3},
        "sooner and sooner": {"eos_token_id": 3, "exponential_decay_length_penalty": (4, 1.6)},
        "repetition_penalty": {"repetition_penalty": 1.4},
        "encoder_repetition_penalty": {"encoder_repetition_penalty": 1.4},
        "no_repeat_ngram_size": {"no_repeat_ngram_size": 2},
        "encoder_no_repeat_ngram_size": {"encoder_no_repeat_ngram_size": 2},
        "bad words": {"bad_words_ids": [[text[2]], text[5:7]]},
        "sequence_bias": {"sequence_bias": [[[often], -4.0], [text[3:5], -9.0]]},
        "suppress_tokens": {"suppress_tokens": [often]},
        "begin_suppress_tokens": {"begin_suppress_tokens": [text[0]]},
        "prefix_allowed_tokens_fn": {
            "prefix_allowed_tokens_fn": lambda batch, ids: range(int(ids[-1]) % 7, 112, 3)
        },
        "renormalize_logits": {"renormalize_logits": True, "remove_invalid_values": True},
        "guidance": {"guidance_scale": 1.5},
        "watermark": {"watermarking_config": WatermarkingConfig(bias=2.0)},
        "use_cache": {"use_cache": False},
        "several at once": {
            "repetition_penalty": 1.2,
            "no_repeat_ngram_size": 3,
            "suppress_tokens": [often],
        },
    }


SAMPLED = {
    "bare": {},
    "temperature": {"temperature": 0.5},
    "top_k": {"top_k": 5},
    "top_p": {"top_p": 0.7, "top_k": 0},
    "top_h": {"top_h": 0.5},
    "min_p": {"min_p": 0.1},
    "typical_p": {"typical_p": 0.6},
    "epsilon_cutoff": {"epsilon_cutoff": 0.01},
    "eta_cutoff": {"eta_cutoff": 0.02},
    "with penalties": {"temperature": 0.7, "repetition_penalty": 1.2, "no_repeat_ngram_size": 3},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_output_is_that_of_plain_generate(family):
    passes, tokens, steps = 0, 0, []
    for name, settings in greedy_settings(family).items():
        settings = {"eos_token_id": None, **settings}
        expected = plain(model(family), **settings)
        steps.clear()
        found = ours(model(family), **settings, on_step=steps.append)
        assert found.tolist() == expected.tolist(), name
        passes += len(steps)
        tokens += found.shape[1] - PROMPT.shape[1]
    assert passes < tokens - 50, (
        "nothing was accepted: plain decoding would have been compared with itself"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_sampled_output_and_the_generator_behind_it_are_those_of_plain_generate(family):
    for name, settings in SAMPLED.items():
        for seed in (0, 7):
            settings = {"do_sample": True, "eos_token_id": None, **settings}
            torch.manual_seed(seed)
            expected = plain(model(family), **settings)
            after = torch.get_rng_state()
            torch.manual_seed(seed)
            assert ours(model(family), **settings).tolist() == expected.tolist(), (name, seed)
            assert torch.equal(torch.get_rng_state(), after), name


def test_each_drafter_gives_the_same_output_cold_and_hot():
    torch.manual_seed(5)
    expected = plain(model("llama"), do_sample=True, eos_token_id=None)
    hot = TokenRecyclingDynamic(tiny.VOCAB, 6)
    for drafter in (*DRAFTERS, hot, hot):
        torch.manual_seed(5)
        with torch.inference_mode():
            found = ours(model("llama"), do_sample=True, eos_token_id=None, drafter=drafter)
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("sample", [False, True])
def test_processors_and_criteria_with_a_memory_are_called_once_a_token_and_in_order(sample):
    pair = free("llama")[6:8]
    settings = {"do_sample": sample, "eos_token_id": None}
    torch.manual_seed(1)
    theirs, ending = Moody(), EndsWith(pair)
    expected = plain(
        model("llama"), logits_processor=[theirs], stopping_criteria=[ending], **settings
    )
    torch.manual_seed(1)
    mine, asked = Moody(), EndsWith(pair)
    found = ours(model("llama"), logits_processor=[mine], stopping_criteria=[asked], **settings)
    assert found.tolist() == expected.tolist()
    assert (mine.calls, asked.asked) == (theirs.calls, ending.asked)


def test_a_criterion_ends_the_output_in_the_middle_of_a_path():
    text = free("llama")
    for place in range(2, 12):
        ending = EndsWith(text[place - 1 : place + 1])
        steps = []
        found = ours(
            model("llama"), eos_token_id=None, stopping_criteria=[ending], on_step=steps.append
        )
        first = next(n for n in range(1, NEW) if text[n - 1 : n + 1] == ending.pair)
        assert found[0, PROMPT.shape[1] :].tolist() == text[: first + 1]
        assert steps[-1].stop == "criterion"
        assert ending.asked == first + 1


def test_max_time_and_stop_strings():
    stopped = ours(model("llama"), eos_token_id=None, max_time=0.0)
    assert stopped.shape[1] == PROMPT.shape[1] + 1
    tokenizer = tiny.byte_tokenizer()
    word = tokenizer.decode(free("llama")[5:7])
    expected = plain(model("llama"), eos_token_id=None, stop_strings=[word], tokenizer=tokenizer)
    assert PROMPT.shape[1] + 1 < expected.shape[1] < PROMPT.shape[1] + NEW
    criterion = StopStringCriteria(tokenizer, [word])
    found = ours(model("llama"), eos_token_id=None, stopping_criteria=[criterion])
    whole = generate_room.generate(
        model("llama"),
        inputs=PROMPT,
        max_new_tokens=NEW,
        eos_token_id=None,
        stop_strings=word,
        tokenizer=tokenizer,
    )
    assert found.tolist() == whole.tolist() == expected.tolist()


class Listening:
    def __init__(self):
        self.heard = []

    def put(self, value):
        self.heard.append((tuple(value.shape), value.tolist()))

    def end(self):
        self.heard.append("end")


@pytest.mark.parametrize("penalty", [1.0, 1.2])
def test_a_streamer_hears_what_it_hears_from_plain_generate(penalty):
    theirs, mine = Listening(), Listening()
    plain(model("llama"), streamer=theirs, repetition_penalty=penalty)
    ours(model("llama"), streamer=mine, repetition_penalty=penalty)
    assert mine.heard == theirs.heard
    assert mine.heard[-1] == "end"


def test_a_text_streamer_comes_to_its_end():
    streamer = TextIteratorStreamer(tiny.byte_tokenizer(), skip_prompt=True, timeout=5)
    found = ours(model("llama"), streamer=streamer, eos_token_id=None)
    assert "".join(streamer) == tiny.byte_tokenizer().decode(found[0, PROMPT.shape[1] :])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_output_as_a_dictionary(family):
    settings = {
        "return_dict_in_generate": True,
        "output_scores": True,
        "output_logits": True,
        "repetition_penalty": 1.2,
        "eos_token_id": None,
    }
    expected, found = plain(model(family), **settings), ours(model(family), **settings)
    assert type(found) is type(expected)
    assert found.sequences.tolist() == expected.sequences.tolist()
    for name in ("scores", "logits"):
        assert len(found[name]) == NEW
        for mine, theirs in zip(found[name], expected[name], strict=True):
            assert mine.shape == theirs.shape
            torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    # The cache is that of plain decoding, so that a next turn goes on from it.
    longer = torch.cat((found.sequences, PROMPT), dim=-1)
    more = {"max_new_tokens": 8, "eos_token_id": None}
    want = model(family).generate(longer, past_key_values=expected.past_key_values, **more)
    assert (
        model(family).generate(longer, past_key_values=found.past_key_values, **more).tolist()
        == want.tolist()
    )
    assert plain(model(family), longer, **more).tolist() == want.tolist()


def test_a_cache_of_the_caller_is_filled():
    cache = DynamicCache(config=model("llama").config)
    found = ours(model("llama"), past_key_values=cache, eos_token_id=None)
    assert cache.get_seq_length() == found.shape[1] - 1


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_at_the_left(family):
    inputs = torch.cat((torch.zeros(1, 5, dtype=torch.long), PROMPT), dim=-1)
    mask = torch.tensor([[0] * 5 + [1] * PROMPT.shape[1]])
    for settings in ({}, {"repetition_penalty": 1.3}, {"no_repeat_ngram_size": 2}):
        settings = {"attention_mask": mask, "eos_token_id": None, **settings}
        assert (
            ours(model(family), inputs, **settings).tolist()
            == plain(model(family), inputs, **settings).tolist()
        )


def test_a_hot_matrix_learns_and_saves_passes():
    decoder = model("llama")
    matrix = CandidateMatrix(tiny.VOCAB, 4)
    settings = {"eos_token_id": None, "matrix": matrix, "tree": "small-8"}
    cold, hot = [], []
    first = ours(decoder, **settings, on_step=cold.append)
    assert matrix.rows_seen > 5
    assert ours(decoder, **settings, on_step=hot.append).tolist() == first.tolist()
    assert len(hot) < len(cold)
    assert [t for step in hot for t in step.emitted] == first[0, PROMPT.shape[1] :].tolist()


def test_the_model_stays_as_it_was():
    decoder = tiny.model("llama", "sdpa")
    decoder.generation_config = GenerationConfig(repetition_penalty=1.3, eos_token_id=None)
    before = (decoder.generation_config.to_dict(), decoder.config.to_dict(), dict(vars(decoder)))
    grads = [p.requires_grad for p in decoder.parameters()]
    assert ours(decoder).tolist() == plain(decoder).tolist()
    assert (
        decoder.generation_config.to_dict(),
        decoder.config.to_dict(),
        dict(vars(decoder)),
    ) == before
    assert decoder.config._attn_implementation == "sdpa"
    assert [p.requires_grad for p in decoder.parameters()] == grads
    gone = weakref.ref(decoder)
    del decoder, before
    gc.collect()
    assert gone() is None, "what is remembered of a model must not keep it alive"


def test_auto_measures_a_model_once(monkeypatch):
    measured = []
    monkeypatch.setattr("tr_core.decoding.measure_cost.SECONDS", 0.0)
    measure = __import__("tr_core.decoding.measure_cost", fromlist=["measure"]).measure
    monkeypatch.setattr(
        "tr_core.decoding.measure_cost.measure", lambda *a: measured.append(1) or measure(*a)
    )
    decoder = tiny.model("llama")
    expected = plain(decoder, eos_token_id=None)
    for _ in range(2):
        assert ours(decoder, tree="auto", eos_token_id=None).tolist() == expected.tolist()
    assert len(measured) == 1


def test_beyond_the_trained_length_as_far_as_positions_reach():
    inputs = torch.arange(2, 112).repeat(2)[None, : tiny.LENGTH - 4]
    settings = {"max_new_tokens": 12, "eos_token_id": None}
    assert (
        ours(model("llama"), inputs, **settings).tolist()
        == plain(model("llama"), inputs, **settings).tolist()
    )
    with pytest.raises(PromptError, match="outgrown the 128 tokens"):
        ours(model("gpt2"), inputs, **settings)
    settings["max_new_tokens"] = 5  # the last of them needs no place in the table
    assert (
        ours(model("gpt2"), inputs, **settings).tolist()
        == plain(model("gpt2"), inputs, **settings).tolist()
    )


def refusals():
    two = PROMPT.repeat(2, 1)
    holes = torch.ones_like(PROMPT)
    holes[0, 4] = 0
    embeddings = torch.zeros(1, 4, 32)
    full = DynamicCache()
    full.update(torch.zeros(1, 2, 3, 8), torch.zeros(1, 2, 3, 8), 0)
    static = StaticCache(config=tiny.config("llama"), max_cache_len=64)
    return {
        "beams": ({"num_beams": 2}, "not by beam search"),
        "several outputs": (
            {"num_return_sequences": 2, "do_sample": True},
            "one sequence at a time, this call has 2",
        ),
        "several prompts": ({"inputs": two}, "one sequence at a time, this call has 2"),
        "an assistant": ({"assistant_model": tiny.model("llama")}, "makes its own drafts"),
        "a look-up": ({"prompt_lookup_num_tokens": 3}, "makes its own drafts"),
        "contrastive search": ({"penalty_alpha": 0.6, "top_k": 4}, "not by contrastive search"),
        "embeddings": ({"inputs": None, "inputs_embeds": embeddings}, "instead of inputs_embeds"),
        "holes in the mask": ({"attention_mask": holes}, "padding at the left only"),
        "odd positions": ({"position_ids": torch.arange(1, 12)[None]}, "omit position_ids"),
        "a full cache": ({"past_key_values": full}, "an empty DynamicCache"),
        "a static cache": ({"past_key_values": static}, "an empty DynamicCache"),
        "a kind of cache": ({"cache_implementation": "static"}, "not a static one"),
        "attentions": (
            {"return_dict_in_generate": True, "output_attentions": True},
            "scores or logits only",
        ),
        "steps in time": ({"synced_gpus": True}, "cannot keep step"),
        "no such drafter": ({"drafter": "nobody"}, "no drafter “nobody”"),
        "no such tree": ({"tree": "oak"}, "oak"),
        "a matrix too many": (
            {"matrix": CandidateMatrix(112, 8), "drafter": "none"},
            "omit drafter or matrix",
        ),
        "a foreign matrix": ({"matrix": CandidateMatrix(50, 8)}, "the model needs 112 on cpu"),
        "k for another matrix": (
            {"matrix": CandidateMatrix(112, 4), "k": 8},
            "k = 4, the settings ask for k = 8",
        ),
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", refusals())
def test_what_cannot_be_exact_is_refused_in_one_sentence(name):
    settings, words = refusals()[name]
    inputs = settings.pop("inputs", PROMPT)
    with pytest.raises(TokenRecyclingError) as told:
        ours(model("llama"), inputs, **settings)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_models_that_cannot_be_decoded_are_refused_untouched():
    training = tiny.model("llama").train()
    with pytest.raises(TokenRecyclingError, match=r"call model\.eval\(\)"):
        ours(training)
    assert training.training
    with pytest.raises(TokenRecyclingError, match="“bloom” cannot be decoded by trees"):
        ours(tiny.model("bloom", n_layer=1, n_head=4, hidden_size=32))
    flexible = tiny.model("llama")
    flexible.config._attn_implementation = "flex_attention"
    with pytest.raises(TokenRecyclingError, match="attn_implementation=“sdpa”"):
        ours(flexible)


def test_stop_strings_need_a_tokenizer():
    with pytest.raises(TokenRecyclingError, match="give it as tokenizer="):
        generate_room.generate(model("llama"), inputs=PROMPT, stop_strings="a", max_new_tokens=3)


def test_a_slow_reader_cannot_make_the_output_differ():
    # MaxTime is asked after each token, so a path is cut where the clock says so, as in plain
    # decoding.
    class Slow(Listening):
        def put(self, value):
            super().put(value)
            time.sleep(0.02 if value.dim() == 1 else 0)

    slow = Slow()
    found = ours(model("llama"), streamer=slow, max_time=0.05, eos_token_id=None)
    assert len(slow.heard) == found.shape[1] - PROMPT.shape[1] + 2
    assert found.shape[1] < PROMPT.shape[1] + NEW
