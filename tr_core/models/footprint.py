"""Bytes that a forward pass has to read: what decoding one token at a time spends its time on."""

from __future__ import annotations

from transformers import PreTrainedModel
from transformers.cache_utils import Cache


def weight_bytes(model: PreTrainedModel) -> int:
    """Bytes of all weights, shared ones once, without an input embedding of which a pass reads a
    few rows only.

    An embedding that is also the output layer is read whole. A mixture of experts reads fewer: its
    experts are all counted here.
    """
    total = sum(p.numel() * p.element_size() for p in model.parameters())
    rows, output = model.get_input_embeddings().weight, model.get_output_embeddings()
    tied = output is not None and output.weight is rows
    return total if tied else total - rows.numel() * rows.element_size()


def cache_bytes_per_token(cache: Cache) -> int:
    """Bytes of one token's keys and values over all layers; 0 while nothing is in the cache."""
    return sum(
        states.shape[1] * states.shape[-1] * states.element_size()
        for layer in cache.layers
        if layer.is_initialized
        for states in (layer.keys, layer.values)
    )
