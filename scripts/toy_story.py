"""The toy of the lessons: a model of six words that a class can play with a pen.

It knows one story by heart and has habits. While the words so far are the beginning of the story,
its first choice is the story's next word, followed by the habits of the last word. Elsewhere it has
only the habits. So its choices depend on the whole text, as a real model's do, and still fit on a
sheet of paper.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch

from tr_core.budget.cost_curve import CostCurve
from tr_core.settings import Settings
from tr_core.target import Draft, Observe

WORDS = ("the", "cat", "dog", "saw", "and", "ran")
STORY = (
    "the", "cat", "saw", "the", "dog", "and", "the", "dog", "saw", "the",
    "cat", "and", "the", "cat", "ran", "and", "the", "dog", "ran",
)  # fmt: skip
# After each word, the words that the toy prefers, best first.
HABITS = {
    "the": ("cat", "dog"),
    "cat": ("saw", "ran"),
    "dog": ("ran", "saw"),
    "saw": ("the", "and"),
    "and": ("the", "ran"),
    "ran": ("and", "the"),
}


def ids(words: Sequence[str]) -> list[int]:
    """Token ids of words: their places in ``WORDS``."""
    return [WORDS.index(word) for word in words]


def best_words(before: Sequence[str]) -> list[str]:
    """All six words as the toy ranks them after ``before`` (n > 0 words), best first."""
    n = len(before)
    story = STORY[n : n + 1] if tuple(before) == STORY[:n] else ()
    return list(dict.fromkeys((*story, *HABITS[before[-1]], *WORDS)))


class StoryVocabulary:
    """Six words, written with a space before each."""

    fingerprint = "toy-of-six-words"

    def token_bytes(self, token: int) -> bytes:
        return f" {WORDS[token]}".encode()

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(f" {WORDS[t]}" for t in tokens)


class StoryTarget:
    """The toy as a ``Target``; its cache is the list of words whose keys a real one would hold."""

    name = "toy"
    family = "toy of six words"
    attention = "none"
    device = torch.device("cpu")
    devices = "cpu"
    weight_bytes = cache_bytes_per_token = 0
    dtype = torch.float32
    vocabulary = StoryVocabulary()
    vocab_size = len(WORDS)
    max_length = 1000
    eos_ids: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self._cache: list[str] = []
        self._pending: list[str] = []

    @property
    def length(self) -> int:
        return len(self._cache)

    def fork(self) -> StoryTarget:
        return StoryTarget()

    def reset(self) -> None:
        self._cache, self._pending = [], []

    def prefill(
        self,
        tokens: Sequence[int],
        observe: Observe | None = None,
        positions: Sequence[int] | None = None,
    ) -> None:
        start = len(self._cache)
        self._cache += (WORDS[t] for t in tokens)
        positions = range(len(tokens)) if positions is None else positions
        if observe is not None and positions:
            observe(
                positions,
                torch.stack(
                    [_logits(self._cache[: start + position + 1]) for position in positions]
                ),
            )

    def score(self, draft: Draft) -> torch.Tensor:
        """Each node reads the cache, its ancestors and itself, and nothing else."""
        self._pending = [WORDS[t] for t in draft.tokens.tolist()]
        mask = draft.template.ancestor_mask
        return torch.stack(
            [
                _logits(self._cache + [self._pending[n] for n in mask[node].nonzero()[0]])
                for node in range(len(mask))
            ]
        )

    def keep(self, nodes: Sequence[int]) -> None:
        self._cache += (self._pending[n] for n in nodes)
        self._pending = []

    def rewind(self, length: int) -> None:
        self._cache, self._pending = self._cache[:length], []

    def agree(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def clock(self) -> Callable[[], float]:
        return time.perf_counter

    def cost_curve(self, settings: Settings) -> CostCurve:
        """Any draft costs as much as one word: the ideal case."""
        return CostCurve((0, 80), (1.0, 1.0))

    def stopper(self, strings: Sequence[str]) -> Callable[[Sequence[int]], bool]:
        return lambda tokens: any(self.vocabulary.decode(tokens).endswith(s) for s in strings)


def _logits(before: Sequence[str]) -> torch.Tensor:
    """(V,) probabilities 1/2, 1/4, 1/8 … from the best word on; the last two share the rest."""
    shares = [2.0 ** -min(rank + 1, len(WORDS) - 1) for rank in range(len(WORDS))]
    logits = torch.empty(len(WORDS))
    logits[torch.tensor(ids(best_words(before)))] = torch.tensor(shares).log()
    return logits
