"""The model's own pick after a node: the argmax, or the sample that plain sampling would draw.

Sampling. Plain sampling in transformers draws a token as ``argmax(p / q)`` with fresh exponential
noise q of the vocabulary's width for every position (what ``torch.multinomial`` does for one
sample). Here the noise of the i-th new token is the i-th draw of a generator with the run's seed,
and all nodes that could become that token share it. So the choice at a node depends on its text and
the seed alone, and the output equals ``torch.manual_seed(seed)`` followed by
``model.generate(do_sample=True, …)``, token for token.
"""

from __future__ import annotations

from typing import Protocol

import torch
from transformers import (
    LogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tr_core.settings import Settings
from tr_core.target import Draft
from tr_core.trees.tree import TreeTemplate


class Rules(Protocol):
    """Decides in place of a session's settings which token follows, and where the output ends."""

    def choose(self, logits: torch.Tensor, draft: Draft) -> torch.Tensor:
        """(N + 1,) int64 choices from float32 logits (N + 1, V); −1 at nodes off the path."""
        ...

    def stop(self, token: int) -> str | None:
        """Called once for each new token, in order: why the output ends with it, or None."""
        ...


class Greedy:
    """The most probable token; the lowest id where two are equal, as ``argmax`` has it."""

    def __call__(self, logits: torch.Tensor, template: TreeTemplate, emitted: int) -> torch.Tensor:
        """(N + 1,) int64 choices from float32 logits (N + 1, V) of the nodes of ``template``.

        ``emitted`` is the number of new tokens before this step; it never falls from call to call.
        """
        return logits.argmax(dim=-1)

    def of_ranked(
        self, logits: torch.Tensor, values: torch.Tensor, ids: torch.Tensor
    ) -> torch.Tensor:
        """The same on a CPU without reading wide rows again.

        Args:
            logits: (n, V).
            values: (n, k) the greatest of them, in an order that is free among equal ones.
            ids: (n, k) of the values.
        """
        if values.shape[1] > 1:
            numbers = values.numpy()
            if (numbers[:, 0] > numbers[:, 1]).all():
                return ids[:, 0]
        return logits.argmax(dim=-1)


class Sampled:
    """A sample from what ``Settings.sampling`` leaves of the model's probabilities.

    Args:
        settings: of the run; their temperature is above 0.
        device: of the logits.
    """

    def __init__(self, settings: Settings, device: torch.device) -> None:
        # transformers' own warpers in its own order, so that the probabilities are its own to the
        # last bit.
        self._warpers: list[LogitsProcessor] = []
        if settings.temperature != 1.0:
            self._warpers.append(TemperatureLogitsWarper(settings.temperature))
        if settings.top_k:
            self._warpers.append(TopKLogitsWarper(top_k=settings.top_k))
        if settings.top_p < 1.0:
            self._warpers.append(TopPLogitsWarper(top_p=settings.top_p))
        self._generator = torch.Generator(device).manual_seed(settings.seed)
        self._noise: list[torch.Tensor] = []
        self._first = 0

    def __call__(self, logits: torch.Tensor, template: TreeTemplate, emitted: int) -> torch.Tensor:
        """See ``Greedy``."""
        noise = self.noise(emitted, template.depth + 1, logits)
        return self.pick(logits, noise[torch.tensor(template.depths, device=logits.device)])

    def noise(self, emitted: int, count: int, like: torch.Tensor) -> torch.Tensor:
        """(count, V) float32 noise of new tokens ``emitted`` …, for logits ``like`` these."""
        self._draw_until(emitted, count, like)
        return torch.cat(self._noise[:count])

    def pick(self, logits: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """(n,) int64 samples from float32 logits (n, V), each by its own row of noise (n, V)."""
        for warper in self._warpers:
            logits = warper(None, logits)
        return (logits.softmax(dim=-1) / noise).argmax(dim=-1)

    def _draw_until(self, emitted: int, count: int, like: torch.Tensor) -> None:
        """Hold the noise of new tokens ``emitted`` … ``emitted + count − 1``, drawn in order."""
        while self._first + len(self._noise) < emitted + count:
            row = torch.empty(1, like.shape[-1], dtype=torch.float32, device=like.device)
            self._noise.append(row.exponential_(generator=self._generator))
            # A run resumed from a checkpoint skips many rows, and holds none of them.
            if self._first < emitted:
                del self._noise[0]
                self._first += 1
        del self._noise[: emitted - self._first]
        self._first = emitted
