"""Attention masks of trees: which keys each node sees, as numbers added to the attention scores.

Additive and in the model's dtype, because transformers' eager attention *adds* a mask, a bool one
too, and sdpa takes either. Positions count, not rows: a node is at ``length + depth``, and
siblings share a position.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tr_core.attention.families import FULL, SLIDING, Family
from tr_core.trees.tree import TreeTemplate

# Memory-efficient attention kernels want rows of a mask to start at multiples of 16 numbers.
_ALIGN = 16

# What a model takes: one mask, one for each type of layer, or none where all is seen.
Mask = torch.Tensor | dict[str, torch.Tensor | None] | None


@dataclass(frozen=True)
class Geometry:
    """What a mask needs to know of a shape of n nodes, on the model's device.

    Attributes:
        depths: (n,) int64 distance of each node from the first.
        depth: the greatest of them.
        full: (n, n) additive: 0 where the row's node sees the column's, the dtype's minimum
            elsewhere.
        sliding: the same with the window, or None if the shape is too shallow for the window to
            matter.
    """

    depths: torch.Tensor
    depth: int
    full: torch.Tensor
    sliding: torch.Tensor | None


class MaskMaker:
    """Masks for one model.

    Args:
        family: decides the form of masks for the model.
        window: positions that a sliding layer sees, its own included; None if no layer slides.
        dtype: of the model.
        device: of the model.
    """

    def __init__(
        self, family: Family, window: int | None, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.form = family.mask
        self.window = window
        self.dtype = dtype
        self.device = device

    def of_template(self, template: TreeTemplate) -> Geometry:
        """The geometry of a tree, its root the first node."""
        depths = torch.tensor(template.depths, dtype=torch.int64, device=self.device)
        visible = torch.tensor(template.ancestor_mask, device=self.device)
        return self._geometry(depths, template.depth, visible)

    def of_chain(self, tokens: int) -> Geometry:
        """The geometry of ``tokens`` tokens in a row."""
        visible = torch.ones(tokens, tokens, dtype=torch.bool, device=self.device).tril()
        return self._geometry(torch.arange(tokens, device=self.device), tokens - 1, visible)

    def mask(self, shape: Geometry, length: int) -> Mask:
        """The mask of ``shape`` after ``length`` cached tokens, (1, 1, n, length + n).

        A single node within the window sees everything: like plain decoding it gets no mask.
        """
        slides = self.window is not None and length + shape.depth >= self.window
        if len(shape.depths) == 1 and not slides:
            return {FULL: None, SLIDING: None} if self.form == "by_layer_type" else None
        full = self._joined(shape.full, length) if self.form != "window" or not slides else None
        sliding = self._sliding(shape, length) if slides else full
        if self.form == "by_layer_type":
            return {FULL: full, SLIDING: sliding}
        return sliding

    def _geometry(self, depths: torch.Tensor, depth: int, visible: torch.Tensor) -> Geometry:
        sliding = None
        if self.window is not None and depth >= self.window:
            sliding = self._additive(visible & self._within(depths, depths))
        return Geometry(depths, depth, self._additive(visible), sliding)

    def _within(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """(q, k) bool: which positions a window shows.

        As in ``transformers.masking_utils.sliding_window_overlay``.
        """
        assert self.window is not None
        return keys[None, :] > queries[:, None] - self.window

    def _additive(self, visible: torch.Tensor) -> torch.Tensor:
        hidden = torch.finfo(self.dtype).min
        return torch.zeros(visible.shape, dtype=self.dtype, device=self.device).masked_fill_(
            ~visible, hidden
        )

    def _joined(self, tail: torch.Tensor, length: int) -> torch.Tensor:
        """A visible prefix of ``length`` columns before ``tail`` (n, n): (1, 1, n, length + n)."""
        nodes = tail.shape[0]
        width = length + nodes
        mask = torch.zeros(
            nodes, -(-width // _ALIGN) * _ALIGN, dtype=self.dtype, device=self.device
        )[:, :width]
        mask[:, length:] = tail
        return mask[None, None]

    def _sliding(self, shape: Geometry, length: int) -> torch.Tensor:
        mask = self._joined(shape.full if shape.sliding is None else shape.sliding, length)
        prefix = torch.arange(length, device=self.device)
        mask[0, 0, :, :length].masked_fill_(
            ~self._within(length + shape.depths, prefix), torch.finfo(self.dtype).min
        )
        return mask
