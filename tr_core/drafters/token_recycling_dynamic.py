"""Token Recycling with trees grown best-first: the published matrix, no published shape.

Rows are those of the paper (arXiv 2408.08696), one for each token. Every scored node overwrites a
row whole; the last node of a token wins. Each candidate keeps the probability that the model gave
it. A node's chance is the product of these on its way from the root, and the tree takes in the
likeliest nodes first (as EAGLE-2, arXiv 2406.16858, §4.1, does by a draft model's own
probabilities). There is no calibration: it shows what stored probabilities alone are worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tr_core.budget.grown_tree_budget import GrownTreeBudget
from tr_core.drafters.base import HostDrafter, Learned, Lesson, convert
from tr_core.drafters.shared import state_files as states
from tr_core.drafters.shared.best_first import Branches, Child, grow
from tr_core.errors import MatrixError
from tr_core.target import Draft
from tr_core.trace import Held, RowChange, Source
from tr_core.trees.tree import MAX_K, TreeTemplate

UNSEEN = -1
FORMAT = "token-recycling-dynamic-1"
_FROM_ROW = Source("row", 1)


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tokens: list[int]
    rows: list[list[int]]
    chances: list[list[float]]


class TokenRecyclingDynamic(HostDrafter):
    """Best-first trees from a (V, k) matrix of candidates with their probabilities, on the host.

    Raises:
        MatrixError: k is outside 1 … 32, or wider than the vocabulary.
    """

    name = "token_recycling_dynamic"
    summary = "recycled rows with their probabilities; each draft grows its own tree, best first"
    learns = True
    grows = True
    saves = True
    k: int

    def __init__(self, vocab_size: int, k: int, device: torch.device | str = "cpu") -> None:
        super().__init__(device)
        if not 1 <= k <= min(MAX_K, vocab_size):
            raise MatrixError(f"k must be 1 … {min(MAX_K, vocab_size)}, got {k}.")
        self.k = k
        self.rows = np.full((vocab_size, k), UNSEEN, dtype=np.int32)
        self.chances = np.zeros((vocab_size, k), dtype=np.float32)

    @classmethod
    def create(cls, vocab_size: int, k: int, device: torch.device) -> TokenRecyclingDynamic:
        return cls(vocab_size, k, device)

    @property
    def rows_seen(self) -> int:
        return int((self.rows[:, 0] != UNSEEN).sum())

    def propose(
        self, context: Sequence[int], template: TreeTemplate, growth: GrownTreeBudget | None = None
    ) -> Draft:
        def children(tree: Branches, node: int) -> list[Child]:
            return self.below(tree.tokens[node])

        draft = grow(context[-1], children, template.nodes, growth).draft(self._device)
        # Siblings come in the order of their places, without gaps: ranks are places in rows, as in
        # the published tree.
        return Draft(draft.template, draft.tokens, draft.seen, (), draft.expected)

    def learn_prompt(
        self, prompt: Sequence[int], offset: int, candidates: np.ndarray, probabilities: np.ndarray
    ) -> None:
        self._overwrite(list(prompt[offset : offset + len(candidates)]), candidates, probabilities)

    def learn(self, lesson: Lesson) -> Learned:
        end = lesson.path[-1] if lesson.path else 0
        row = self._row(lesson.tokens[end])
        held = Held(
            len(row), row.index(lesson.choices[end]) if lesson.choices[end] in row else None
        )
        rows: tuple[RowChange, ...] = ()
        if lesson.traced:
            writers = sorted({token: node for node, token in enumerate(lesson.tokens)}.values())
            rows = tuple(
                RowChange(token, n, self._row(token), tuple(lesson.candidates[n].tolist()))
                for n, token in ((n, lesson.tokens[n]) for n in writers)
            )
        self._overwrite(list(lesson.tokens), lesson.candidates, lesson.probabilities)
        return Learned(rows, held)

    def save(self, path: str | Path, fingerprint: str, form: str = FORMAT) -> None:
        """Write rows and probabilities as safetensors; ``form`` names the drafter's file format.

        Raises:
            MatrixError: the file cannot be written.
        """
        states.save(path, form, fingerprint, {"rows": self.rows, "chances": self.chances})

    @classmethod
    def load(
        cls,
        path: str | Path,
        fingerprint: str,
        vocab_size: int,
        device: torch.device,
        form: str = FORMAT,
    ) -> TokenRecyclingDynamic:
        """Read what ``save`` wrote.

        Raises:
            MatrixError: no such file, another drafter's or another tokenizer's, or damaged.
        """
        parts = states.load(
            path, form, fingerprint, {"rows": (np.int32, 2), "chances": (np.float32, 2)}
        )
        rows, chances = parts["rows"], parts["chances"]
        states.check(path, rows.shape == chances.shape and len(rows) == vocab_size)
        unseen = (rows == UNSEEN).all(axis=1)
        states.check(path, bool((unseen | ((rows >= 0) & (rows < vocab_size)).all(axis=1)).all()))
        states.check(path, bool(((chances >= 0) & (chances <= 1)).all()))
        drafter = cls(vocab_size, rows.shape[1], device)
        drafter.rows[:], drafter.chances[:] = rows, chances
        return drafter

    def state(self) -> dict[str, Any]:
        tokens = np.flatnonzero(self.rows[:, 0] != UNSEEN)
        return {
            "tokens": tokens.tolist(),
            "rows": self.rows[tokens].tolist(),
            "chances": self.chances[tokens].tolist(),
        }

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        kept = convert(state, _State)
        tokens = states.array(kept.tokens, np.int64)
        rows = states.array(kept.rows, np.int32, self.k)
        chances = states.array(kept.chances, np.float32, self.k)
        states.check("the checkpoint", len(tokens) == len(rows) == len(chances))
        states.check(
            "the checkpoint", all(((x >= 0) & (x < len(self.rows))).all() for x in (tokens, rows))
        )
        states.check("the checkpoint", bool(((chances >= 0) & (chances <= 1)).all()))
        self.rows[:], self.chances[:] = UNSEEN, 0
        self.rows[tokens], self.chances[tokens] = rows, chances

    def below(self, token: int) -> list[Child]:
        """The row of a token, best first; empty if never written."""
        row = self.rows[token].tolist()
        if row[0] == UNSEEN:
            return []
        return [(t, p, _FROM_ROW) for t, p in zip(row, self.chances[token].tolist(), strict=True)]

    def _row(self, token: int) -> tuple[int, ...]:
        """(k,) candidates; empty if never written."""
        row = self.rows[token].tolist()
        return tuple(row) if row[0] != UNSEEN else ()

    def _overwrite(
        self, tokens: list[int], candidates: np.ndarray, probabilities: np.ndarray
    ) -> None:
        # numpy leaves the last of equal indices standing, as the published rule has it.
        self.rows[tokens], self.chances[tokens] = candidates, probabilities
