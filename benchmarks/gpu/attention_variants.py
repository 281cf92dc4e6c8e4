"""Ways to attend with a tree over a static cache, alone, at the size of one layer: what
``checks.py`` compares.

All compute the same: n nodes, each seeing a prefix of ``length`` rows and its ancestors, H query
heads on h heads of keys and values. Those of the engine are in
``tr_core/attention/grouped_attention.py``; the others lost, or have not been tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from tr_core.attention.grouped_attention import attend, merge, with_sums


@dataclass(frozen=True)
class Problem:
    """One layer's attention: query (1, H, n, d), key and value (1, h, bucket, d), the tree in the
    rows behind length.

    ``seen`` is (n, bucket) bool, ``mask`` the same as numbers to add.
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    seen: torch.Tensor
    mask: torch.Tensor
    length: torch.Tensor

    @property
    def group(self) -> int:
        return self.query.shape[1] // self.key.shape[1]


def problem(
    visible: torch.Tensor,
    length: int,
    bucket: int,
    heads: tuple[int, int],
    width: int,
    dtype: torch.dtype,
) -> Problem:
    """A random one with ``visible`` (n, n) as its tree, on the device of it."""
    device, n = visible.device, len(visible)
    noise = torch.Generator(device).manual_seed(0)
    query, key, value = (
        torch.randn(1, h, rows, width, generator=noise, device=device, dtype=dtype)
        for h, rows in ((heads[0], n), (heads[1], bucket), (heads[1], bucket))
    )
    seen = torch.zeros(n, bucket, dtype=torch.bool, device=device)
    seen[:, :length] = True
    seen[:, length : length + n] = visible
    mask = torch.zeros(n, bucket, dtype=dtype, device=device).masked_fill_(
        ~seen, torch.finfo(dtype).min
    )
    return Problem(query, key, value, seen, mask, torch.tensor(length, device=device))


def exact(p: Problem) -> torch.Tensor:
    """In float32, by the definition."""
    key, value = (x.float().repeat_interleave(p.group, dim=1) for x in (p.key, p.value))
    scores = p.query.float() @ key.mT * p.query.shape[-1] ** -0.5
    return scores.masked_fill(~p.seen, float("-inf")).softmax(dim=-1) @ value


def repeated(p: Problem) -> Callable[[], torch.Tensor]:
    """transformers' sdpa: keys and values repeated for each query head."""

    def call() -> torch.Tensor:
        key, value = (x.repeat_interleave(p.group, dim=1) for x in (p.key, p.value))
        return torch.nn.functional.scaled_dot_product_attention(
            p.query, key, value, attn_mask=p.mask[None, None]
        )

    return call


def enable_gqa(p: Problem) -> Callable[[], torch.Tensor]:
    """torch's own grouped heads, with a mask."""

    def call() -> torch.Tensor:
        mask = p.mask[None, None]
        return torch.nn.functional.scaled_dot_product_attention(
            p.query, p.key, p.value, attn_mask=mask, enable_gqa=True
        )

    return call


def grouped(p: Problem, splits: int = 1) -> Callable[[], torch.Tensor]:
    """The engine's: heads of a group folded into rows, the cache in ``splits`` parts."""
    mask = p.mask.repeat(p.group, 1)[None, None]
    return lambda: attend(p.query, p.key, p.value, mask, splits=splits)


def products(p: Problem) -> Callable[[], torch.Tensor]:
    """Folded, as two matrix products and a softmax."""
    mask = p.mask.repeat(p.group, 1)[None, None]

    def call() -> torch.Tensor:
        query = p.query.reshape(1, p.key.shape[1], -1, p.query.shape[-1])
        scores = query @ p.key.mT * query.shape[-1] ** -0.5 + mask
        out = scores.softmax(dim=-1, dtype=torch.float32).to(p.query.dtype) @ p.value
        return out.reshape(p.query.shape)

    return call


def prefix_and_tail(p: Problem) -> Callable[[], torch.Tensor]:
    """An unmasked pass over the prefix by flash attention, whose length is on the device, and a
    masked one over the tree, merged by log-sum-exp. Needs the tree's rows in a row behind the
    prefix, which the static cache gives up."""
    n, bucket = p.query.shape[2], p.key.shape[2]
    device = p.query.device
    ends = torch.arange(n, device=device)
    mask = p.mask.gather(1, (ends + p.length).expand(n, n)).repeat(p.group, 1)[None, None]
    queries = torch.tensor([0, n], dtype=torch.int32, device=device)

    def call() -> torch.Tensor:
        places = ends + p.length
        folded = p.query.reshape(1, p.key.shape[1], -1, p.query.shape[-1])
        tail, tail_sums = with_sums(
            folded, p.key.index_select(2, places), p.value.index_select(2, places), mask, None
        )
        keys = torch.stack((torch.zeros_like(p.length), p.length)).to(torch.int32)
        flat = (x[0].transpose(0, 1) for x in (p.query, p.key, p.value))
        before, sums, *_ = torch.ops.aten._flash_attention_forward(
            *flat, queries, keys, n, bucket, 0.0, False, False, scale=None
        )
        parts = torch.stack((before.transpose(0, 1)[None], tail.reshape(p.query.shape)))
        return merge(parts, torch.stack((sums[None], tail_sums.reshape(1, -1, n))))

    return call


def flex(p: Problem) -> Callable[[], torch.Tensor]:
    """FlexAttention, compiled: a fixed block mask (all blocks) that looks the tree up."""
    n, bucket, block = p.query.shape[2], p.key.shape[2], 128
    rows, columns = -(-n // block), bucket // block
    device = p.query.device

    def looked_up(
        b: torch.Tensor, h: torch.Tensor, q: torch.Tensor, kv: torch.Tensor
    ) -> torch.Tensor:
        return p.seen[q, kv]

    blocks = BlockMask.from_kv_blocks(
        torch.full((1, 1, rows), columns, dtype=torch.int32, device=device),
        torch.arange(columns, dtype=torch.int32, device=device)
        .expand(1, 1, rows, columns)
        .contiguous(),
        None,
        None,
        BLOCK_SIZE=block,
        mask_mod=looked_up,
        seq_lengths=(n, bucket),
    )
    run = torch.compile(flex_attention, dynamic=False)
    return lambda: run(p.query, p.key, p.value, block_mask=blocks, enable_gqa=p.group > 1)


VARIANTS: dict[str, Callable[[Problem], Callable[[], torch.Tensor]]] = {
    "repeated (transformers' sdpa)": repeated,
    "enable_gqa": enable_gqa,
    "grouped": grouped,
    "grouped, 2 splits": lambda p: grouped(p, 2),
    "grouped, 4 splits": lambda p: grouped(p, 4),
    "grouped, 8 splits": lambda p: grouped(p, 8),
    "two products": products,
    "prefix and tail": prefix_and_tail,
    "flex": flex,
}
