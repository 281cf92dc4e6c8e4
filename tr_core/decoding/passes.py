"""The forward pass of a step: score a draft, find the accepted path, keep it in the cache.

A session chooses its pass once, when it starts. ``OrdinaryPass`` calls the model; ``StrictPass``
(``strict.py``) settles near-ties around it; ``StaticPass`` (``static/run.py``) plays a recorded
graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from tr_core.decoding import rounding
from tr_core.decoding.readout import Readout, on_host
from tr_core.decoding.sampling import Greedy, Rules, Sampled
from tr_core.decoding.step_clock import StepClock
from tr_core.decoding.top_k import top
from tr_core.drafters.base import Drafter
from tr_core.settings import Settings
from tr_core.target import Draft, Target
from tr_core.trees.tree import DraftTree, TreeTemplate, Verdict


class NoStaticStep(Exception):
    """No static step can be recorded here; the text says why, and an ordinary pass is used."""


@dataclass(frozen=True)
class Scored:
    """The results of a pass, on the host.

    Attributes:
        draft: as proposed; None if it was made in the graph.
        tree: the draft with its tokens.
        verdict: the accepted path and the bonus.
        choices: (N + 1,) the model's own pick after each node.
        readout: all else that left the device.
        passes: forward passes that it took.
        usual: whether its time is typical for a pass of this size; false if it recorded a graph
            or settled a near-tie.
    """

    draft: Draft | None
    tree: DraftTree
    verdict: Verdict
    choices: tuple[int, ...]
    readout: Readout
    passes: int = 1
    usual: bool = True

    @classmethod
    def of(
        cls, draft: Draft | None, template: TreeTemplate, readout: Readout, verdict: Verdict | None
    ) -> Scored:
        """What a single pass over ``template`` found; without a ``verdict`` the host walks."""
        unseen = frozenset(np.flatnonzero(~readout.seen).tolist())
        tree = DraftTree(template, readout.tokens, unseen)
        verdict = verdict or tree.walk(readout.choices)
        return cls(draft, tree, verdict, readout.choices, readout)

    @property
    def tokens(self) -> list[int]:
        """The path's tokens and the bonus: the output's next tokens, if nothing ends it."""
        return [*(self.tree.tokens[node] for node in self.verdict.path), self.verdict.bonus]


class Pass(Protocol):
    """One way to do the forward passes of a run; one at a time, each ``score`` with its ``keep``.

    Attributes:
        needs_draft: whether ``score`` needs a draft; a graph may make its own.
    """

    @property
    def needs_draft(self) -> bool: ...

    @property
    def length(self) -> int:
        """Tokens in the cache."""
        ...

    def prepare(self, template: TreeTemplate) -> None:
        """Do now what the first pass over this template would have to do."""
        ...

    def score(
        self, context: Sequence[int], template: TreeTemplate, draft: Draft | None, clock: StepClock
    ) -> Scored:
        """Score a draft below ``context[-1]``; a drafter on the device learns from it here.

        Args:
            context: prompt and output; all but the last token are in the cache.
            template: the step's shape, or its size.
            draft: of at most the template's nodes; None if the pass makes its own.
            clock: gets the parts of the step up to here.

        Raises:
            NoStaticStep: this shape cannot be recorded. Nothing has happened; go on with
                ``ordinary()``.
        """
        ...

    def keep(self, nodes: Sequence[int]) -> None:
        """Keep keys and values of ``nodes``, the root and the path or its beginning."""
        ...

    def ordinary(self) -> Pass:
        """The pass to go on with where this one cannot."""
        ...


class OrdinaryPass:
    """A call of the model, and what follows from its logits.

    Args:
        target: its cache holds the text but its last token.
        drafter: learns from the pass if it lives on the device.
        settings: of the run.
        choose: the tokens.
        prompt_length: tokens of the context that are prompt.
        weighs_rows: whether a budget asks which rows are known.
        tolerance: top-2 margin up to which a choice is a near-tie; None if near-ties do not matter.
    """

    needs_draft = True

    def __init__(
        self,
        target: Target,
        drafter: Drafter,
        settings: Settings,
        choose: Greedy | Sampled | Rules,
        prompt_length: int,
        *,
        weighs_rows: bool = False,
        tolerance: float | None = None,
    ) -> None:
        self._target, self._drafter = target, drafter
        self._choose, self._prompt_length = choose, prompt_length
        self._k, self._weighs_rows, self._tolerance = settings.k, weighs_rows, tolerance
        self._traced = settings.trace
        self._needs_chances = settings.trace or drafter.learns
        self._needs_candidates = self._needs_chances or drafter.has_matrix

    @property
    def length(self) -> int:
        return self._target.length

    def prepare(self, template: TreeTemplate) -> None:
        """Nothing to record."""

    def score(
        self, context: Sequence[int], template: TreeTemplate, draft: Draft | None, clock: StepClock
    ) -> Scored:
        assert draft is not None
        target = self._target
        logits = target.score(draft)
        clock.end("forward")

        candidates = probabilities = near = updates = known = None
        ranked = top(logits, self._k) if self._needs_candidates else None
        emitted = len(context) - self._prompt_length
        choices = target.agree(self._choices(logits, ranked, draft, emitted))
        if self._tolerance is not None:
            near = target.agree(rounding.margins(logits) <= self._tolerance)
        if ranked is not None:
            candidates = target.agree(ranked[1])
            if self._needs_chances:
                # Half of logsumexp's time on a CPU, and there in place: new memory for wide logits
                # takes longer than sums.
                with torch.inference_mode():
                    chances = torch.softmax(logits, -1, out=logits if on_host(logits) else None)
                probabilities = target.agree(chances.gather(-1, candidates))
        clock.end("verify")

        if candidates is not None:
            updates = self._drafter.observe(draft, candidates)
        clock.end("update")
        if self._weighs_rows:
            known = self._drafter.matrix.known(choices)
        rows = updates if self._traced or self._weighs_rows else None
        readout = Readout(draft, choices, near, candidates, probabilities, rows, known)
        scored = Scored.of(draft, draft.template, readout, None)
        clock.end("verify")
        return scored

    def keep(self, nodes: Sequence[int]) -> None:
        self._target.keep(nodes)

    def ordinary(self) -> Pass:
        return self

    def _choices(
        self,
        logits: torch.Tensor,
        ranked: tuple[torch.Tensor, torch.Tensor] | None,
        draft: Draft,
        emitted: int,
    ) -> torch.Tensor:
        """(N + 1,) the pick after each node; ``ranked``: the best logits and their ids."""
        choose = self._choose
        if isinstance(choose, Greedy) and ranked is not None and on_host(logits):
            return choose.of_ranked(logits, *ranked)
        if isinstance(choose, Greedy | Sampled):
            return choose(logits, draft.template, emitted)
        return choose.choose(logits, draft)
