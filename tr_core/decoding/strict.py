"""Strict decoding: plain decoding's ids in half precision too.

Where the two best logits of a node on the path are closer than rounding can move them, the tree
pass does not know what plain decoding would choose. One more pass over that token does not know
either: it reads keys and values that tree passes have rounded differently, and that moves the
logits as much as the tree pass did (docs/decisions.md has the figures). So all tokens that came out
of tree passes since the last near-tie are computed again, one by one, as plain decoding computes
them. The last of these passes gives the choice, and the cache then is plain decoding's own.

What holds: if no tree pass moves a top-2 margin by more than the tolerance, the output is plain
decoding's, id by id. The tolerance is measured for the model, device, dtype and tree
(``rounding``); it is no proof. What it costs: one pass for each token up to the last near-tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tr_core.decoding import rounding
from tr_core.decoding.passes import Pass, Scored
from tr_core.decoding.step_clock import StepClock
from tr_core.target import Draft, Target
from tr_core.trees.tree import TreeTemplate, Verdict


class StrictPass:
    """Settles the first near-tie on the path of each pass.

    Args:
        target: the session's own; its cache is prefilled, and nothing else.
        inner: passes on that target which mark near-ties.
    """

    needs_draft = True

    def __init__(self, target: Target, inner: Pass) -> None:
        self._target, self._inner = target, inner
        self._exact = target.length  # leading cache rows that are plain decoding's own
        self._rewind_from: int | None = None  # where the text ended before a near-tie was settled

    @property
    def length(self) -> int:
        return self._target.length

    def prepare(self, template: TreeTemplate) -> None:
        self._inner.prepare(template)

    def score(
        self, context: Sequence[int], template: TreeTemplate, draft: Draft | None, clock: StepClock
    ) -> Scored:
        scored = self._settled(context, self._inner.score(context, template, draft, clock))
        clock.end("verify")
        return scored

    def keep(self, nodes: Sequence[int]) -> None:
        if self._rewind_from is None:
            self._inner.keep(nodes)
        else:  # the one-token passes have kept all that they computed
            self._target.rewind(self._rewind_from + len(nodes))

    def ordinary(self) -> Pass:
        return self

    def _settled(self, context: Sequence[int], scored: Scored) -> Scored:
        """The same with the first near-tie settled; the tree pass's later results are dropped."""
        tree, verdict, near = scored.tree, scored.verdict, scored.readout.near
        self._rewind_from = None
        if len(tree.tokens) == 1 and self._exact == len(context) - 1:
            # A one-token pass on plain decoding's cache: its choice is exact.
            self._exact += 1
            return scored
        doubtful = next((i for i, node in enumerate((0, *verdict.path)) if near[node]), None)
        if doubtful is None:
            return scored
        path = verdict.path[:doubtful]
        again = [*context[self._exact :], *(tree.tokens[node] for node in path)]
        self._target.rewind(self._exact)
        for token in again:
            logits = self._target.score(rounding.one_token(token, self._target.device))
            self._target.keep((0,))
        self._exact += len(again)
        self._rewind_from = len(context) - 1
        choice = int(self._target.agree(logits.argmax()))
        node = path[-1] if path else 0
        return replace(
            scored,
            verdict=Verdict(path, choice),
            choices=(*scored.choices[:node], choice, *scored.choices[node + 1 :]),
            passes=scored.passes + len(again),
            usual=False,
        )
