"""Linear layers with weights laid out once for the CPU's kernels: small trees are cheap passes.

torch gives each float32 product to MKL and each bfloat16 product to oneDNN. Both lay the weights
out again at every call of more than a few tokens. With weights laid out beforehand, as
torch.compile's freezing does on a CPU, a pass over 17 tokens takes a quarter to a half less time
(benchmarks/steps/packing.py). MKL does it in float32 on Intel's processors, for which it is made;
oneDNN elsewhere and in bfloat16.

A call costs some time before it computes anything, with oneDNN 20 µs, more than a small layer's
product. So layers that get the same input (queries, keys and values; gate and up) are one product,
of which each takes its columns. And where oneDNN computes on an Intel processor, a lone token runs
from the weights as they are stored, which is faster.

Where query heads share keys, transformers repeats these under a tree's mask; here the kernel shares
them, same bits.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

# Copies of a model's linear weights, above which it runs unpacked: a bigger one would need its
# memory twice.
LIMIT_BYTES = 4 * 2**30
# Tokens that the layout is made for; it serves any number, and these are tried before it is
# trusted.
_TOKENS = 32
_TRIED = (1, 2, 5, 17, 81, 300)
_DTYPES = (torch.float32, torch.bfloat16)
Kernel = Callable[[torch.Tensor, torch.Tensor | None], Callable[[torch.Tensor], torch.Tensor]]
_SHARED_KEYS = "token_recycling_shared_keys"
# Where the product of several layers stays with their input.
_PRODUCT = "_token_recycling_product"
# Layers that get one input in transformers' models, if they are of one module. Should one get
# another, it is seen.
_TOGETHER = (
    ("q_proj", "k_proj", "v_proj"),
    ("query", "key", "value"),
    ("gate_proj", "up_proj"),
    ("w1", "w3"),
)


def _on_intel() -> bool:
    """Whether the processor names itself as Intel's: to Linux, elsewhere to Python."""
    info = Path("/proc/cpuinfo")
    return "GenuineIntel" in (info.read_text() if info.exists() else platform.processor())


_ON_INTEL = _on_intel()


def _by_onednn(
    weights: torch.Tensor, bias: torch.Tensor | None
) -> Callable[[torch.Tensor], torch.Tensor]:
    """(…, i) → (…, o), computed by oneDNN from its own copy of ``weights`` (o, i)."""
    # torch's own operators for frozen models; those of torch.utils.mkldnn convert each input and
    # output.
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weights, _TOKENS)
    compute = torch.ops.mkldnn._linear_pointwise.default
    return lambda inputs: compute(inputs, laid_out, bias, "none", [], "")


