"""The best k tokens of wide rows of logits, ties resolved by the lowest id, without sorting or
copying whole rows.

``torch.topk`` reads a row of 152,000 logits several times and leaves the order of equal ones to the
kernel; logits of bfloat16 are often equal. Here a row is cut into chunks: the best k tokens lie in
the k chunks with the best maxima. So one pass for the maxima and two short stable sorts do, in the
model's own dtype. The first of the best is what ``argmax`` gives, on every device.
"""

from __future__ import annotations

import torch

# Where torch's own topk begins to lose: rows as wide as this, and this many numbers in all
# (docs/decisions.md).
WIDE, MANY = 16_384, 65_536
# Rows of maxima, and of k = 8 chunks, stay below 4,096 numbers, which a GPU sorts within one block.
CHUNK = 256
_PIECE = 128


def best(logits: torch.Tensor, k: int) -> torch.Tensor:
    """(n, k) int64 ids of the greatest of (n, V) logits of any float dtype, best first, the lower
    id of two equal.
    """
    width = logits.shape[-1]
    chunks = width // CHUNK
    if chunks <= 2 * k:
        return _first(logits, k)
    cut = logits[:, : chunks * CHUNK].unflatten(-1, (chunks, CHUNK))
    # In the order of their ids again, so that among equal logits the lowest id stands first.
    chosen = _first(cut.amax(dim=-1), k).sort(dim=-1).values[:, :, None]
    values = cut.gather(1, chosen.expand(-1, -1, CHUNK)).flatten(1)
    ids = (chosen * CHUNK + torch.arange(CHUNK, device=logits.device)).flatten(1)
    if chunks * CHUNK < width:
        rest = torch.arange(chunks * CHUNK, width, device=logits.device)
        values = torch.cat((values, logits[:, chunks * CHUNK :]), dim=1)
        ids = torch.cat((ids, rest.expand(len(ids), -1)), dim=1)
    return ids.gather(1, _first(values, k))


def top(logits: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, k) greatest of (n, V) logits and their ids, best first, as ``torch.topk``: free in its
    order of equal ones.

    On a CPU wide rows are read once, for the maxima of chunks, which takes a third of the time.
    """
    width = logits.shape[-1]
    if logits.device.type != "cpu" or width < max(WIDE, 2 * k * _PIECE) or logits.numel() < MANY:
        return logits.topk(k)
    pieces = width // _PIECE
    cut = logits[:, : pieces * _PIECE].unflatten(-1, (pieces, _PIECE))
    chosen = cut.amax(dim=-1).topk(k, sorted=False).indices
    values = cut.gather(1, chosen[:, :, None].expand(-1, -1, _PIECE)).flatten(1)
    rest = logits[:, pieces * _PIECE :]
    found, places = torch.cat((values, rest), dim=1).topk(k)
    within = chosen.gather(1, (places // _PIECE).clamp_(max=k - 1)) * _PIECE + places % _PIECE
    # Behind the chosen pieces stand those that fill no piece.
    return found, torch.where(places < k * _PIECE, within, places + (pieces - k) * _PIECE)


def _first(values: torch.Tensor, k: int) -> torch.Tensor:
    """(n, k) places of the greatest of (n, m) values, the first of equal ones first."""
    return values.sort(dim=-1, descending=True, stable=True).indices[:, :k]
