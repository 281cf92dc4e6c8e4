"""Checks whether trees can do a call of ``generate`` exactly; one error sentence per obstacle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.integrations import is_deepspeed_zero3_enabled, is_fsdp_managed_module

from tr_core.errors import SettingsError

_MODES = ("greedy_search", "sample")
# Arguments for the model that decoding either honours below, or that only say how its passes are
# run.
_KNOWN = frozenset(
    {"attention_mask", "position_ids", "past_key_values", "use_cache", "logits_to_keep"}
)


@dataclass(frozen=True)
class Request:
    """What a call requests besides processors and criteria.

    Attributes:
        padding: tokens at the left of the prompt that the model must not see.
        ends: end tokens.
        scores, logits: whether these are to be returned.
        cache: the cache that ``generate`` or its caller made, still empty; None without one.
        fills_cache: whether the caller can see it.
    """

    padding: int
    ends: frozenset[int]
    scores: bool
    logits: bool
    cache: Cache | None
    fills_cache: bool


def read_request(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    config: GenerationConfig,
    model_kwargs: Mapping[str, Any],
    *,
    assistant: bool,
    synced: bool,
) -> Request:
    """Read a call of ``generate``.

    Args:
        model, input_ids, config, model_kwargs: as a decoding method receives them.
        assistant: whether the caller gave an assistant model.
        synced: whether it requested passes in step with other processes.

    Raises:
        SettingsError: the call cannot be exact here.
    """
    mode = str(config.get_generation_mode().value)
    if assistant or mode == "assisted_generation":
        raise SettingsError(
            "Token recycling makes its own drafts: omit assistant_model, prompt_lookup_num_tokens"
            " and the like."
        )
    if mode not in _MODES:
        raise SettingsError(
            f"Token recycling decodes greedily or by sampling, not by {mode.replace('_', ' ')}:"
            " omit its settings, or call generate without custom_generate."
        )
    if config.num_return_sequences not in (None, 1) or input_ids.shape[0] != 1:
        raise SettingsError(
            f"Token recycling decodes one sequence at a time, this call has {input_ids.shape[0]}:"
            " call generate once per sequence."
        )
    if synced or is_fsdp_managed_module(model) or is_deepspeed_zero3_enabled():
        raise SettingsError(
            "Token recycling takes fewer passes than plain decoding, so it cannot keep step with"
            " other processes (synced_gpus, FSDP, ZeRO-3): gather the model's weights first."
        )
    if model.training:
        raise SettingsError("The model is set to training: call model.eval() first.")
    given = {
        name for name, value in model_kwargs.items() if value is not None and value is not False
    }
    if "inputs_embeds" in given or input_ids.shape[1] == 0:
        raise SettingsError(
            "Token recycling drafts from token ids: give input_ids instead of inputs_embeds."
        )
    if given & {"output_attentions", "output_hidden_states"}:
        raise SettingsError(
            "A tree pass has other attentions and hidden states than plain decoding: request"
            " scores or logits only."
        )
    if unknown := sorted(given - _KNOWN):
        raise SettingsError(f"Token recycling does not pass “{unknown[0]}” to the model: omit it.")
    if config.cache_implementation not in (None, "dynamic"):
        raise SettingsError(
            f"Token recycling keeps a cache of its own, not a {config.cache_implementation} one:"
            " omit cache_implementation."
        )
    padding = _padding(model_kwargs.get("attention_mask"), input_ids)
    _check_positions(model_kwargs.get("position_ids"), input_ids.shape[1], padding)
    cache = model_kwargs.get("past_key_values")
    own = getattr(cache, "_is_user_defined", False)
    if own and (type(cache) is not DynamicCache or cache.get_seq_length() or padding):
        raise SettingsError(
            "Token recycling fills an empty DynamicCache, and no other, for a prompt without"
            " padding: omit past_key_values and give the whole text as input_ids."
        )
    as_dict = bool(config.return_dict_in_generate)
    ends = getattr(config, "_eos_token_tensor", None)
    return Request(
        padding=padding,
        ends=frozenset() if ends is None else frozenset(ends.flatten().tolist()),
        scores=as_dict and bool(config.output_scores),
        logits=as_dict and bool(config.output_logits),
        cache=cache,
        fills_cache=cache is not None and (own or (as_dict and not padding)),
    )


def _padding(mask: torch.Tensor | None, input_ids: torch.Tensor) -> int:
    """How many tokens at the left the mask hides.

    Raises:
        SettingsError: it hides others too, or all of them.
    """
    if mask is None:
        return 0
    if mask.shape != input_ids.shape:
        raise SettingsError(
            f"attention_mask must have shape {tuple(input_ids.shape)}, got {tuple(mask.shape)}."
        )
    seen = mask[0].bool().tolist()
    padding = seen.index(True) if True in seen else len(seen)
    if not all(seen[padding:]) or padding == len(seen):
        raise SettingsError(
            "Token recycling takes padding at the left only, but attention_mask hides other tokens"
            " of the prompt (or pad_token_id is among them): give"
            " attention_mask=torch.ones_like(input_ids), or remove those tokens."
        )
    return padding


def _check_positions(positions: torch.Tensor | None, length: int, padding: int) -> None:
    """Refuse positions other than 0, 1, 2 … from the first visible token.

    Raises:
        SettingsError: the positions differ.
    """
    if positions is None:
        return
    expected = list(range(length - padding))
    if positions.dim() != 2 or positions[0, padding:].tolist() != expected:
        raise SettingsError(
            "Token recycling counts positions from 0 without a gap: omit position_ids."
        )
