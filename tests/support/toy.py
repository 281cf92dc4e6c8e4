"""A bigram table that plays the model: the engine is tested on drafts and verdicts one can check by
hand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from tr_core.budget.cost_curve import CostCurve
from tr_core.settings import Settings
from tr_core.target import Draft, Observe

# A step over 80 nodes costs twice a plain one.
FLAT = CostCurve((0, 80), (10.0, 20.0))
# After each of a, b and c comes the next one; d, e and f are never written.
CIRCLE = {0: [1, 2, 3], 1: [2, 0, 4], 2: [0, 1, 5]}


class ToyVocabulary:
    """Token 0 is “a”, 1 is “b”, …"""

    fingerprint = "toy"

    def token_bytes(self, token: int) -> bytes:
        return chr(ord("a") + token).encode()

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.token_bytes(t).decode() for t in ids)


class ToyTarget:
    """``ToyTarget({5: [6, 3, 1], …})``: after token 5 the model's best is 6, then 3, then 1, then
    the rest by id.

    The cache is the list of tokens whose keys would be in it, so a wrong ``keep`` shows as wrong
    text.
    """

    name = "toy"
    family = "bigram"
    attention = "none"
    devices = "cpu"
    weight_bytes = cache_bytes_per_token = 0
    device = torch.device("cpu")
    dtype = torch.float32
    vocabulary = ToyVocabulary()

    def __init__(
        self,
        table: dict[int, list[int]],
        vocab_size: int = 10,
        *,
        eos: Sequence[int] = (),
        max_length: int = 1000,
        costs: CostCurve = FLAT,
    ) -> None:
        self.table = table
        self.vocab_size = vocab_size
        self.eos_ids = frozenset(eos)
        self.max_length = max_length
        self.costs = costs
        self.cache: list[int] = []
        self.passes = 0
        self.last_nodes = 0
        self.last_fork: ToyTarget | None = None
        self._pending: list[int] | None = None

    @property
    def length(self) -> int:
        return len(self.cache)

    def fork(self) -> ToyTarget:
        self.last_fork = ToyTarget(
            self.table,
            self.vocab_size,
            eos=tuple(self.eos_ids),
            max_length=self.max_length,
            costs=self.costs,
        )
        return self.last_fork

    def reset(self) -> None:
        self.cache = []

    def prefill(
        self,
        ids: Sequence[int],
        observe: Observe | None = None,
        positions: Sequence[int] | None = None,
    ) -> None:
        self.cache += ids
        positions = range(len(ids)) if positions is None else positions
        if observe is not None and positions:
            observe(positions, torch.stack([self.logits(ids[position]) for position in positions]))

    def score(self, draft: Draft) -> torch.Tensor:
        assert self._pending is None, "keep() must follow each score()"
        self.passes += 1
        self.last_nodes = draft.template.nodes
        self._pending = draft.tokens.tolist()
        return torch.stack([self.logits(t) for t in self._pending])

    def keep(self, nodes: Sequence[int]) -> None:
        assert self._pending is not None
        self.cache += [self._pending[n] for n in nodes]
        self._pending = None

    def rewind(self, length: int) -> None:
        assert length <= len(self.cache)
        self.cache, self._pending = self.cache[:length], None

    def agree(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def clock(self) -> Callable[[], float]:
        return time.perf_counter

    def cost_curve(self, settings: Settings) -> CostCurve:
        return self.costs

    def stopper(self, strings: Sequence[str]) -> Callable[[Sequence[int]], bool]:
        return lambda ids: any(self.vocabulary.decode(ids).endswith(s) for s in strings)

    def logits(self, token: int) -> torch.Tensor:
        """(V,) the listed followers first, all others after them in the order of their ids."""
        best = self.table.get(token, [])
        order = best + [t for t in range(self.vocab_size) if t not in best]
        scores = torch.empty(self.vocab_size)
        scores[torch.tensor(order)] = torch.arange(self.vocab_size, 0, -1, dtype=torch.float32)
        return scores
