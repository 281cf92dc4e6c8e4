"""The best k tokens of wide rows of logits, ties resolved by the lowest id, without sorting or copying whole rows.

``torch.topk`` reads a row of 152,000 logits several times and leaves the order of equal ones to the kernel; logits of
bfloat16 are often equal. Here a row is cut into chunks: the best k tokens lie in the k chunks with the best
maxima. So one pass for the maxima and two short stable sorts do, in the model's own dtype. The first of the best is
what ``argmax`` gives, on every device.
"""

from __future__ import annotations

import torch

# Rows of maxima, and of k = 8 chunks, stay below 4,096 numbers, which a GPU sorts within one block.
CHUNK = 256


def best(logits: torch.Tensor, k: int) -> torch.Tensor:
    """(n, k) int64 ids of the greatest of (n, V) logits of any float dtype, best first, the lower id of two equal."""
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


def _first(values: torch.Tensor, k: int) -> torch.Tensor:
    """(n, k) places of the greatest of (n, m) values, the first of equal ones first."""
    return values.sort(dim=-1, descending=True, stable=True).indices[:, :k]
