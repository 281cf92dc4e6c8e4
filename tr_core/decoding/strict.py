"""Strict decoding: the ids of plain decoding in half precision too, near-ties settled by one-token
passes.

Where the two best logits of a node on the path are closer than rounding can move them, the tree
pass does not know what plain decoding would choose. One more pass over that token does not know
either: it reads keys and values that tree passes have rounded otherwise, and that moves the logits
as much as the tree pass did (docs/decisions.md has the figures). So all tokens that came out of
tree passes since the last such place are computed again, one by one, as plain decoding computes
them; the last of these passes gives the choice, and the cache then is plain decoding's own.

What holds: if no tree pass moves a top-2 margin by more than the tolerance, the output is plain
decoding's, id by id. The tolerance is measured for the model, device, dtype and tree
(``numerics``); it is no proof. What it costs: one pass for each token up to the last near-tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tr_core.decoding import rounding as numerics
from tr_core.target import Target
from tr_core.trees.tree import DraftTree
from tr_core.trees.verify import Verdict


@dataclass(frozen=True)
class Settled:
    """A verdict that plain decoding agrees with.

    Attributes:
        verdict: the path up to the first near-tie and its true choice, or the whole of it if there
            was none.
        choices: (N + 1,) the choices, the settled one put right.
        passes: one-token passes that this took; 0 if the verdict stands as it was, and still has to
            be kept.
    """

    verdict: Verdict
    choices: tuple[int, ...]
    passes: int


class Strict:
    """Settles the near-ties of one session.

    Args:
        target: the session's own; its cache is prefilled, and nothing else.
        tolerance: the top-2 margin up to which a choice of a tree pass is not trusted.
    """

    def __init__(self, target: Target, tolerance: float) -> None:
        self.tolerance = tolerance
        self._target = target
        self._exact = target.length  # leading cache rows that are those of plain decoding

    def near(self, logits: torch.Tensor) -> torch.Tensor:
        """(N + 1,) bool, on the device: which nodes' choices are near-ties."""
        return numerics.margins(logits) <= self.tolerance

    def settle(
        self,
        context: Sequence[int],
        tree: DraftTree,
        verdict: Verdict,
        choices: tuple[int, ...],
        near: Sequence[bool],
    ) -> Settled:
        """Settle the first near-tie on the path; what the tree pass said behind it is dropped.

        Args:
            context: committed ids, the root's last.
            tree, verdict, choices, near: of the pass just scored, not yet kept.
        """
        if len(tree.tokens) == 1 and self._exact == len(context) - 1:
            # the pass was a one-token pass behind plain decoding's cache: its choice is exact
            self._exact += 1
            return Settled(verdict, choices, 0)
        doubtful = next(
            (place for place, node in enumerate((0, *verdict.path)) if near[node]), None
        )
        if doubtful is None:
            return Settled(verdict, choices, 0)
        path = verdict.path[:doubtful]
        again = [*context[self._exact :], *(tree.tokens[n] for n in path)]
        self._target.rewind(self._exact)
        for token in again:
            logits = self._target.score(numerics.one_token(token, self._target.device))
            self._target.keep((0,))
        self._exact += len(again)
        choice = int(self._target.agree(logits.argmax()))
        node = path[-1] if path else 0
        return Settled(
            Verdict(path, choice), (*choices[:node], choice, *choices[node + 1 :]), len(again)
        )
