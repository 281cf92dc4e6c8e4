"""How ``generate`` chooses tokens and stops, by transformers' own unchanged parts.

These are its processors, sampling, criteria and streamer.

Only nodes on the path matter, so each token of the output is chosen exactly as plain decoding
chooses it, one after the other: the processors see the text before it, and nothing else; criteria
and streamer come after it. Nothing is asked about the other nodes of the tree. So processors with a
memory, criteria with side effects and draws from torch's global generator go on as if the tokens
had come one by one, and cost what they cost there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from tr_core.errors import PromptError
from tr_core.target import Draft
from tr_core.trees.tree import DraftTree

NOT_ASKED = -1


class GenerateRules:
    """``Rules`` of one call of ``generate``; see ``choice.Rules``.

    Args:
        input_ids: (1, n) the prompt, padding included, on the device where the caller wants the
            output.
        processors: called with (1, n) ids and (1, V) float32 logits for each new token.
        criteria: called with (1, n + 1) ids and the scores so far, after each new token.
        sample: draw from the processed logits by ``torch.multinomial``; otherwise the best token.
        streamer: gets each new token, (1,) on the host.
        keep_scores, keep_logits: collect what the processors made and what they were given, one (1,
            V) a new token.
        ends: ids that the run's record calls an end token.
        limit: length of ``input_ids`` at which the model can read no further.
        agree: gives what the first of several processes has; see ``Target.agree``.
    """

    def __init__(
        self,
        input_ids: torch.Tensor,
        processors: LogitsProcessorList,
        criteria: StoppingCriteriaList,
        *,
        sample: bool = False,
        streamer: BaseStreamer | None = None,
        keep_scores: bool = False,
        keep_logits: bool = False,
        ends: frozenset[int] = frozenset(),
        limit: int,
        agree: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self.ids = input_ids
        self.scores: tuple[torch.Tensor, ...] | None = () if keep_scores else None
        self.logits: tuple[torch.Tensor, ...] | None = () if keep_logits else None
        self._processors = processors
        self._criteria = criteria
        self._sample = sample
        self._streamer = streamer
        self._ends = ends
        self._limit = limit
        self._agree = agree
        # The best token of every node, computed at once: then the host need not ask the device
        # node by node.
        self._bare = not (sample or processors or keep_scores or keep_logits)
        self._reasons: deque[str | None] = deque()

    def choose(self, logits: torch.Tensor, draft: Draft) -> torch.Tensor:
        """The choices of the path; −1 at all other nodes."""
        if self._bare:
            return logits.argmax(dim=-1)
        tokens, seen = torch.stack((draft.tokens, draft.seen.long())).tolist()
        unseen = frozenset(n for n, real in enumerate(seen) if not real)
        children = DraftTree(draft.template, tuple(tokens), unseen).children
        choices = [NOT_ASKED] * len(tokens)
        node: int | None = 0
        while node is not None:
            token = choices[node] = self._pick(logits[node : node + 1])
            reason = self._append(token)
            self._reasons.append(reason)
            node = children.get((node, token)) if reason is None else None
        return torch.tensor(choices, device=logits.device)

    def stop(self, token: int) -> str | None:
        return self._reasons.popleft() if self._reasons else self._append(token)

    def _pick(self, row: torch.Tensor) -> int:
        """The token after float32 logits (1, V), as ``GenerationMixin._sample`` picks it."""
        row = row.to(self.ids.device, copy=True)
        processors: Any = self._processors  # annotated for LongTensor, which no function returns
        scores = processors(self.ids, row)
        if self.scores is not None:
            self.scores += (scores,)
        if self.logits is not None:
            self.logits += (row,)
        token = (
            torch.multinomial(scores.softmax(dim=-1), num_samples=1)[0]
            if self._sample
            else scores.argmax(dim=-1)
        )
        return int(self._agree(token))

    def _append(self, token: int) -> str | None:
        """Append a token and notify criteria and streamer; why the output ends there, or None.

        Raises:
            PromptError: it does not end, but the model can read no further.
        """
        new = torch.tensor([token], device=self.ids.device)
        self.ids = torch.cat((self.ids, new[None]), dim=-1)
        done = bool(self._agree(self._criteria(self.ids, self.scores).all()))
        if self._streamer is not None:
            self._streamer.put(new.cpu())
        length = self.ids.shape[-1]
        if not done:
            if length > self._limit:
                raise PromptError(
                    f"The text has outgrown the {self._limit:,} tokens that this model can read:"
                    " ask for fewer new tokens, or shorten the prompt."
                )
            return None
        if token in self._ends:
            return "eos"
        return "max_new_tokens" if _at_limit(self._criteria, length) else "criterion"


def _at_limit(criteria: Any, length: int) -> bool:
    limit = getattr(criteria, "max_length", None)
    return limit is not None and length >= limit
