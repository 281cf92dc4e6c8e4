"""What every drafter offers. A new one is a file beside this, and a line in ``registry.py``.

There are two kinds. One lives **on the device**: it drafts from tensors and learns by ``observe``
before anything is copied to the host, so that a whole step can be one graph (``token_recycling``).
The other **thinks on the host** (``HostDrafter``): it drafts from Python numbers and learns by
``learn`` from what the one copy of the step brought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np
import torch

from tr_core.budget.grown_tree_budget import Growth
from tr_core.errors import CheckpointError
from tr_core.target import Draft
from tr_core.trace import Held, RowChange
from tr_core.trees.tree import TreeTemplate


@dataclass(frozen=True)
class RowUpdates:
    """Rows about to be overwritten, one line a scored node; nodes of one token carry the same
    lines.

    Attributes:
        writers: (N + 1,) the node whose candidates win the row; −1 where nothing is written.
        before: (N + 1, k) candidates until now; −1 where the row had never been written.
    """

    writers: torch.Tensor
    before: torch.Tensor


@dataclass(frozen=True)
class Lesson:
    """All that one pass told, on the host, before any of it is committed.

    Attributes:
        context: prompt and output before the step, the root the last.
        parents: (N + 1,) of the draft that was scored.
        tokens: (N + 1,) of the same.
        choices: (N + 1,) the model's own pick after each node; −1 off the path where nobody asked.
        candidates: (N + 1, k) int32, its best tokens there, best first.
        probabilities: (N + 1, k) float32 of those, at temperature 1.
        path: accepted nodes, root excluded.
        traced: whether anybody reads the rows in what ``learn`` returns.
    """

    context: Sequence[int]
    parents: tuple[int, ...]
    tokens: tuple[int, ...]
    choices: tuple[int, ...]
    candidates: np.ndarray
    probabilities: np.ndarray
    path: tuple[int, ...]
    traced: bool


@dataclass(frozen=True)
class Learned:
    """What a host drafter tells the trace of a lesson.

    Attributes:
        rows: rows overwritten, in the order of their writing.
        held: what it knew at the end of the path.
    """

    rows: tuple[RowChange, ...] = ()
    held: Held | None = None


class RowsState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """State of a drafter that keeps nothing but matrix rows: candidates by token."""

    rows: dict[int, list[int]]


class TextAlone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """State of a drafter that knows nothing but the text."""


S = TypeVar("S")


def convert(state: dict[str, Any], kind: type[S]) -> S:
    """A drafter's state, which may have travelled as JSON through other hands, as the struct that
    it must be.

    Raises:
        CheckpointError: it is not of this kind.
    """
    try:
        return msgspec.convert(state, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise CheckpointError(
            f"The drafter's part of the checkpoint is damaged: {error}."
        ) from error


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
        """A new prompt starts. What may be kept over prompts is kept; what belongs to one text is
        dropped.
        """
        ...

    def propose(self, context: Sequence[int], template: TreeTemplate) -> Draft:
        """A draft whose root is ``context[-1]``; ``template`` is the budget, and the shape where
        the method has one.

        A drafter that grows its own trees (``grows`` in the registry) takes ``growth: Growth | None
        = None`` as well: with it the tree ends where a further node no longer pays, and never above
        ``template.nodes``.
        """
        ...

    def observe_prompt(self, tokens: torch.Tensor, candidates: torch.Tensor) -> None:
        """Learn from prompt positions: ``tokens`` (n,) and the model's best (n, k) after each."""
        ...

    def observe(self, draft: Draft, candidates: torch.Tensor) -> RowUpdates | None:
        """Learn from a scored draft: the model's best (N + 1, k) after each node. None if no row
        was overwritten.

        Without a trace only drafters with a matrix (see the registry) are called: ranking
        candidates takes time.
        """
        ...

    def state(self) -> dict[str, Any]:
        """What this drafter knows and would not know again from the text alone, as plain JSON-able
        data.
        """
        ...

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        """Know what ``state`` says, and what the text so far does; it may come from anywhere and is
        checked.

        Raises:
            CheckpointError, MatrixError: it is not what ``state()`` of such a drafter gives.
        """
        ...


class HostDrafter:
    """Base of drafters that think on the host: what they need not know is done here.

    ``learn`` and ``learn_prompt`` are called for those that ``learn`` in the registry, with and
    without a trace.
    """

    name: str
    rows_seen = 0

    def begin(self) -> None:
        """Nothing belongs to one text."""

    def propose(
        self, context: Sequence[int], template: TreeTemplate, growth: Growth | None = None
    ) -> Draft:
        """See ``Drafter``."""
        raise NotImplementedError

    def learn_prompt(
        self, prompt: Sequence[int], offset: int, candidates: np.ndarray, probabilities: np.ndarray
    ) -> None:
        """Learn from the prompt's positions ``offset`` … ``offset + n − 1``.

        Args:
            prompt: all of it.
            candidates: (n, k) int32, the model's best after each position. probabilities: (n, k)
                float32 of those.
        """

    def learn(self, lesson: Lesson) -> Learned | None:
        """Learn from a scored draft and the verdict on it."""

    def observe_prompt(self, tokens: torch.Tensor, candidates: torch.Tensor) -> None:
        """Learns on the host, by ``learn_prompt``."""

    def observe(self, draft: Draft, candidates: torch.Tensor) -> RowUpdates | None:
        """Learns on the host, by ``learn``."""

    def state(self) -> dict[str, Any]:
        """See ``Drafter``."""
        raise NotImplementedError

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        """See ``Drafter``."""
        raise NotImplementedError