def _by_mkl(
    weights: torch.Tensor, bias: torch.Tensor | None
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same by MKL, float32 only."""
    # The operator that torch.compile's freezing uses, here without compiling.
    laid_out = torch.ops.mkl._mkl_reorder_linear_weight(weights, _TOKENS)
    compute = torch.ops.mkl._mkl_linear.default
    # The stored weights would serve other numbers of tokens than the one laid out for. The layout
    # for several tokens serves any number, so pass the present number; of the stored weights only
    # the shape is read.
    shape = weights.new_empty(()).expand(weights.shape)
    return lambda inputs: compute(inputs, laid_out, shape, bias, inputs.numel() // inputs.shape[-1])


class Product:
    """(…, i) → (…, o₁ + o₂ + …): linear layers of one input, computed from one packed copy.

    Args:
        layers: with one input.
        kernel: what lays the weights out and computes.
    """

    def __init__(self, layers: Sequence[nn.Linear], kernel: Kernel) -> None:
        self._shared = len(layers) > 1
        weights = torch.cat([layer.weight for layer in layers])
        bias = None
        if any(layer.bias is not None for layer in layers):
            none = weights.new_zeros
            bias = torch.cat([none(x.out_features) if x.bias is None else x.bias for x in layers])
        self._compute = kernel(weights, bias)

    def of(self, inputs: torch.Tensor) -> torch.Tensor:
        """The product of ``inputs``, computed once for each tensor.

        The tensor is kept and must not change meanwhile.
        """
        known = getattr(inputs, _PRODUCT, None) if self._shared else None
        if known is not None and known[0] is self:
            return known[1]
        product = self._compute(inputs)
        if self._shared:
            setattr(inputs, _PRODUCT, (self, product))
        return product


class PackedLinear(nn.Module):
    """What ``nn.Linear`` computes, (…, i) → (…, o): the columns of a product from ``first`` on.

    ``lone_stored``: a single token is computed from the stored weights, as long as they do not
    change.
    """

    def __init__(
        self, linear: nn.Linear, product: Product, first: int, lone_stored: bool = False
    ) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.product, self._first, self._count = product, first, linear.out_features
        self._stored: int | None = linear.weight._version if lone_stored else None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        lone = self._stored is not None and inputs.numel() == inputs.shape[-1]
        # With changed weights a lone token would get other logits than a tree.
        if lone and self._stored == self.weight._version:
            return functional.linear(inputs, self.weight, self.bias)
        return self.product.of(inputs).narrow(-1, self._first, self._count)


def packed(model: PreTrainedModel) -> PreTrainedModel:
    """A model that shares ``model``'s parameters but runs its linear layers from packed copies.

    ``model`` itself where that cannot be: not on a CPU, a CPU or a dtype that oneDNN does not
    serve, quantised or split weights, or more than ``LIMIT_BYTES`` to copy. Neither sees later
    changes of the other's modules; a linear layer's weight that is changed later is changed in
    ``model`` alone.
    """
    layers = {name: layer for name, layer in model.named_modules() if _can_pack(layer)}
    bytes_ = sum(layer.weight.nbytes for layer in layers.values())
    if not layers or bytes_ > LIMIT_BYTES:
        return model
    kernels: dict[torch.dtype, Kernel] = {}
    for dtype in {layer.weight.dtype for layer in layers.values()}:
        kernel = _kernel(layers, dtype)
        if kernel is None:
            return model
        kernels[dtype] = kernel
    shared = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    twin = deepcopy(model, shared)
    with torch.inference_mode():
        for names in _groups(layers):
            kernel = kernels[layers[names[0]].weight.dtype]
            product, first = Product([layers[name] for name in names], kernel), 0
            for name in names:
                lone_stored = _ON_INTEL and kernel is _by_onednn
                twin.set_submodule(name, PackedLinear(layers[name], product, first, lone_stored))
                first += layers[name].out_features
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
    """transformers' sdpa attention, without repeating keys and values for masked grouped heads."""
    if (
        attention_mask is None
        or key.shape[1] == query.shape[1]
        or more.get("position_bias") is not None
    ):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **more
        )
    output = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=True
    )
    return output.transpose(1, 2).contiguous(), None


def _groups(layers: Mapping[str, nn.Linear]) -> list[list[str]]:
    """The names of ``layers``, those together whose layers get one input."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name, layer in layers.items():
        module, _, own = name.rpartition(".")
        together = next((names for names in _TOGETHER if own in names), own)
        groups.setdefault((module, together, layer.in_features, layer.weight.dtype), []).append(
            name
        )
    return list(groups.values())


def _can_pack(layer: nn.Module) -> bool:
    """Whether it is a plain linear layer on the CPU: not quantised, hooked or distributed."""
    if type(layer) is not nn.Linear or type(layer.weight) is not nn.Parameter:
        return False
    hooked = layer._forward_hooks or layer._forward_pre_hooks or hasattr(layer, "_hf_hook")
    return layer.weight.device.type == "cpu" and layer.weight.dtype in _DTYPES and not hooked


def _kernel(layers: Mapping[str, nn.Linear], dtype: torch.dtype) -> Kernel | None:
    """The first kernel for ``dtype`` that runs here: tried, since none is reported."""
    if not torch.backends.mkldnn.is_available():  # whose tensors hold both layouts
        return None
    ours = (
        [_by_mkl]
        if _ON_INTEL and dtype == torch.float32 and torch.backends.mkl.is_available()
        else []
    )
    ours.append(_by_onednn)
    layer = next(layer for layer in layers.values() if layer.weight.dtype == dtype)
    return next((kernel for kernel in ours if _served(layer, kernel)), None)


@torch.inference_mode()
def _served(layer: nn.Linear, kernel: Kernel) -> bool:
    """Whether ``kernel`` computes what ``layer`` does, for plain steps, trees and prompts."""
    rows = (
        torch.rand(max(_TRIED), layer.in_features, generator=torch.Generator().manual_seed(0)) - 0.5
    )
    rows = rows.to(layer.weight.dtype)
    try:
        product = Product([layer], kernel)
        return all(
            torch.allclose(product.of(rows[:n]), layer(rows[:n]), rtol=1e-2, atol=1e-2)
            for n in _TRIED
        )
    except (RuntimeError, AttributeError):
        return False
