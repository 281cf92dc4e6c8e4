"""Two ways of guessing side by side: copies from the text, and recycled rows.

What ``suffix_automaton`` and ``fused`` share. The rows are those of ``token_recycling_dynamic``;
their chances are corrected by how often candidates of such a rank and probability were right.

Memory: the rows (V × k × 8 bytes), and an automaton of at most 16,384 tokens of one text, under 10
MB: a longer text is taken in again from its last 8,192 tokens on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tr_core.drafters.base import Lesson, convert
from tr_core.drafters.shared.automaton import Automaton, Match
from tr_core.drafters.shared.best_first import Child
from tr_core.drafters.shared.calibration import CLASS_ENDS, CLASSES, Corrections, CorrectionsState
from tr_core.drafters.shared.text_cursor import Guesser, sorted_chances
from tr_core.drafters.token_recycling_dynamic import TokenRecyclingDynamic
from tr_core.errors import CheckpointError
from tr_core.trace import RowChange, Source

MOST_TOKENS = 16_384
_RANKS = 3
# A match, a token, and its depth in the draft, 0 for the last of the text.
Cursor = tuple[Match, int, int]
# Initial chances that a token copied after a match of 1, 2, … tokens is right; longer matches use
# the last.
COPY_CHANCES = (
    0.3,
    0.5,
    0.6,
    0.7,
    0.75,
    0.8,
    0.8,
    0.85,
    0.85,
    0.9,
    0.9,
    0.9,
    0.9,
    0.95,
    0.95,
    0.95,
)


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    matrix: dict[str, Any]
    corrections: dict[str, CorrectionsState]


class Copies:
    """Guesses what followed the longest ending of the text at its last earlier occurrence."""

    def __init__(self) -> None:
        self.corrections = Corrections(len(COPY_CHANCES))
        self.begin()

    def begin(self) -> None:
        """Texts are not kept."""
        self._automaton = Automaton()
        self._first = 0  # position of the automaton's first token in the text
        self._text: Sequence[int] = ()

    def start(self, context: Sequence[int]) -> Match:
        """See ``Guesses``."""
        for position in range(self._first + self._automaton.size, len(context)):
            if self._automaton.size >= MOST_TOKENS:
                self._automaton, self._first = Automaton(), position - MOST_TOKENS // 2
                for token in context[self._first : position]:
                    self._automaton.extend(token)
            self._automaton.extend(context[position])
        self._text = context
        return self._automaton.ending()

    def follow(self, cursor: Match, token: int) -> Match:
        """See ``Guesses``."""
        return self._automaton.follow(cursor, token)

    def below(self, cursor: Match) -> list[Child]:
        """See ``Guesses``."""
        position, length = self._automaton.position(cursor)
        if not length:
            return []
        kind = min(length, len(COPY_CHANCES)) - 1
        chance = min(0.99, COPY_CHANCES[kind] * self.corrections.factors[kind])
        position += self._first
        return [(self._text[position], chance, Source("automaton", length, position))]

    def judge(self, cursor: Match, choice: int) -> None:
        """See ``Guesses``."""
        for token, _, source in self.below(cursor):
            kind = min(source.key, len(COPY_CHANCES)) - 1
            self.corrections.observe(kind, COPY_CHANCES[kind], token == choice)


class Rows:
    """Guesses the candidates that the model gave after the last token when it was last asked.

    Children of accepted nodes are corrected separately from children of the root: where one
    guess was right the next is more often right as well.
    """

    def __init__(self, matrix: TokenRecyclingDynamic) -> None:
        self.matrix = matrix
        self.corrections = Corrections(2 * _RANKS * CLASSES)

    def below(self, token: int, depth: int) -> list[Child]:
        """See ``Guesses``; of a token at a depth in the draft."""
        factors = self.corrections.factors
        row = enumerate(self.matrix.below(token))
        return sorted_chances(
            [
                (token, chance * factors[_kind(rank, chance, depth)], source)
                for rank, (token, chance, source) in row
            ]
        )

    def judge(self, token: int, depth: int, choice: int) -> None:
        """See ``Guesses``."""
        for rank, (candidate, chance, _) in enumerate(self.matrix.below(token)):
            self.corrections.observe(_kind(rank, chance, depth), chance, candidate == choice)


def _kind(rank: int, chance: float, depth: int) -> int:
    return ((depth > 0) * _RANKS + min(rank, _RANKS - 1)) * CLASSES + bisect_right(
        CLASS_ENDS, chance
    )


class CopiesAndRows(Guesser):
    """Both together; the subclasses decide how they combine.

    Attributes:
        form: of its files.
    """

    saves = True
    form: str

    def __init__(self, matrix: TokenRecyclingDynamic, device: torch.device | str = "cpu") -> None:
        super().__init__(device)
        self.copies = Copies()
        self.rows = Rows(matrix)
        self.k = matrix.k

    @classmethod
    def create(cls, vocab_size: int, k: int, device: torch.device) -> CopiesAndRows:
        return cls(TokenRecyclingDynamic(vocab_size, k, device), device)

    @property
    def rows_seen(self) -> int:
        return self.rows.matrix.rows_seen

    def begin(self) -> None:
        self.copies.begin()

    def start(self, context: Sequence[int]) -> Cursor:
        return self.copies.start(context), context[-1], 0

    def follow(self, cursor: Cursor, token: int) -> Cursor:
        return self.copies.follow(cursor[0], token), token, cursor[2] + 1

    def judge(self, cursor: Cursor, choice: int) -> None:
        self.copies.judge(cursor[0], choice)
        self.rows.judge(cursor[1], cursor[2], choice)

    def learn_prompt(
        self, prompt: Sequence[int], offset: int, candidates: np.ndarray, probabilities: np.ndarray
    ) -> None:
        self.rows.matrix.learn_prompt(prompt, offset, candidates, probabilities)

    def absorb(self, lesson: Lesson) -> tuple[RowChange, ...]:
        return self.rows.matrix.learn(lesson).rows

    def save(self, path: str | Path, fingerprint: str) -> None:
        """Write the rows as safetensors; texts are not kept.

        Raises:
            MatrixError: the file cannot be written.
        """
        self.rows.matrix.save(path, fingerprint, self.form)

    @classmethod
    def load(
        cls, path: str | Path, fingerprint: str, vocab_size: int, device: torch.device
    ) -> CopiesAndRows:
        """Read what ``save`` wrote.

        Raises:
            MatrixError: no such file, another drafter's or another tokenizer's, or damaged.
        """
        return cls(
            TokenRecyclingDynamic.load(path, fingerprint, vocab_size, device, cls.form), device
        )

    def state(self) -> dict[str, Any]:
        # The automaton knows nothing but the text, and takes that in again.
        learned = {
            name: msgspec.structs.asdict(kept.state())
            for name, kept in self.all_corrections().items()
        }
        return {"matrix": self.rows.matrix.state(), "corrections": learned}

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        kept, mine = convert(state, _State), self.all_corrections()
        if kept.corrections.keys() != mine.keys():
            raise CheckpointError(
                "The drafter's part of the checkpoint is damaged: its corrections do not fit."
            )
        self.rows.matrix.restore(kept.matrix)
        for name, learned in kept.corrections.items():
            mine[name].restore(learned)
        self.copies.begin()

    def all_corrections(self) -> dict[str, Corrections]:
        """All that learns what guesses are worth, by name."""
        return {"copies": self.copies.corrections, "rows": self.rows.corrections}
