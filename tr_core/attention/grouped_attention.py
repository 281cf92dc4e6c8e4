"""Attention over a static cache that reads the keys and values of a group of heads once.

transformers' sdpa attention with a mask and grouped heads copies keys and values once per query
head, over the whole bucket, in every layer. ``attend`` folds the query heads of a group into the
rows of one head instead, which is the same sum in another order of loops, so it is exact. Few rows
leave most of a GPU idle while it walks along a long cache: with ``splits`` the rows of the cache
are cut into parts that are attended to side by side and merged by their log-sum-exp
(flash-decoding, Dao et al. 2023).

The functions go into transformers through its registry of attention functions, for the time of a
capture only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel

OWN = "own"
GROUPED = "grouped"
# Arguments that some families give their attention and that this one does not know.
_UNKNOWN = ("s_aux", "position_bias", "head_mask")


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    *,
    scale: float | None = None,
    softcap: float | None = None,
    splits: int = 1,
) -> torch.Tensor:
    """Softmax attention, (1, H, n, width of the values).

    Args:
        query: (1, H, n, d). key: (1, h, m, d). value: (1, h, m, w); H a multiple of h.
        mask: (1, 1, H / h · n, m), numbers to add, the n rows repeated for each query head of a
            group.
        scale: factor of the scores; 1/√d by default.
        softcap: bound of the scores, softcap · tanh(score / softcap), before the mask (gemma2).
        splits: parts that the rows of the cache are cut into; must divide m.
    """
    heads, n = query.shape[1:3]
    folded = query.reshape(1, key.shape[1], -1, query.shape[-1])
    if softcap is not None:
        out = _capped(folded, key, value, mask, scale, softcap)
    elif splits == 1:
        out = torch.nn.functional.scaled_dot_product_attention(
            folded, key, value, attn_mask=mask, scale=scale
        )
    else:
        out = _split(folded, key, value, mask, scale, splits)
    return out.reshape(1, heads, n, value.shape[-1])


def merge(outputs: torch.Tensor, sums: torch.Tensor) -> torch.Tensor:
    """Attention over all keys from that over parts of them.

    Args:
        outputs: (parts, …, n, w) attention over each part.
        sums: (parts, …, n) float32 log-sum-exp of each part's scores.
    """
    return (outputs * sums.softmax(dim=0).to(outputs.dtype)[..., None]).sum(dim=0)


def with_sums(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scale: float | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention (b, h, n, w) and log-sum-exp of its scores (b, h, n), by sdpa's own kernel."""
    if query.device.type == "cpu":
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, False, attn_mask=mask, scale=scale
        )
    wide = mask.expand(query.shape[0], query.shape[1], -1, -1)
    out, sums, _, _ = torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, wide, True, scale=scale
    )
    return out, sums[..., : query.shape[-2]]  # the kernel pads the rows of the sums


@contextmanager
def attention_of(model: PreTrainedModel, kind: str) -> Iterator[None]:
    """Make the model attend by ``kind``: ``own``, ``grouped``, or ``split-S`` with S splits.

    The model's config is changed meanwhile, so nothing else may run it.
    """
    if kind == OWN:
        yield
        return
    splits = 1 if kind == GROUPED else int(kind.removeprefix("split-"))
    with _registered(model, kind, partial(_attention, splits=splits)):
        yield


def group_size(model: PreTrainedModel) -> int | None:
    """Query heads that share a head of keys and values, or None if ``attend`` is not for the model.

    Measured with one token, since a config's numbers of heads are not always those of attention.
    """
    if not model._supports_attention_backend:
        return None
    groups = []

    def listen(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *_: Any,
        **more: Any,
    ) -> tuple[torch.Tensor, None]:
        known = all(more.get(name) is None for name in _UNKNOWN)
        groups.append(query.shape[1] // key.shape[1] if known else None)
        return value.new_zeros(1, query.shape[2], query.shape[1], value.shape[-1]), None

    with _registered(model, "listen", listen), torch.inference_mode():
        one = torch.zeros(1, 1, dtype=torch.int64, device=model.device)
        model(input_ids=one, attention_mask=torch.ones_like(one), use_cache=False)
    alike = len(set(groups)) == 1 and len(groups) == model.config.num_hidden_layers
    return groups[0] if alike else None


@contextmanager
def _registered(model: PreTrainedModel, kind: str, function: Callable[..., Any]) -> Iterator[None]:
    name = f"token_recycling_{kind}"
    AttentionInterface.register(name, function)
    before = model.config._attn_implementation
    model.config._attn_implementation = name
    try:
        yield
    finally:
        model.config._attn_implementation = before


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    softcap: float | None = None,
    splits: int = 1,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """``attend`` as transformers calls an attention function; dropout is not for inference."""
    for name in _UNKNOWN:
        if kwargs.get(name) is not None:
            raise NotImplementedError(f"the model's attention needs {name}")
    out = attend(query, key, value, attention_mask, scale=scaling, softcap=softcap, splits=splits)
    return out.transpose(1, 2).contiguous(), None


def _capped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scale: float | None,
    softcap: float,
) -> torch.Tensor:
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    scores = (scores / softcap).tanh() * softcap + mask
    return scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype) @ value


def _split(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor,
    scale: float | None,
    splits: int,
) -> torch.Tensor:
    """Attention with the rows cut into ``splits`` parts, side by side in the batch, then merged.

    A part in which a query sees nothing gets weight 0.
    """
    keys, values = (x[0].unflatten(1, (splits, -1)).transpose(0, 1) for x in (key, value))
    masks = mask[0, 0].unflatten(-1, (splits, -1)).transpose(0, 1)[:, None]
    out, sums = with_sums(query.expand(splits, -1, -1, -1), keys, values, masks, scale)
    return merge(out, sums.float())[None]
