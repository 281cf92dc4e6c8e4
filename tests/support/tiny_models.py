"""A tiny random model of every supported family, and tiny tokenizers: built here, nothing
downloaded.

A new family is one entry in ``CONFIGS``; the tests of trees, caches and losslessness pick it up.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from tr_core.attention.families import FAMILIES
from tr_core.models.hf_target import HFTarget
from tr_core.models.loading import wrap

# On busy cores two threads wait for each other longer than such small matrices take: 160 s instead
# of 8.
torch.set_num_threads(1)

VOCAB = 112
LENGTH = 128
WINDOW = 8

# Names that most families share; a family's entry in CONFIGS adds its own or overrides these.
_COMMON = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": LENGTH,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
_MIXED_LAYERS = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
_EXPERTS = {
    "num_experts_per_tok": 2,
    "num_local_experts": 4,
    "num_experts": 4,
    "moe_intermediate_size": 16,
}
_OLD_GPT = {
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": LENGTH,
    "n_inner": 48,
    "rotary_dim": 4,
}

CONFIGS: Mapping[str, dict] = {
    "cohere": {"logit_scale": 1.0},
    "cohere2": {**_MIXED_LAYERS, "logit_scale": 1.0},
    "deepseek_v3": {
        **_EXPERTS,
        "num_key_value_heads": 4,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 8,
        "v_head_dim": 12,
        "n_routed_experts": 4,
        "n_group": 1,
        "topk_group": 1,
        "first_k_dense_replace": 1,
    },
    "falcon": {
        "alibi": False,
        "new_decoder_architecture": False,
        "multi_query": True,
        "ffn_hidden_size": 48,
    },
    "gemma": {"head_dim": 8},
    "gemma2": {**_MIXED_LAYERS, "head_dim": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {**_MIXED_LAYERS, "head_dim": 8, "query_pre_attn_scalar": 8},
    "glm4": {"head_dim": 8},
    "gpt2": _OLD_GPT,
    "gpt_neox": {},
    "gpt_oss": {
        **_EXPERTS,
        **_MIXED_LAYERS,
        "head_dim": 8,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
    "gptj": _OLD_GPT,
    "granite": {},
    "llama": {},
    "mistral": {"sliding_window": WINDOW},
    "mixtral": {**_EXPERTS, "sliding_window": WINDOW},
    "olmo2": {},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "phi": {},
    "phi3": {"sliding_window": WINDOW},
    "qwen2": {**_MIXED_LAYERS, "use_sliding_window": True, "max_window_layers": 0},
    "qwen3": {**_MIXED_LAYERS, "use_sliding_window": True, "max_window_layers": 0, "head_dim": 8},
    "qwen3_moe": {**_EXPERTS, "use_sliding_window": True, "sliding_window": WINDOW, "head_dim": 8},
    "smollm3": {**_MIXED_LAYERS, "use_sliding_window": True, "no_rope_layers": [1, 0]},
    "stablelm": {},
    "starcoder2": {"sliding_window": WINDOW},
}

# Every supported family with every attention it can do.
CASES = [(name, attention) for name, family in FAMILIES.items() for attention in family.attention]


def config(family: str, **changes: object):
    """The tiny config of a family, listed or not."""
    return AutoConfig.for_model(family, **{**_COMMON, **CONFIGS.get(family, {}), **changes})


def model(
    family: str, attention: str = "eager", *, seed: int = 0, **changes: object
) -> PreTrainedModel:
    """A tiny random float32 model whose greedy output varies."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = AutoModelForCausalLM.from_config(
            config(family, **changes), dtype=torch.float32, attn_implementation=attention
        )
        liven(made)
    return made.eval()


def liven(made: PreTrainedModel) -> None:
    """Redraw all weights so large that attention matters and logits are far apart: no near-ties, no
    constant output.
    """
    for name, weight in made.named_parameters():
        if weight.dim() >= 2:
            table = "embed" in name or "wte" in name or "wpe" in name
            torch.nn.init.normal_(weight, std=0.2 if table else 1.6 / weight.shape[-1] ** 0.5)
        elif "norm" not in name and "ln_" not in name:
            torch.nn.init.normal_(weight, std=0.1)


@functools.cache
def _shared(family: str, attention: str) -> HFTarget:
    return wrap(model(family, attention), byte_tokenizer(), name=f"tiny-{family}")


def target(family: str, attention: str = "eager", **changes: object) -> HFTarget:
    """A target of a tiny model; models without changes are built once, each caller has its own
    cache.
    """
    if changes:
        return wrap(model(family, attention, **changes), byte_tokenizer(), name=f"tiny-{family}")
    return _shared(family, attention).fork()


@functools.cache
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level one: id 0 begins, id 1 ends, then printable ASCII and the bytes of “é” and “😀”,
    and two merges.
    """
    alphabet = sorted({c for c, b in _spelling().items() if 32 <= b < 127 or b in "é😀\n".encode()})
    tokens = ["<s>", "</s>", *alphabet, "th", "Ġth"]
    backend = Tokenizer(
        models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[("t", "h"), ("Ġ", "th")])
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>", "</s>"])
    backend.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


@functools.cache
def piece_tokenizer() -> PreTrainedTokenizerFast:
    """A SentencePiece-like one: “▁” for a space, ``<0xNN>`` for what it cannot spell."""
    tokens = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        *"abdeh",
        "▁a",
        "▁b",
    ]
    backend = Tokenizer(
        models.BPE(
            vocab={t: i for i, t in enumerate(tokens)},
            merges=[("▁", "a"), ("▁", "b")],
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def _spelling() -> dict[str, int]:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {char: byte for byte, char in bytes_to_unicode().items()}
