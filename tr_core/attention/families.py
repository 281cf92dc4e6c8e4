"""Model families that trees can decode, and the attention mask each one wants. No torch here.

A family is transformers' ``model_type``. Those in ``FAMILIES`` were checked token for token against
``generate`` (tests/decoding/test_lossless_families.py); those in ``REFUSED`` are known to be wrong.
Any other one must pass the probe of ``tr_core.models.exactness_probe`` when it is loaded. A new
family is one line in ``FAMILIES`` and one tiny config in tests/support/tiny_models.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from tr_core.errors import UnsupportedModelError

# The form of the mask: one tensor for layers that all see everything; one tensor for layers
# that all see ``config.sliding_window`` positions; or one tensor per entry of
# ``config.layer_types``.
MaskForm = Literal["full", "window", "by_layer_type"]

MAX_LENGTH_UNKNOWN = 1_000_000_000
FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class Family:
    """How one family is run.

    Attributes:
        name: transformers' ``model_type``.
        mask: the form of its mask; see ``MaskForm``.
        attention: attention implementations that take a tree mask, the preferred one first.
        position_table: whether positions are looked up in a table, so that one beyond its end
            crashes.
        listed: whether it is in ``FAMILIES``; if not, it must pass the probe.
    """

    name: str
    mask: MaskForm = "full"
    attention: tuple[str, ...] = ("sdpa", "eager")
    position_table: bool = False
    listed: bool = True


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("cohere"),
            Family("cohere2", mask="by_layer_type"),
            Family("deepseek_v3"),
            Family("falcon"),
            Family("gemma"),
            Family("gemma2", mask="by_layer_type", attention=("eager",)),
            Family("gemma3_text", mask="by_layer_type"),
            Family("glm4"),
            Family("gpt2", position_table=True),
            Family("gpt_neox"),
            Family("gpt_oss", mask="by_layer_type", attention=("eager",)),
            Family("gptj", attention=("eager",), position_table=True),
            Family("granite"),
            Family("llama"),
            Family("mistral", mask="window"),
            Family("mixtral", mask="window"),
            Family("olmo2"),
            Family("opt", position_table=True),
            Family("phi"),
            Family("phi3", mask="window"),
            Family("qwen2", mask="by_layer_type"),
            Family("qwen3", mask="by_layer_type"),
            Family("qwen3_moe", mask="window"),
            Family("smollm3", mask="by_layer_type"),
            Family("stablelm"),
            Family("starcoder2", mask="window"),
        )
    }
)

_ALIBI = "it writes positions into attention by distance (ALiBi), and its code takes no tree mask"
_STATE = "some of its layers carry a running state, which cannot branch into a tree"
_ENCODER = "it reads in both directions and does not write from left to right"
_CHUNKS = "it cuts the text into attention chunks, which a tree mask does not keep"

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("bloom", "mpt"), _ALIBI),
        "doge": "it drops parts of a long text by a rule that a tree mask does not keep",
        "gpt_neo": "its local attention layers do not keep to a tree mask",
        **dict.fromkeys(
            (
                *(
                    "bamba",
                    "falcon_h1",
                    "falcon_mamba",
                    "granitemoehybrid",
                    "jamba",
                    "kimi_linear",
                    "lfm2",
                    "lfm2_moe",
                ),
                *(
                    "mamba",
                    "mamba2",
                    "minimax",
                    "nemotron_h",
                    "olmo_hybrid",
                    "qwen3_5",
                    "qwen3_5_moe",
                    "qwen3_5_text",
                ),
                *("qwen3_next", "recurrent_gemma", "rwkv", "xlstm", "zamba", "zamba2"),
            ),
            _STATE,
        ),
        **dict.fromkeys(
            ("albert", "bert", "camembert", "electra", "modernbert", "roberta", "xlm-roberta"),
            _ENCODER,
        ),
        **dict.fromkeys(("llama4", "llama4_text"), _CHUNKS),
    }
)

# Signs, in the config of an unlisted family, of attention that does not see everything before it.
_LIMITED_ATTENTION = (
    "sliding_window",
    "attention_window",
    "local_attention_window",
    "attention_chunk_size",
    "alibi",
)


def family_of(config: Any) -> Family:
    """The family of a transformers config, listed or not.

    Raises:
        UnsupportedModelError: a tree would not equal plain decoding on this model, or it is no
            decoder of text.
    """
    name = config.model_type
    reason = REFUSED.get(name) or _reason_against(config)
    if reason is None and name not in FAMILIES:
        reason = _reason_against_unlisted(config)
    if reason is not None:
        raise UnsupportedModelError(
            f"Models of the family “{name}” cannot be decoded by trees: {reason}. Choose another"
            " model."
        )
    return FAMILIES.get(name, Family(name, listed=False))


def window_of(config: Any, family: Family) -> int | None:
    """Positions that a sliding layer sees, its own included; None if no layer slides."""
    if family.mask == "full" or (
        family.mask == "by_layer_type" and SLIDING not in layer_types(config)
    ):
        return None
    return config.sliding_window


def layer_types(config: Any) -> frozenset[str]:
    """The kinds of attention layers that a config names; empty if it names none."""
    return frozenset(getattr(config, "layer_types", None) or ())


def max_length_of(config: Any) -> int:
    """Tokens that a sequence of this model may have, prompt and output.

    LongRoPE changes the angles of all positions once a sequence outgrows the original length, so a
    tree that reaches beyond it would change the text before it. Such a model ends at the original
    length.
    """
    names = (
        "max_position_embeddings",
        "n_positions",
        "max_sequence_length",
        "max_seq_len",
        "seq_length",
        "n_ctx",
    )
    lengths = [getattr(config, name, None) for name in names]
    length = next((n for n in lengths if isinstance(n, int) and n > 0), MAX_LENGTH_UNKNOWN)
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        length = min(length, rope["original_max_position_embeddings"])
    return length


def reach_of(config: Any, family: Family) -> int:
    """Tokens that a sequence may have before tree passes or the model itself fail.

    Between ``max_length_of`` and this the model runs, but outside the range it was trained for.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    bounded = (
        family.position_table
        or not family.listed
        or rope.get("rope_type") in ("dynamic", "longrope")
    )
    return max_length_of(config) if bounded else MAX_LENGTH_UNKNOWN


def _reason_against(config: Any) -> str | None:
    """Why a config of any family rules trees out, or None."""
    if getattr(config, "is_encoder_decoder", False):
        return "it is an encoder and a decoder, not a decoder alone"
    if config.get_text_config() is not config:
        return "it is a language model inside a model of several inputs, such as images or sound"
    if config.model_type == "falcon" and getattr(config, "alibi", False):
        return _ALIBI
    if (
        getattr(config, "use_bidirectional_attention", False)
        or getattr(config, "is_causal", True) is False
    ):
        return _ENCODER
    odd = layer_types(config) - {FULL, SLIDING}
    if odd:
        return f"it has layers of the kind “{min(odd)}”"
    return None


def _reason_against_unlisted(config: Any) -> str | None:
    """Why an unchecked family is not even probed, or None."""
    limited = [name for name in _LIMITED_ATTENTION if getattr(config, name, None)]
    if SLIDING in layer_types(config):
        limited.append("layer_types")
    if limited:
        return (
            f"its layers do not all see the whole text (“{limited[0]}” in its config), and it"
            " has not been checked"
        )
    return None
