"""The interface between engine and model: all that decoding needs of one.

``HFTarget`` implements it with a transformers model, the tests with a bigram table.
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

# Gets n positions within a prompt and the float32 logits (n, V) after them.
Observe = Callable[[Sequence[int], torch.Tensor], None]


@dataclass(frozen=True)
class Draft:
    """A template filled with tokens on the model's device, without a copy to the host.

    Attributes:
        template: the shape, N draft nodes.
        tokens: (N + 1,) int64 token ids, the root's first; never negative.
        seen: (N + 1,) bool; false where the token is only a filler, below a row never written.
        sources: (N + 1,) where each token came from, the root's ``Source("root")``; may be
            empty.
        expected: (N + 1,) the chance that each node is on the path, the root's 1, no child's above
            its parent's; may be empty.
    """

    template: TreeTemplate
    tokens: torch.Tensor
    seen: torch.Tensor
    sources: Sequence[Source] = ()
    expected: tuple[float, ...] = ()


class Vocabulary(Protocol):
    """What the trace needs of a tokenizer."""

    @property
    def fingerprint(self) -> str:
        """What distinguishes this vocabulary from others."""
        ...

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
        devices: the device, or all devices that hold a part of it, in words.
    """

    name: str
    family: str
    vocab_size: int
    max_length: int
    eos_ids: frozenset[int]
    device: torch.device
    dtype: torch.dtype
    attention: str
    devices: str

    @property
    def vocabulary(self) -> Vocabulary:
        """What the trace needs of the tokenizer."""
        ...

    @property
    def length(self) -> int:
        """Tokens whose keys and values are in the cache."""
        ...

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that every pass reads; 0 if unknown."""
        ...

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of keys and values of one token; 0 if unknown."""
        ...

    def fork(self) -> Target:
        """The same weights with an empty cache of its own, for another run at the same time."""
        ...

    def reset(self) -> None:
        """Empty the cache."""
        ...

    def prefill(
        self,
        ids: Sequence[int],
        observe: Observe | None = None,
        positions: Sequence[int] | None = None,
    ) -> None:
        """Append ``ids`` to the cache, chunk by chunk.

        Args:
            ids: token ids.
            observe: called with positions within ``ids`` and their float32 logits (n, V), chunk by
                chunk; elsewhere no logits are computed where the model allows.
            positions: those to observe, rising; all by default.
        """
        ...

    def score(self, draft: Draft) -> torch.Tensor:
        """One forward pass over the N + 1 tokens of a draft: float32 logits (N + 1, V).

        Each node sees the cache, its ancestors and itself, at position ``length + depth``. Its key
        and value wait after the cached ones for ``keep``, which must follow each ``score``. The
        logits are the caller's: it may overwrite them.
        """
        ...

    def keep(self, nodes: Sequence[int]) -> None:
        """Append the keys and values of ``nodes``, the root and the path; drop all others."""
        ...

    def rewind(self, length: int) -> None:
        """Forget all cached tokens but the first ``length``, and a ``score`` not yet kept."""
        ...

    def agree(self, tensor: torch.Tensor) -> torch.Tensor:
        """The ``tensor`` of the first of all processes that run this model."""
        ...

    def clock(self) -> Callable[[], float]:
        """A clock, in seconds, that shows the same to all processes that run this model."""
        ...

    def cost_curve(self, settings: Settings) -> CostCurve | LiveCurve:
        """What a step costs under ``settings``, by its draft nodes; measured once for all forks."""
        ...

    def stopper(self, strings: Sequence[str]) -> Callable[[Sequence[int]], bool]:
        """A test whether the ids so far, prompt included, end with one of ``strings``.

        Its verdict is plain decoding's.
        """
        ...
