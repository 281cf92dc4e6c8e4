"""What every drafter offers. A new one is a file beside this, and a line in ``registry.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec
import torch

from tr_core.errors import CheckpointError
from tr_core.target import Draft
from tr_core.tree import TreeTemplate


@dataclass(frozen=True)
class RowUpdates:
    """Rows about to be overwritten, one line a scored node; nodes of one token carry the same lines.

    Attributes:
        writers: (N + 1,) the node whose candidates win the row; −1 where nothing is written.
        before: (N + 1, k) candidates until now; −1 where the row had never been written.
    """

    writers: torch.Tensor
    before: torch.Tensor


class RowsState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """State of a drafter that keeps nothing but matrix rows: candidates by token."""

    rows: dict[int, list[int]]


class TextAlone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """State of a drafter that knows nothing but the text."""


S = TypeVar("S")


def convert(state: dict[str, Any], kind: type[S]) -> S:
    """A drafter's state, which may have travelled as JSON through other hands, as the struct that it must be.

    Raises:
        CheckpointError: it is not of this kind.
    """
    try:
        return msgspec.convert(state, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise CheckpointError(f"The drafter's part of the checkpoint is damaged: {error}.") from error


class Drafter(Protocol):
    """Proposes drafts, and learns from what the model said about them.

    Attributes:
        name: as in the registry.
        rows_seen: rows that hold candidates; 0 for drafters without a matrix.
    """

    name: str

    @property
    def rows_seen(self) -> int: ...

    def begin(self) -> None:
        """A new prompt starts. What may be kept over prompts is kept; what belongs to one text is dropped."""
        ...

    def propose(self, context: Sequence[int], template: TreeTemplate) -> Draft:
        """A draft whose root is ``context[-1]``; ``template`` is the budget, and the shape where the method has one."""
        ...

    def observe_prompt(self, tokens: torch.Tensor, candidates: torch.Tensor) -> None:
        """Learn from prompt positions: ``tokens`` (n,) and the model's best (n, k) after each."""
        ...

    def observe(self, draft: Draft, candidates: torch.Tensor) -> RowUpdates | None:
        """Learn from a scored draft: the model's best (N + 1, k) after each node. None if no row was overwritten.

        Without a trace only drafters with a matrix (see the registry) are called: ranking candidates takes time.
        """
        ...

    def state(self) -> dict[str, Any]:
        """What this drafter knows and would not know again from the text alone, as plain JSON-able data."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Know what ``state`` says and nothing else; it may come from anywhere and is checked.

        Raises:
            CheckpointError, MatrixError: it is not what ``state()`` of such a drafter gives.
        """
        ...
