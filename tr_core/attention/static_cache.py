"""A key-value cache of fixed shape, with all book-keeping on the device.

Rows are claimed and freed, never moved.

Keys carry their position in themselves (rotary embedding, or the token's own position embedding),
so attention does not depend on a key's row; only the mask does. A pass writes its nodes into the
first free rows, and then frees the rows of rejected nodes. So compaction costs one small table, not
a gather and a scatter of keys and values in every layer. With ``length`` rows taken, the first n
free ones are below length + n.

Attention reads the first ``bucket`` rows. Buckets follow the text's length closely; room for more
than one bucket is allocated at a time, so that growing past a bucket copies nothing, and growing
past the room copies once.
"""

from __future__ import annotations

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from tr_core.attention.kv_cache import GrowingCache

FREE = -1
SMALLEST_BUCKET = 256
SMALLEST_ROOM = 1024


def bucket_for(rows: int, smallest: int = SMALLEST_BUCKET) -> int:
    """The smallest of ``smallest`` × 1, 2, 3, 4, 6, 8, 12, 16 … that holds ``rows``.

    At most a third is waste.
    """
    bucket = smallest
    while bucket < rows:
        if bucket > smallest and bucket * 3 // 2 >= rows:
            return bucket * 3 // 2
        bucket *= 2
    return bucket


class StaticLayer(CacheLayerMixin):
    """One layer's keys and values, (1, heads, room, width) each.

    The cache decides which rows are written and read.
    """

    keys: torch.Tensor
    values: torch.Tensor
    is_compileable = True
    is_sliding = False
    is_croppable = False

    def __init__(self, cache: StaticCache) -> None:
        super().__init__()
        self._cache = cache

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        raise RuntimeError("a static layer is made by StaticCache.reserve")

    def reserve(self, room: int, like: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Make room for that many rows shaped like ``like``; those written so far move over."""
        grown = []
        for old, states in zip((self.keys, self.values), like, strict=True):
            # Zeros, because what a mask hides is still multiplied by 0, and 0 × NaN is NaN.
            new = torch.zeros(
                (*states.shape[:-2], room, states.shape[-1]),
                dtype=states.dtype,
                device=states.device,
            )
            if old is not None:
                new[:, :, : old.shape[-2]] = old
            torch._dynamo.mark_static_address(new)
            grown.append(new)
        self.keys, self.values = grown
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write (1, heads, n, width) keys and values into the cache's ``rows``.

        Returns the first ``bucket`` rows of both.
        """
        self.keys.index_copy_(2, self._cache.rows, key_states)
        self.values.index_copy_(2, self._cache.rows, value_states)
        return self.keys[:, :, : self._cache.bucket], self.values[:, :, : self._cache.bucket]

    # A tensor, so that a captured graph reads the current length at each replay.
    def get_seq_length(self) -> torch.Tensor:  # type: ignore[override]
        return self._cache.length

    def get_max_length(self) -> int:
        return self._cache.room

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._cache.bucket, 0


class StaticCache(Cache):
    """Static layers, and the table of which token each row holds.

    Args:
        sample: a growing cache with at least one token of the model, for the shapes of the layers.
        device: of the model.

    Attributes:
        length: () int64 on the device, rows taken.
        positions: (room,) int64 on the device, the position of each row's token; −1 where the row
            is free.
        room: rows allocated.
        bucket: rows that the present pass reads.
        rows: (n,) int64, the rows that it writes.
        slots: (bucket,) int64, which of its nodes each row is written by; n where none is.
    """

    layers: list[StaticLayer]  # type: ignore[assignment]  # transformers' list has any kind

    def __init__(self, sample: GrowingCache, device: torch.device) -> None:
        super().__init__(layers=[StaticLayer(self) for _ in sample.layers])
        # One row each, so that a growing cache reset in the meantime does not matter.
        self._like = [
            (s.keys[:, :, :1].clone(), s.values[:, :, :1].clone()) if s.is_initialized else None
            for s in sample.layers
        ]
        self.length = torch.zeros((), dtype=torch.int64, device=device)
        self.positions = torch.empty(0, dtype=torch.int64, device=device)
        self.rows = self.slots = self.positions
        self.room = self.bucket = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(t.nbytes for x in self.layers if x.is_initialized for t in (x.keys, x.values))

    def reserve(self, rows: int) -> bool:
        """Make room for at least ``rows``, doubling.

        Returns whether the buffers moved, which voids graphs.
        """
        if rows <= self.room:
            return False
        room = max(self.room, SMALLEST_ROOM)
        while room < rows:
            room *= 2
        for layer, like in zip(self.layers, self._like, strict=True):
            if like is not None:
                layer.reserve(room, like)
        positions = torch.full((room,), FREE, dtype=torch.int64, device=self.positions.device)
        positions[: self.room] = self.positions
        self.positions, self.room = positions, room
        return True

    def adopt(self, source: GrowingCache, length: int) -> None:
        """Take over the ``length`` rows of a prefilled cache, in one copy.

        Room must have been reserved.
        """
        for layer, old in zip(self.layers, source.layers, strict=False):
            if old.is_initialized:
                layer.keys[:, :, :length] = old.keys[:, :, :length]
                layer.values[:, :, :length] = old.values[:, :, :length]
        self.positions.fill_(FREE)
        self.positions[:length] = torch.arange(length, device=self.positions.device)
        self.length.fill_(length)

    def released(self) -> GrowingCache:
        """A growing cache with the rows that are taken, ordered by position; one copy."""
        taken = (self.positions >= 0).nonzero()[:, 0]
        rows = taken[self.positions[taken].argsort()]
        cache = GrowingCache()
        for number, layer in enumerate(self.layers):
            if layer.is_initialized:
                cache.update(layer.keys[:, :, rows], layer.values[:, :, rows], number)
        return cache

    def forget_from(self, position: int) -> None:
        """Free the rows of all positions from ``position`` on."""
        self.positions.masked_fill_(self.positions >= position, FREE)
        self.length.fill_(position)

    def claim(self, count: int, bucket: int) -> torch.Tensor:
        """The first ``count`` free rows of a bucket, (count,) int64: the next pass writes there."""
        free = self.positions[:bucket] < 0
        rank = free.cumsum(0) - 1
        # Rows that are taken, or free beyond the count, all go to one place after the end.
        self.slots = torch.where(free & (rank < count), rank, count)
        written = torch.zeros(count + 1, dtype=torch.int64, device=free.device)
        written = written.scatter(0, self.slots, torch.arange(bucket, device=free.device))
        self.rows, self.bucket = written[:count], bucket
        return self.rows

    def settle(self, positions: torch.Tensor, kept: torch.Tensor) -> None:
        """Keep the rows of ``kept`` (n,) bool nodes at ``positions`` (n,); free the others."""
        self.positions.index_copy_(0, self.rows, torch.where(kept, positions, FREE))
        self.length.add_(kept.sum())
