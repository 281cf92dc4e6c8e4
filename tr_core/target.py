"""The seam between the engine and a model: all that decoding needs of one.

``HFTarget`` puts a transformers model behind it; the tests put a bigram table there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from tr_core.budget.cost_curve import CostCurve, LiveCurve
from tr_core.settings import Settings
from tr_core.trace import Source
from tr_core.trees.tree import TreeTemplate

# Gets n places within a prompt and the float32 logits (n, V) after them.
Observe = Callable[[Sequence[int], torch.Tensor], None]


@dataclass(frozen=True)
class Draft:
    """A template filled with tokens on the model's device, so that drafting needs no copy to the
    host.

    Attributes:
        template: the shape, N draft nodes.
        tokens: (N + 1,) int64 token ids, the root's first; never negative.
        seen: (N + 1,) bool; false where the token is only a filler, below a row never written.
        sources: (N + 1,) where each token came from, the root's ``Source("root")``; may be left
            empty.
        expected: (N + 1,) the chance that each node is on the path, the root's 1, no child's above
            its parent's; may be left empty.
    """

    template: TreeTemplate
    tokens: torch.Tensor
    seen: torch.Tensor
    sources: Sequence[Source] = ()
    expected: tuple[float, ...] = ()


class Vocabulary(Protocol):
    """What the trace needs of a tokenizer."""

    fingerprint: str

    def token_bytes(self, token: int) -> bytes:
        """The bytes that one token stands for; an end or control token gives its name."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a sequence of ids."""
        ...


class Target(Protocol):
    """A model with one sequence in its cache.

    Attributes:
        name: as the user chose it.
        family: transformers' ``model_type``.
        vocab_size: width of the logits, which may be wider than the tokenizer.
        max_length: tokens a sequence may have, prompt and output.
        eos_ids: ids that end an output.
        device, dtype, attention: how the model runs.
    """

    name: str
    family: str
    vocab_size: int
    max_length: int
    eos_ids: frozenset[int]
    device: torch.device
    dtype: torch.dtype
    attention: str
    vocabulary: Vocabulary

    @property
    def length(self) -> int:
        """Tokens whose keys and values are in the cache."""
        ...

    def fork(self) -> Target:
        """The same weights with an empty cache of its own: one for each run that goes on at the
        same time.
        """
        ...

    def reset(self) -> None:
        """Empty the cache."""
        ...

    def prefill(
        self,
        ids: Sequence[int],
        observe: Observe | None = None,
        places: Sequence[int] | None = None,
    ) -> None:
        """Append ``ids`` to the cache, chunk by chunk.

        Args:
            ids: token ids.
            observe: called with the places within ``ids`` of a chunk and their float32 logits (n,
                V); with None, and at other places, no logits are computed where the model allows.
            places: rising, those to observe; all by default.
        """
        ...

    def score(self, draft: Draft) -> torch.Tensor:
        """One forward pass over the N + 1 tokens of a draft: float32 logits (N + 1, V).

        Each node sees the cache, its ancestors and itself, at position ``length + depth``. The
        nodes' keys and values stay behind the cache until ``keep`` is called, which must follow
        each ``score``. The logits are the caller's: it may overwrite them.
        """
        ...

    def keep(self, nodes: Sequence[int]) -> None:
        """Append the keys and values of ``nodes`` (the root, then the accepted path) and drop all
        others.
        """
        ...

    def rewind(self, length: int) -> None:
        """Forget all cached tokens but the first ``length``; a ``score`` without its ``keep`` is
        forgotten too.
        """
        ...

    def agree(self, tensor: torch.Tensor) -> torch.Tensor:
        """What the first of the processes that run this model has in ``tensor``; itself if there is
        but one.
        """
        ...

    def clock(self) -> Callable[[], float]:
        """A clock, in seconds, that tells all processes that run this model the same."""
        ...

    def cost_curve(self, settings: Settings) -> CostCurve | LiveCurve:
        """What a step costs under ``settings``, by its draft nodes; measured once for all forks,
        live or not.
        """
        ...

    def stopper(self, strings: Sequence[str]) -> Callable[[Sequence[int]], bool]:
        """A test of whether the ids so far, prompt included, end with one of ``strings`` as plain
        decoding tells it.
        """
        ...
