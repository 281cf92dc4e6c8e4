"""A tree on the device: ancestors, walk and mask as tensor functions of fixed shape.

Nothing is copied to the host.

Twins of ``TreeTemplate.ancestor_mask``, ``verify.walk`` and ``masks.MaskMaker``; the tests hold
them to these.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tr_core.attention.families import FULL, SLIDING, Family


@dataclass(frozen=True)
class Shape:
    """A tree of n nodes, root included, on the device.

    Attributes:
        parents: (n,) int64, the root its own parent.
        depths: (n,) int64.
        visible: (n, n) bool, row i true at i itself and its ancestors.
        elder: (n, n) bool, row i true at the earlier siblings of i.
    """

    parents: torch.Tensor
    depths: torch.Tensor
    visible: torch.Tensor
    elder: torch.Tensor


def shape_of(parents: torch.Tensor) -> Shape:
    """The shape that (n,) int64 parents describe, each before its children, the root's own 0."""
    n = len(parents)
    nodes = torch.arange(n, device=parents.device)
    itself = nodes[:, None] == nodes
    reach = (itself | (parents[:, None] == nodes)).float()
    # Each squaring doubles the distance that is reached, and no node is deeper than n − 1.
    for _ in range((n - 1).bit_length()):
        reach = (reach @ reach).clamp(max=1.0)
    visible = reach > 0
    elder = (parents[:, None] == parents) & (nodes < nodes[:, None]) & (nodes > 0)
    return Shape(parents, visible.sum(dim=1) - 1, visible, elder)


def walk(
    shape: Shape, tokens: torch.Tensor, seen: torch.Tensor, choices: torch.Tensor
) -> torch.Tensor:
    """(n,) bool, the root and the accepted path: at each node the first child that the model chose.

    Args:
        shape: of the draft.
        tokens: (n,) int64. seen: (n,) bool, false at fillers. choices: (n,) int64, the model's pick
            after each node.
    """
    agrees = seen & (tokens == choices[shape.parents])
    agrees = agrees & ~(shape.elder & agrees).any(dim=1)
    # The root, its own parent, is on the path whatever was chosen.
    agrees = agrees | (shape.depths == 0)
    return (agrees | ~shape.visible).all(dim=1)


@dataclass(frozen=True)
class Tails:
    """How the nodes of a shape see each other, as numbers to add.

    Attributes:
        full: (repeats · n, n + 1), the last column hidden: for all rows that belong to no node.
        sliding: the same within the window; None if no layer slides.
    """

    full: torch.Tensor
    sliding: torch.Tensor | None


class StaticMask:
    """Masks over a bucket of the cache, for one model.

    Args:
        family: decides the form of masks for the model.
        window: positions that a sliding layer sees, its own included; None if no layer slides.
        dtype: of the model.
        repeats: times that the rows of a mask are repeated: the group size, where the attention
            folds the query heads of a group into its rows.
    """

    def __init__(
        self, family: Family, window: int | None, dtype: torch.dtype, repeats: int
    ) -> None:
        self._form = family.mask
        self._window = window
        self._dtype = dtype
        self._repeats = repeats

    def tails(self, shape: Shape) -> Tails:
        """The part of the mask that the shape alone decides."""
        sliding = None
        if self._window is not None:
            near = shape.depths > shape.depths[:, None] - self._window
            sliding = self._tail(shape.visible & near)
        return Tails(self._tail(shape.visible), sliding)

    def __call__(
        self, tails: Tails, rows: torch.Tensor, slots: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """What each node sees, (1, 1, repeats · n, bucket), in the model's form.

        Args:
            tails: of the shape.
            rows: (bucket,) int64 position of each row's token, −1 where it is free.
            slots: (bucket,) int64, which of the pass's own nodes is in each row; n where none is.
            positions: (n,) int64 of the nodes.
        """
        taken = rows >= 0
        by_type = self._form == "by_layer_type"
        if self._window is None or tails.sliding is None:
            full = self._joined(taken, tails.full, slots)
            return {FULL: full, SLIDING: full} if by_type else full
        near = taken & (rows > positions[:, None] - self._window)
        sliding = self._joined(near.repeat(self._repeats, 1), tails.sliding, slots)
        if not by_type:
            return sliding
        return {FULL: self._joined(taken, tails.full, slots), SLIDING: sliding}

    def _tail(self, own: torch.Tensor) -> torch.Tensor:
        return self._additive(torch.nn.functional.pad(own, (0, 1))).repeat(self._repeats, 1)

    def _joined(
        self, before: torch.Tensor, tail: torch.Tensor, slots: torch.Tensor
    ) -> torch.Tensor:
        """One additive mask of the earlier rows and a tail.

        The rows are bool (bucket,) or (repeats · n, bucket).
        """
        # Gathered, not written into a copy of ``before``: inductor writes all rows of an expanded
        # tensor to one place.
        return torch.maximum(tail[:, slots], self._additive(before))[None, None]

    def _additive(self, seen: torch.Tensor) -> torch.Tensor:
        hidden = torch.finfo(self._dtype).min
        return torch.zeros(seen.shape, dtype=self._dtype, device=seen.device).masked_fill(
            ~seen, hidden
        )
