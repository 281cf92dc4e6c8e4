"""The best k tokens of wide rows of logits, without sorting or copying whole rows.

Of equal logits the lowest id comes first (``top_in_order``), or any (``top``).

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


def top_in_order(logits: torch.Tensor, k: int) -> torch.Tensor:
    """(n, k) int64 ids of the greatest of (n, V) logits, best first, of equal ones the lower id."""
    width = logits.shape[-1]
    chunks = width // CHUNK
    if chunks <= 2 * k:
        return _first(logits, k)
    cut = logits[:, : chunks * CHUNK].unflatten(-1, (chunks, CHUNK))
    # In the order of their ids again, so that among equal logits the lowest id is first.
    chosen = _first(cut.amax(dim=-1), k).sort(dim=-1).values[:, :, None]
    values = cut.gather(1, chosen.expand(-1, -1, CHUNK)).flatten(1)
    ids = (chosen * CHUNK + torch.arange(CHUNK, device=logits.device)).flatten(1)
    if chunks * CHUNK < width:
        rest = torch.arange(chunks * CHUNK, width, device=logits.device)
        values = torch.cat((values, logits[:, chunks * CHUNK :]), dim=1)
        ids = torch.cat((ids, rest.expand(len(ids), -1)), dim=1)
    return ids.gather(1, _first(values, k))


def top(logits: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, k) greatest of (n, V) logits and their ids, as ``torch.topk``: equal ones in any order.

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
    greatest, positions = torch.cat((values, rest), dim=1).topk(k)
    within = chosen.gather(1, (positions // _PIECE).clamp_(max=k - 1)) * _PIECE + positions % _PIECE
    # After the chosen pieces come the logits that fill no piece.
    return greatest, torch.where(positions < k * _PIECE, within, positions + (pieces - k) * _PIECE)


def _first(values: torch.Tensor, k: int) -> torch.Tensor:
    """(n, k) positions of the greatest of (n, m) values, the first of equal ones first."""
    return values.sort(dim=-1, descending=True, stable=True).indices[:, :k]
