"""The key-value cache: it doubles when it is full; rows are written and moved in place.

transformers' ``DynamicCache`` copies everything on each step, and drops what slides out of a
window, which a later step of a tree may still need. This one does neither. It plugs into
transformers 5 as a ``CacheLayerMixin``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

FIRST_CAPACITY = 256


class GrowingLayer(CacheLayerMixin):
    """One layer's keys and values, each (1, heads, length, width); the two widths may differ.

    ``keys`` and ``values`` are views of the filled part of larger buffers. A layer that never gets
    any, because it shares another one's, stays at length 0.
    """

    keys: torch.Tensor
    values: torch.Tensor
    is_sliding = False
    is_croppable = False
    _buffers: tuple[torch.Tensor, torch.Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self._grow(key_states, value_states, capacity=FIRST_CAPACITY)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append (1, heads, n, width) keys and values; return all (1, heads, length + n, width)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[-2]
        capacity = self._buffers[0].shape[-2]
        if end > capacity:
            while capacity < end:
                capacity *= 2
            self._grow(key_states, value_states, capacity)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, self.length : end] = states
        self._set_length(end)
        return self.keys, self.values

    def keep(
        self, base: int, nodes: Sequence[int], indices: dict[torch.device, torch.Tensor]
    ) -> None:
        """Move the rows ``base + nodes`` to ``base …`` and forget all rows after them.

        Args:
            base: length before the pass.
            nodes: (n,) rising places within the pass.
            indices: the same as int64, by device; the layer adds its own if it is not there.
        """
        if not self.is_initialized:
            return
        if tuple(nodes) != tuple(range(len(nodes))):
            device = self._buffers[0].device
            if device not in indices:
                indices[device] = torch.tensor(nodes, dtype=torch.int64).to(device)
            index = indices[device]
            for buffer in self._buffers:
                # index_select makes a copy first, so rows may overlap the places they move to.
                buffer[:, :, base : base + len(nodes)] = buffer[:, :, base:].index_select(2, index)
        self._set_length(base + len(nodes))

    def reset(self) -> None:
        """Forget everything but keep the buffers."""
        if self.is_initialized:
            self._set_length(0)

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def _grow(self, key_states: torch.Tensor, value_states: torch.Tensor, capacity: int) -> None:
        """Make room for ``capacity`` rows, those filled so far carried over."""
        grown = []
        for number, states in enumerate((key_states, value_states)):
            buffer = states.new_empty((*states.shape[:-2], capacity, states.shape[-1]))
            if self.is_initialized:
                buffer[:, :, : self.length] = self._buffers[number][:, :, : self.length]
            grown.append(buffer)
        self._buffers = (grown[0], grown[1])

    def _set_length(self, length: int) -> None:
        self.length = length
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)


class GrowingCache(Cache):
    """A ``GrowingLayer`` for each layer of the model, made when the layer first writes."""

    layers: list[GrowingLayer]  # type: ignore[assignment]  # transformers' list has any kind

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)

    def keep(self, base: int, nodes: Sequence[int]) -> None:
        """Keep the first ``base`` rows and, of those after, the rising ``nodes``, in each layer.

        Layers of a split model are on several devices.
        """
        indices: dict[torch.device, torch.Tensor] = {}
        for layer in self.layers:
            layer.keep(base, nodes, indices)
