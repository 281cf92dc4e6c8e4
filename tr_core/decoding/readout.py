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
    if candidates is not None and probabilities is not None:
        parts |= {"candidates": candidates, "probabilities": probabilities.view(torch.int32)}
    if updates is not None:
        parts |= {"writers": updates.writers, "before": updates.before}
    if candidates is not None and known is not None:
        parts |= {"known": known, "firsts": candidates[:, 0]}
    return parts


def on_host(tensor: torch.Tensor) -> bool:
    """Whether the host can read it without a copy; a subclass may have no memory to read."""
    return type(tensor) is torch.Tensor and tensor.device.type == "cpu"


def pack(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    """All parts as one int32 tensor."""
    return torch.cat([p.to(torch.int32).flatten() for p in parts.values()])


class Readout:
    """A step's results on the host, brought there in one copy.

    The bits of floats travel as int32 beside the ids. What is on the host already is not copied.

    Args:
        draft: N nodes below the root.
        choices: (N + 1,) the model's pick after each node.
        near: (N + 1,) bool, which of these are near-ties; None unless decoding is strict.
        candidates: (N + 1, k) its best tokens there; None if neither trace nor drafter needs them.
        probabilities: (N + 1, k) float32 of those; None to bring only what decoding itself
            needs.
        updates: the rows overwritten, or None.
        known: (N + 1,) whether the row of each choice is written after this step; None unless a
            budget weighs rows.
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
        if on_host(draft.tokens):
            self._read({name: part.numpy() for name, part in parts.items()})
            return
        shapes = {name: tuple(part.shape) for name, part in parts.items()}
        self._unpack(pack(parts).cpu().numpy(), shapes, len(draft.tokens))

    @classmethod
    def of(cls, flat: np.ndarray, shapes: dict[str, tuple[int, ...]], nodes: int) -> Readout:
        """From what ``pack`` packed, copied to the host.

        Args:
            flat: int32 numbers.
            shapes: of the parts, in their order.
            nodes: how many lines of each are no padding.
        """
        readout = cls.__new__(cls)
        readout._unpack(flat, shapes, nodes)
        return readout

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
        # For a drafter on the host, (N + 1, k) int32 and float32; both (0, 0) if not requested.
        empty = np.empty((0, 0), dtype=np.int32)
        self.candidate_ids = arrays.get("candidates", empty).astype(np.int32, copy=False)
        self.candidate_chances = arrays.get("probabilities", empty).view(np.float32)
        self.known = arrays.get("known")
        self._before = arrays.get("before")
        self._writers = arrays.get("writers")
        self._firsts = arrays["firsts"].tolist() if "firsts" in arrays else []

    @cached_property
    def candidates(self) -> tuple[tuple[int, ...], ...]:
        """(N + 1, k) as the trace has them; empty if not requested."""
        return tuple(map(tuple, self.candidate_ids.tolist()))

    @cached_property
    def probabilities(self) -> tuple[tuple[float, ...], ...]:
        """(N + 1, k) of the candidates, rounded; empty if not requested."""
        return tuple(map(tuple, self.candidate_chances.astype(np.float64).round(5).tolist()))

    @cached_property
    def rows(self) -> tuple[RowChange, ...]:
        """The rows overwritten; empty if candidates or rows were not requested."""
        if not len(self.candidate_ids) or self._writers is None or self._before is None:
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
        """What a drafter on the host learns from; candidates and probabilities were requested."""
        return Lesson(
            context,
            parents,
            self.tokens,
            choices,
            self.candidate_ids,
            self.candidate_chances,
            path,
            traced,
        )

    def rank_of_choice(self, node: int) -> int | None:
        """Rank of the node's choice in the row that the draft was made from; None if not in it."""
        assert self._before is not None
        row, choice = self._before[node].tolist(), self.choices[node]
        return row.index(choice) if choice in row else None

    def written(self) -> list[tuple[int, int]]:
        """(token, its best candidate) of all rows just overwritten, in order of writing."""
        seen = self.seen.tolist()
        return [
            (t, first)
            for t, first, real in zip(self.tokens, self._firsts, seen, strict=True)
            if real
        ]
