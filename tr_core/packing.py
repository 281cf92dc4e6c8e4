"""Linear layers whose weights are laid out once for the CPU's matrix kernels, so that a small tree is a cheap pass.

torch hands each float32 product to MKL, which lays the weights out anew at every call of more than one token, and each
bfloat16 product to oneDNN, which does so too. With weights laid out beforehand, as torch.compile's freezing does on a
CPU, a pass over 17 tokens of the bundled model takes a quarter less time, and half with the shape of SmolLM2-135M
(float32, benchmarks/packing.py); and each token's numbers are the same whatever it comes with, in float32 too.

Where query heads share keys, transformers repeats these under a tree's mask; here the kernel shares them, same bits.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

# Copies of a model's linear weights, above which it runs unpacked: a bigger one would need its memory twice.
LIMIT_BYTES = 4 * 2**30
# Tokens that the layout is made for; it serves any number.
_TOKENS = 16
_DTYPES = (torch.float32, torch.bfloat16)
_SHARED_KEYS = "token_recycling_shared_keys"


class PackedLinear(nn.Module):
    """What ``nn.Linear`` computes, (…, i) → (…, o), from a copy of its weights laid out for oneDNN."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        # torch's own operators for frozen models; those of torch.utils.mkldnn convert each input and output.
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _TOKENS)
        self._product = torch.ops.mkldnn._linear_pointwise.default

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self._product(inputs, self.packed, self.bias, "none", [], "")


def packed(model: PreTrainedModel) -> PreTrainedModel:
    """A model that shares all parameters of ``model``, but runs its linear layers from packed copies of their weights.

    ``model`` itself where that cannot be: not on a CPU, a CPU or a dtype that oneDNN does not serve, quantised or
    split weights, or more than ``LIMIT_BYTES`` to copy. Neither sees later changes of the other's modules; a linear
    layer's weight that is changed later is changed in ``model`` alone.
    """
    layers = {name: layer for name, layer in model.named_modules() if _can_pack(layer)}
    bytes_ = sum(layer.weight.nbytes for layer in layers.values())
    if not layers or bytes_ > LIMIT_BYTES or not _served(next(iter(layers.values()))):
        return model
    shared = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    twin = deepcopy(model, shared)
    with torch.inference_mode():
        for name, layer in layers.items():
            twin.set_submodule(name, PackedLinear(layer))
    if model.config._attn_implementation == "sdpa" and model._supports_attention_backend:
        AttentionInterface.register(_SHARED_KEYS, _attention)
        AttentionMaskInterface.register(_SHARED_KEYS, sdpa_mask)
        twin.config._attn_implementation = _SHARED_KEYS
    return twin


def _attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' sdpa attention; a masked one of grouped heads without repeating keys and values."""
    if attention_mask is None or key.shape[1] == query.shape[1] or more.get("position_bias") is not None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **more)
    told = scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=True)
    return told.transpose(1, 2).contiguous(), None


def _can_pack(layer: nn.Module) -> bool:
    """Nothing but a plain linear layer on the CPU: no quantised, adapted, hooked or distributed one."""
    if type(layer) is not nn.Linear or type(layer.weight) is not nn.Parameter:
        return False
    hooked = layer._forward_hooks or layer._forward_pre_hooks or hasattr(layer, "_hf_hook")
    return layer.weight.device.type == "cpu" and layer.weight.dtype in _DTYPES and not hooked


@torch.inference_mode()
def _served(layer: nn.Linear) -> bool:
    """Whether this torch and this CPU can run a packed layer: tried, since neither tells."""
    if not torch.backends.mkldnn.is_available():
        return False
    inputs = torch.ones(2, layer.in_features, dtype=layer.weight.dtype)
    try:
        told = PackedLinear(layer)(inputs)
    except (RuntimeError, AttributeError):
        return False
    return torch.allclose(told, layer(inputs), rtol=1e-2, atol=1e-2)
