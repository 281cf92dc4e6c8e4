"""The one copy from device to host that a step makes, and its parts as plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from tr_core.drafters.base import Lesson
from tr_core.drafters.candidate_matrix import RowUpdates
from tr_core.target import Draft
from tr_core.trace import RowChange


def parts_of(
    tokens: torch.Tensor,
    seen: torch.Tensor,
    choices: torch.Tensor,
    near: torch.Tensor | None,
    candidates: torch.Tensor | None,
    probabilities: torch.Tensor | None,
    updates: RowUpdates | None,
    known: torch.Tensor | None,
) -> dict[str, torch.Tensor]:
    """What the host wants to know of a step, part by part, on the device; see ``Readout``."""
    parts = {"tokens": tokens, "seen": seen, "choices": choices}
    if near is not None:
        parts["near"] = near
    if probabilities is not None:
        parts |= {"candidates": candidates, "probabilities": probabilities.view(torch.int32)}
    if updates is not None:
        parts |= {"writers": updates.writers, "before": updates.before}
    if known is not None:
        parts |= {"known": known, "firsts": candidates[:, 0]}
    return parts


def is_here(tensor: torch.Tensor) -> bool:
    """Whether the host can read it without a copy; a subclass may have no memory to read."""
    return type(tensor) is torch.Tensor and tensor.device.type == "cpu"


def pack(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    """All parts as one int32 tensor."""
    return torch.cat([p.to(torch.int32).flatten() for p in parts.values()])


class Readout:
    """A step's results on the host, brought there in one copy: float bits travel as int32 beside
    the ids.

    What is on the host already is not copied.

    Args:
        draft: N nodes below the root.
        choices: (N + 1,) the model's pick after each node.
        near: (N + 1,) bool, which of these are near-ties, or None if nobody asks.
        candidates: (N + 1, k) its best tokens there, or None if nobody asked.
        probabilities: (N + 1, k) float32 of those, or None to bring only what decoding itself
            needs.
        updates: the rows about to change, or None.
        known: (N + 1,) whether the row of each choice is written after this step, or None if no
            budget asks.
    """

    def __init__(
        self,
        draft: Draft,
        choices: torch.Tensor,
        near: torch.Tensor | None,
        candidates: torch.Tensor | None,
        probabilities: torch.Tensor | None,
        updates: RowUpdates | None,
        known: torch.Tensor | None,
    ) -> None:
        parts = parts_of(
            draft.tokens, draft.seen, choices, near, candidates, probabilities, updates, known
        )
        if is_here(draft.tokens):
            self._read({name: part.numpy() for name, part in parts.items()})
            return
        shapes = {name: tuple(part.shape) for name, part in parts.items()}
        self._unpack(pack(parts).cpu().numpy(), shapes, len(draft.tokens))

    @classmethod
    def of(cls, flat: np.ndarray, shapes: dict[str, tuple[int, ...]], nodes: int) -> Readout:
        """From what ``pack`` packed, on the host: the shape of each part, and how many nodes are no
        padding.
        """
        made = cls.__new__(cls)
        made._unpack(flat, shapes, nodes)
        return made

    def _unpack(self, flat: np.ndarray, shapes: dict[str, tuple[int, ...]], nodes: int) -> None:
        arrays, start = {}, 0
        for name, shape in shapes.items():
            size = math.prod(shape)
            arrays[name] = flat[start : start + size].reshape(shape)[:nodes]
            start += size
        self._read(arrays)

    def _read(self, arrays: dict[str, np.ndarray]) -> None:
        self.tokens = tuple(arrays["tokens"].tolist())
        self.seen = arrays["seen"].astype(bool)
        self.choices = tuple(arrays["choices"].tolist())
        self.near = tuple(arrays["near"].astype(bool).tolist()) if "near" in arrays else ()
        # As they came, for a drafter that thinks on the host: (N + 1, k) int32 and float32; None if
        # nobody asked.
        self.best = (
            arrays["candidates"].astype(np.int32, copy=False) if "candidates" in arrays else None
        )
        self.chances = (
            arrays["probabilities"].view(np.float32) if "probabilities" in arrays else None
        )
        self.known = arrays.get("known")
        self._before = arrays.get("before")
        self._writers = arrays.get("writers")
        self._firsts = arrays["firsts"].tolist() if "firsts" in arrays else []

    @cached_property
    def candidates(self) -> tuple[tuple[int, ...], ...]:
        """(N + 1, k) as the trace has them; empty if nobody asked."""
        return () if self.best is None else tuple(map(tuple, self.best.tolist()))

    @cached_property
    def probabilities(self) -> tuple[tuple[float, ...], ...]:
        """(N + 1, k) of the candidates, rounded; empty if nobody asked."""
        return (
            ()
            if self.chances is None
            else tuple(map(tuple, self.chances.astype(np.float64).round(5).tolist()))
        )

    @cached_property
    def rows(self) -> tuple[RowChange, ...]:
        """The rows overwritten; empty if nobody asked for candidates and rows."""
        if self.best is None or self._writers is None:
            return ()
        old = self._before.tolist()
        return tuple(
            RowChange(
                self.tokens[n], n, tuple(old[n]) if old[n][0] >= 0 else (), self.candidates[n]
            )
            for n in np.flatnonzero(self._writers == np.arange(len(self._writers))).tolist()
        )

    def lesson(
        self,
        context: Sequence[int],
        parents: tuple[int, ...],
        choices: tuple[int, ...],
        path: tuple[int, ...],
        traced: bool,
    ) -> Lesson:
        """What a drafter on the host may learn from; candidates and probabilities must have been
        asked for.
        """
        return Lesson(context, parents, self.tokens, choices, self.best, self.chances, path, traced)

    def rank_of_choice(self, node: int) -> int | None:
        """Where the node's choice stood in the row that the draft was made from; None if nowhere in
        it.
        """
        row, choice = self._before[node].tolist(), self.choices[node]
        return row.index(choice) if choice in row else None

    def written(self) -> list[tuple[int, int]]:
        """(token, its best candidate) of all rows just overwritten, in the order of writing."""
        seen = self.seen.tolist()
        return [
            (t, first)
            for t, first, real in zip(self.tokens, self._firsts, seen, strict=True)
            if real
        ]
