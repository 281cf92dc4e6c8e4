"""The candidate matrix: for each token, the best next tokens that the model last gave after it.

arXiv 2408.08696, §3.1. Rows are overwritten whole, without counts or probabilities. When one token
is at several scored nodes, **the last node in breadth-first order wins** (in a prompt: the last
position), as if the rows were written one after the other. The paper leaves this open, and the
published code leaves it to the GPU.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from tr_core.errors import MatrixError
from tr_core.files import whole
from tr_core.trees.tree import MAX_K

UNSEEN = -1
FORMAT = "token-recycling-matrix-1"


@dataclass(frozen=True)
class RowUpdates:
    """Rows just overwritten, one line a scored node; nodes of one token carry the same lines.

    Attributes:
        writers: (N + 1,) the node whose candidates win the row; −1 where nothing is written.
        before: (N + 1, k) earlier candidates; −1 where the row had never been written.
    """

    writers: torch.Tensor
    before: torch.Tensor


class CandidateMatrix:
    """(V, k) int32 candidate ids on one device; a row never written holds −1.

    Args:
        vocab_size: V, the width of the model's logits.
        k: candidates a row, 1 … 32.
        device: where the model's logits are.

    Raises:
        MatrixError: k is outside 1 … 32, or wider than the vocabulary.
    """

    def __init__(self, vocab_size: int, k: int, device: torch.device | str = "cpu") -> None:
        if not 1 <= k <= min(MAX_K, vocab_size):
            raise MatrixError(f"k must be 1 … {min(MAX_K, vocab_size)}, got {k}.")
        # One row more than the vocabulary: what must not be written is sent there, which needs no
        # copy to the host.
        self._live_in(torch.full((vocab_size + 1, k), UNSEEN, dtype=torch.int32, device=device))

    @property
    def rows(self) -> torch.Tensor:
        """(V, k) int32, the matrix itself."""
        return self._storage[:-1]

    @property
    def padded(self) -> torch.Tensor:
        """(V + 1, k) int32: the rows, and an unseen one at the end, where index −1 finds it."""
        return self._storage

    def move_to(self, storage: torch.Tensor) -> None:
        """Keep the rows in ``storage`` (V + 1, k) int32 from now on; present rows move there."""
        if storage is not self._storage:
            storage.copy_(self._storage)
            self._live_in(storage)

    def move_out(self, storage: torch.Tensor) -> None:
        """Release ``storage``, if the rows are there: they move to their own memory."""
        if storage is self._storage:
            self._live_in(storage.clone())

    @property
    def here(self) -> np.ndarray | None:
        """``padded`` as an array, the same memory, where that is the host's own; else None.

        A step reads so few rows that numpy finishes before torch has begun.
        """
        return self._here

    @property
    def vocab_size(self) -> int:
        return self._storage.shape[0] - 1

    @property
    def k(self) -> int:
        return self._storage.shape[1]

    @property
    def device(self) -> torch.device:
        return self._storage.device

    @property
    def rows_seen(self) -> int:
        """Rows that hold candidates. Copies one number to the host."""
        return int((self.rows[:, 0] != UNSEEN).sum())

    @property
    def nbytes(self) -> int:
        return self.rows.numel() * self.rows.element_size()

    def known(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n,) bool: whether the rows of ``tokens`` (n,) hold candidates."""
        if self._here is not None and not torch.compiler.is_compiling():
            return torch.from_numpy(self._here[tokens.numpy(), 0] != UNSEEN)
        return self._storage[tokens, 0] != UNSEEN

    def clear(self) -> None:
        """Forget everything: a cold start."""
        self._storage.fill_(UNSEEN)

    def to_rows(self) -> dict[int, list[int]]:
        """All rows that hold candidates, by token, for a checkpoint. One copy to the host."""
        rows = self.rows.cpu()
        tokens = (rows[:, 0] != UNSEEN).nonzero().flatten().tolist()
        return dict(zip(tokens, rows[tokens].tolist(), strict=True))

    def fill(self, rows: dict[int, list[int]]) -> None:
        """Hold ``rows`` and no others.

        Raises:
            MatrixError: a row does not have k candidates, or an id is outside the vocabulary.
        """
        ids = [*rows, *(candidate for row in rows.values() for candidate in row)]
        if any(len(row) != self.k for row in rows.values()) or not all(
            0 <= i < self.vocab_size for i in ids
        ):
            raise MatrixError(
                f"Rows must have {self.k} candidates each, with ids below {self.vocab_size:,}."
            )
        self.clear()
        if rows:
            tokens = torch.tensor(list(rows), device=self.device)
            self._storage[tokens] = torch.tensor(
                list(rows.values()), dtype=torch.int32, device=self.device
            )

    def overwrite(
        self, tokens: torch.Tensor, candidates: torch.Tensor, seen: torch.Tensor | None = None
    ) -> RowUpdates:
        """Write ``candidates`` (n, k) into the rows of ``tokens`` (n,); the last of equals wins.

        Args:
            seen: (n,) bool; tokens that are only fillers are false and write nothing.
        """
        if self._here is None:
            return self.overwrite_on_device(tokens, candidates, seen)
        index = tokens.numpy()
        if seen is not None:
            index = np.where(seen.numpy(), index, self.vocab_size)
        before = self._here[index]
        self._here[index] = candidates.numpy()  # in order: the last of equal indices stays
        self._here[-1] = UNSEEN
        last = {token: node for node, token in enumerate(index.tolist())}
        last[self.vocab_size] = UNSEEN
        writers = np.array([last[token] for token in index.tolist()])
        return RowUpdates(torch.from_numpy(writers), torch.from_numpy(before))

    def overwrite_on_device(
        self, tokens: torch.Tensor, candidates: torch.Tensor, seen: torch.Tensor | None = None
    ) -> RowUpdates:
        """``overwrite`` in operations that need no host and fit into a graph."""
        nodes = torch.arange(len(tokens), device=self.device)
        if seen is not None:
            tokens = torch.where(seen, tokens, self.vocab_size)
        before = self._storage[tokens]
        last = torch.full((self.vocab_size + 1,), UNSEEN, dtype=torch.int64, device=self.device)
        last.scatter_reduce_(0, tokens, nodes, "amax")
        writers = last[tokens]
        # All nodes of one token write the winner's candidates, so the order in which a GPU writes
        # does not matter.
        self._storage[tokens] = candidates[writers].to(torch.int32)
        self._storage[-1].fill_(UNSEEN)
        if seen is not None:
            writers = torch.where(seen, writers, UNSEEN)
        return RowUpdates(writers, before)

    def _live_in(self, storage: torch.Tensor) -> None:
        self._storage = storage
        # A subclass, such as a tensor that only stands for one, has no memory of its own.
        plain = type(storage) is torch.Tensor and storage.device.type == "cpu"
        self._here = storage.numpy() if plain else None

    def save(self, path: str | Path, fingerprint: str) -> None:
        """Write a safetensors file that remembers which tokenizer its ids belong to.

        Raises:
            MatrixError: the file cannot be written.
        """
        meta = {"format": FORMAT, "tokenizer": fingerprint}
        try:
            with whole(path) as beside:
                save_file({"rows": self.rows.cpu().contiguous()}, str(beside), metadata=meta)
        except (OSError, SafetensorError) as error:
            raise MatrixError(
                f"The matrix cannot be written to “{path}”:"
                f" {getattr(error, 'strerror', None) or error}."
            ) from error

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        fingerprint: str,
        vocab_size: int,
        device: torch.device | str = "cpu",
    ) -> CandidateMatrix:
        """Read what ``save`` wrote, for the same tokenizer.

        Raises:
            MatrixError: no such file, no matrix, another tokenizer, another vocabulary width, or
                ids out of range.
        """
        try:
            with safe_open(str(path), framework="pt") as file:
                meta = file.metadata() or {}
                rows = file.get_tensor("rows") if "rows" in file.keys() else None  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError) as error:
            raise MatrixError(f"“{path}” is not a readable matrix file: {error}.") from error
        if (
            meta.get("format") != FORMAT
            or rows is None
            or rows.ndim != 2
            or rows.dtype != torch.int32
        ):
            raise MatrixError(
                f"“{path}” is a safetensors file, but not a candidate matrix"
                f" ({json.dumps(FORMAT)})."
            )
        if meta.get("tokenizer") != fingerprint or rows.shape[0] != vocab_size:
            raise MatrixError(
                f"The matrix in “{path}” belongs to another tokenizer ({meta.get('tokenizer')},"
                f" {rows.shape[0]} rows; this model has {fingerprint}, {vocab_size} rows): start"
                " cold, or choose the model it was saved with."
            )
        # A row is either wholly unseen or wholly made of token ids: drafting reads its first place
        # only.
        unseen = (rows == UNSEEN).all(dim=1)
        if not (unseen | ((rows >= 0) & (rows < vocab_size)).all(dim=1)).all():
            raise MatrixError(
                f"The matrix in “{path}” is damaged: it holds ids outside the vocabulary."
            )
        matrix = cls(vocab_size, rows.shape[1], device)
        matrix.rows.copy_(rows)
        return matrix
