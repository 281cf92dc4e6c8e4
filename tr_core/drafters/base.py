"""What a drafter is. A new one is a file beside this and a line in ``registry.py``.

A drafter guesses the next tokens as a tree (``propose``) and learns from the model's verdict at
each node. There are two kinds:

- One lives **on the device**: it drafts from tensors and learns by ``observe`` before anything is
  copied to the host, so that a whole step can be one graph (``token_recycling``).
- The other **thinks on the host** (``HostDrafter``): it drafts from Python numbers and learns by
  ``learn`` from the step's one copy to the host. A whole drafter of this kind:

      class LastAgain(HostDrafter):
          "Guesses that the last token comes again."

          name = "last_again"
          summary = "the last token, again and again"

          def propose(self, context, template, growth=None):
              return self.chain(context[-1], [context[-1]] * template.nodes)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import numpy as np
import torch

from tr_core.budget.grown_tree_budget import GrownTreeBudget
from tr_core.drafters.candidate_matrix import CandidateMatrix, RowUpdates
from tr_core.errors import CheckpointError
from tr_core.target import Draft
from tr_core.trace import ROOT, Held, RowChange, Source
from tr_core.trees.templates import chain
from tr_core.trees.tree import TreeTemplate


class Drafter:
    """Proposes drafts, and learns from what the model said about them.

    A drafter's properties are on its class; engine, page and command line read them there.

    Attributes:
        name: the word that chooses it.
        summary: one line for the page and the command line.
        drafts: whether it drafts anything, so that there is a size to choose.
        uses_tree: whether it fills the template's shape; otherwise only the template's number of
            nodes counts.
        grows: whether it grows a tree of its own for each draft, the best nodes first, and
            ``propose`` takes a ``growth`` that decides where to end it.
        has_matrix: whether it keeps its rows in ``matrix``, and learns them by ``observe``.
        learns: whether it learns on the host, by ``learn`` and ``learn_prompt``.
        last_wins: whether only a token's last position in a prompt teaches it anything.
        saves: whether ``save`` and ``load`` keep what it knows in a file.
        matrix: its rows on the device; only there where ``has_matrix``.
        k: candidates of a row; None if it keeps none.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    drafts: ClassVar[bool] = True
    uses_tree: ClassVar[bool] = False
    grows: ClassVar[bool] = False
    has_matrix: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    last_wins: ClassVar[bool] = False
    saves: ClassVar[bool] = False

    matrix: CandidateMatrix
    k: int | None = None

    @classmethod
    def create(cls, vocab_size: int, k: int, device: torch.device) -> Drafter:
        """A drafter that knows nothing yet.

        Raises:
            MatrixError: k does not fit the vocabulary.
        """
        raise NotImplementedError

    @classmethod
    def prepare(cls) -> None:
        """Do now, once in a process, what the first use would wait for; it may take 15 seconds."""

    @property
    def rows_seen(self) -> int:
        """Rows that hold candidates; 0 for a drafter that keeps none."""
        return 0

    def begin(self) -> None:
        """A new prompt starts: drop what belongs to one text, keep what may serve the next."""

    def propose(
        self, context: Sequence[int], template: TreeTemplate, growth: GrownTreeBudget | None = None
    ) -> Draft:
        """A draft below ``context[-1]`` of at most ``template.nodes`` nodes.

        Args:
            context: prompt and output so far.
            template: the shape, where the drafter ``uses_tree``; otherwise its size.
            growth: given only to a drafter that ``grows``: ends the tree where a further node no
                longer pays.
        """
        raise NotImplementedError

    def observe_prompt(self, tokens: torch.Tensor, candidates: torch.Tensor) -> None:
        """Learn from prompt positions: ``tokens`` (n,) and the model's best (n, k) after each."""

    def observe(self, draft: Draft, candidates: torch.Tensor) -> RowUpdates | None:
        """Learn from a scored draft: the model's best (N + 1, k) after each node.

        Without a trace only drafters with a matrix are called, since ranking takes time. Returns
        the rows overwritten, or None.
        """
        return None

    def learn_prompt(
        self, prompt: Sequence[int], offset: int, candidates: np.ndarray, probabilities: np.ndarray
    ) -> None:
        """Learn from the prompt's positions ``offset`` … ``offset + n − 1``.

        Args:
            prompt: all of it.
            offset: the first of the positions.
            candidates: (n, k) int32, the model's best after each position.
            probabilities: (n, k) float32 of those.
        """

    def learn(self, lesson: Lesson) -> Learned:
        """Learn from a scored draft and the verdict on it."""
        return Learned()

    def save(self, path: str | Path, fingerprint: str) -> None:
        """Write what it knows to a file, for models with this tokenizer ``fingerprint``.

        Raises:
            MatrixError: the file cannot be written.
        """
        raise NotImplementedError

    @classmethod
    def load(
        cls, path: str | Path, fingerprint: str, vocab_size: int, device: torch.device
    ) -> Drafter:
        """Read what ``save`` wrote.

        Raises:
            MatrixError: no such file, another drafter's or another tokenizer's, or damaged.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What it knows and could not learn again from the text alone, as JSON-able data."""
        return {}

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        """Know what ``state`` and the text so far say; it may come from anywhere and is checked.

        Raises:
            CheckpointError, MatrixError: it is not what ``state()`` of such a drafter gives.
        """
        convert(state, TextAlone)


class HostDrafter(Drafter):
    """Base of drafters on the host; one that knows the text alone adds only ``propose``."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = device

    @classmethod
    def create(cls, vocab_size: int, k: int, device: torch.device) -> HostDrafter:
        return cls(device)

    def chain(
        self, root: int, tokens: Sequence[int], sources: Sequence[Source] | None = None
    ) -> Draft:
        """A draft of one path: ``tokens`` below ``root``; ``sources`` say where each came from."""
        ids = torch.tensor([root, *tokens], dtype=torch.int64, device=self._device)
        seen = torch.ones(len(ids), dtype=torch.bool, device=self._device)
        return Draft(chain(len(tokens)), ids, seen, () if sources is None else (ROOT, *sources))


@dataclass(frozen=True)
class Lesson:
    """All results of one pass, on the host, before any of them is committed.

    Attributes:
        context: prompt and output before the step, the root the last.
        parents: (N + 1,) of the draft that was scored.
        tokens: (N + 1,) of the same.
        choices: (N + 1,) the model's own pick after each node; −1 off the path where a rule from
            outside was not asked.
        candidates: (N + 1, k) int32, its best tokens there, best first.
        probabilities: (N + 1, k) float32 of those, at temperature 1.
        path: accepted nodes, root excluded.
        traced: whether the trace needs the rows in what ``learn`` returns.
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
    """What a host drafter reports to the trace after a lesson.

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
    """A drafter's state, which may have travelled as JSON, as the struct that it must be.

    Raises:
        CheckpointError: it is not of this kind.
    """
    try:
        return msgspec.convert(state, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise CheckpointError(
            f"The drafter's part of the checkpoint is damaged: {error}."
        ) from error
