"""The one copy from device to host that a step makes, and its parts as plain Python."""

from __future__ import annotations

import numpy as np
import torch

from tr_core.drafters.base import RowUpdates
from tr_core.target import Draft
from tr_core.trace import RowChange


class Readout:
    """A step's results on the host, brought there in one copy: float bits travel as int32 beside the ids.

    Args:
        draft: N nodes below the root.
        choices: (N + 1,) the model's pick after each node.
        near: (N + 1,) bool, which of these are near-ties, or None if nobody asks.
        candidates: (N + 1, k) its best tokens there; None only if the probabilities are.
        probabilities: (N + 1, k) float32 of those, or None to bring only what decoding itself needs.
        updates: the rows about to change, or None.
    """

    def __init__(
        self,
        draft: Draft,
        choices: torch.Tensor,
        near: torch.Tensor | None,
        candidates: torch.Tensor | None,
        probabilities: torch.Tensor | None,
        updates: RowUpdates | None,
    ) -> None:
        everything = probabilities is not None
        parts = [draft.tokens, draft.seen, choices]
        if near is not None:
            parts.append(near)
        if everything:
            parts += [candidates, probabilities.view(torch.int32)]
            if updates is not None:
                parts += [updates.writers, updates.before]
        flat = torch.cat([p.to(torch.int32).flatten() for p in parts]).cpu().numpy()
        arrays, start = [], 0
        for part in parts:
            arrays.append(flat[start : start + part.numel()].reshape(part.shape))
            start += part.numel()
        self.tokens = tuple(arrays[0].tolist())
        self.seen = arrays[1].astype(bool)
        self.choices = tuple(arrays[2].tolist())
        self.near = tuple(arrays.pop(3).astype(bool).tolist()) if near is not None else ()
        self.candidates: tuple[tuple[int, ...], ...] = ()
        self.probabilities: tuple[tuple[float, ...], ...] = ()
        self.rows: tuple[RowChange, ...] = ()
        if everything:
            self.candidates = tuple(map(tuple, arrays[3].tolist()))
            rounded = arrays[4].view(np.float32).astype(np.float64).round(5)
            self.probabilities = tuple(map(tuple, rounded.tolist()))
        if everything and updates is not None:
            self.rows = self._changes(*arrays[5:])

    def _changes(self, writers: np.ndarray, before: np.ndarray) -> tuple[RowChange, ...]:
        old = before.tolist()
        return tuple(
            RowChange(self.tokens[n], n, tuple(old[n]) if old[n][0] >= 0 else (), self.candidates[n])
            for n in np.flatnonzero(writers == np.arange(len(writers))).tolist()
        )
