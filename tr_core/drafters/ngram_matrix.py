"""ADED: statistics of what follows two tokens (Liu et al., arXiv 2407.12021).

Taken from there: for each pair of tokens the twelve likeliest next ones with their weights, which
shift with the text that is written; the draft is the result of a search through them that starts at
the text's last pair.

Done differently: there, the statistics begin as counts over a corpus and each text shifts them by
its own triples; here nothing is downloaded, and they are the model's own: each scored node,
rejected ones too, and each prompt position adds the model's probabilities after its pair, and the
text's next token counts extra. The same is kept for single tokens, which fill in for pairs never or
seldom seen. There, 150 rounds of Monte Carlo tree search weigh weights against visits; with chances
corrected by what was right so far there is nothing to explore, and the likeliest nodes are taken in
first.

Memory: at most 10,000 rows of twelve, about 11 MB; the one not written for longest goes first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tr_core.drafters.base import Lesson, convert
from tr_core.drafters.shared import state_files as states
from tr_core.drafters.shared.best_first import Child
from tr_core.drafters.shared.calibration import CLASS_ENDS, CLASSES, Corrections, CorrectionsState
from tr_core.drafters.shared.text_cursor import Guesser, sorted_chances
from tr_core.errors import CheckpointError
from tr_core.trace import RowChange, Source

FORMAT = "ngram-matrix-1"
MOST_ROWS = 10_000
WIDTH = 12
# What a row keeps of its past with each new entry, what the next token of the text counts beside
# the model's probabilities, which sum to 1, and how many entries of a pair outweigh its last
# token's row.
KEEP = 0.5
TEXT_WEIGHT = 0.5
_DOUBT = 0.5
# A row is cut when it has grown beyond this, or its unit has.
_ROOM = 20
_LARGE = 1e6
_UNUSED = -1
_SOURCES = (Source("ngram", 1), Source("ngram", 2))
# The last two tokens, the first −1 if there is none, and whether the last was drafted itself: where
# one guess was right the next is more often right as well, so they are corrected apart.
_Cursor = tuple[int, int, bool]


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All rows, the one written last at the end; see ``_Row``."""

    keys: list[int]
    units: list[float]
    totals: list[float]
    tokens: list[list[int]]
    weights: list[list[float]]
    corrections: CorrectionsState


class _Row:
    """Weights of the tokens that followed.

    Attributes:
        unit: what an entry made now weighs: instead of letting all old weights shrink, new ones
            grow.
        total: what the weights would sum to if none had been left out.
    """

    __slots__ = ("total", "unit", "weights")

    def __init__(self) -> None:
        self.total = 0.0
        self.unit = 1.0
        self.weights: dict[int, float] = {}

    def settle(self) -> None:
        """Keep the twelve likeliest, and make the unit 1."""
        best = sorted(self.weights.items(), key=lambda entry: -entry[1])[:WIDTH]
        self.weights = {token: weight / self.unit for token, weight in best}
        self.total /= self.unit
        self.unit = 1.0

    def is_sound(self) -> bool:
        """Whether such a row can have come about: shares are chances that sum to 1 at most."""
        weights = self.weights.values()
        sizes = len(weights) <= _ROOM and 1 <= self.unit <= _LARGE and 0 < self.total <= 4 * _LARGE
        # The model's rounded probabilities may sum to a little more than 1.
        return (
            sizes and all(weight >= 0 for weight in weights) and sum(weights) <= 1.001 * self.total
        )


class NgramMatrix(Guesser):
    """Best-first trees from statistics of token pairs."""

    name = "ngram_matrix"
    summary = "a search through the model's outputs after pairs of tokens (Liu et al. 2024)"
    saves = True

    def __init__(self, vocab_size: int, device: torch.device | str = "cpu") -> None:
        super().__init__(device)
        self._size = vocab_size
        self._rows: OrderedDict[int, _Row] = OrderedDict()
        self._corrections = Corrections(4 * CLASSES)

    @classmethod
    def create(cls, vocab_size: int, k: int, device: torch.device) -> NgramMatrix:
        return cls(vocab_size, device)

    @property
    def rows_seen(self) -> int:
        return len(self._rows)

    def start(self, context: Sequence[int]) -> _Cursor:
        return (context[-2] if len(context) > 1 else _UNUSED), context[-1], False

    def follow(self, cursor: _Cursor, token: int) -> _Cursor:
        return cursor[1], token, True

    def below(self, cursor: _Cursor) -> list[Child]:
        factors, kinds = self._corrections.factors, 2 * cursor[2]
        return sorted_chances(
            [
                (
                    token,
                    chance * factors[(kinds + key) * CLASSES + bisect_right(CLASS_ENDS, chance)],
                    _SOURCES[key],
                )
                for token, chance, key in self._guesses(cursor)
            ]
        )

    def judge(self, cursor: _Cursor, choice: int) -> None:
        for token, chance, key in self._guesses(cursor):
            kind = (2 * cursor[2] + key) * CLASSES + bisect_right(CLASS_ENDS, chance)
            self._corrections.observe(kind, chance, token == choice)

    def learn_prompt(
        self, prompt: Sequence[int], offset: int, candidates: np.ndarray, probabilities: np.ndarray
    ) -> None:
        before = prompt[offset - 1] if offset else _UNUSED
        for position, row in enumerate(
            zip(candidates.tolist(), probabilities.tolist(), strict=True), start=offset
        ):
            self._add((before, prompt[position]), *row, prompt[position + 1])
            before = prompt[position]

    def absorb(self, lesson: Lesson) -> tuple[RowChange, ...]:
        before = lesson.context[-2] if len(lesson.context) > 1 else _UNUSED
        written = {0, *lesson.path}
        candidates, probabilities = lesson.candidates.tolist(), lesson.probabilities.tolist()
        for node, token in enumerate(lesson.tokens):
            pair = (lesson.tokens[lesson.parents[node]] if node else before, token)
            self._add(
                pair,
                candidates[node],
                probabilities[node],
                lesson.choices[node] if node in written else _UNUSED,
            )
        return ()  # a row here is no list that is overwritten

    def save(self, path: str | Path, fingerprint: str) -> None:
        """Write all rows as safetensors, the one written last at the end.

        Raises:
            MatrixError: the file cannot be written.
        """
        tokens = np.full((len(self._rows), WIDTH), _UNUSED, dtype=np.int32)
        weights = np.zeros((len(self._rows), WIDTH), dtype=np.float32)
        for number, row in enumerate(self._rows.values()):
            row.settle()
            tokens[number, : len(row.weights)] = list(row.weights)
            weights[number, : len(row.weights)] = list(row.weights.values())
        totals = np.array([row.total for row in self._rows.values()], dtype=np.float32)
        keys = np.array(list(self._rows), dtype=np.int64)
        states.save(
            path,
            FORMAT,
            fingerprint,
            {"keys": keys, "totals": totals, "tokens": tokens, "weights": weights},
        )

    @classmethod
    def load(
        cls, path: str | Path, fingerprint: str, vocab_size: int, device: torch.device
    ) -> NgramMatrix:
        """Read what ``save`` wrote.

        Raises:
            MatrixError: no such file, another drafter's or another tokenizer's, or damaged.
        """
        reals = np.float32
        expected = {
            "keys": (np.int64, 1),
            "totals": (reals, 1),
            "tokens": (np.int32, 2),
            "weights": (reals, 2),
        }
        parts = states.load(path, FORMAT, fingerprint, expected)
        keys, totals, tokens, weights = (parts[name] for name in expected)
        states.check(
            path, len(keys) <= MOST_ROWS and len(set(keys.tolist())) == len(keys) == len(totals)
        )
        states.check(path, tokens.shape == weights.shape == (len(keys), WIDTH))
        states.check(path, bool(((keys >= 0) & (keys < (vocab_size + 1) * vocab_size)).all()))
        states.check(path, bool(((tokens >= _UNUSED) & (tokens < vocab_size)).all()))
        # Shares of a row are chances: none below 0, and no more than all of it.
        states.check(
            path, bool((np.isfinite(totals) & (totals > 0) & (weights >= 0).all(axis=1)).all())
        )
        states.check(path, bool((weights.sum(axis=1) <= totals * 1.001).all()))
        drafter = cls(vocab_size, device)
        for key, total, ids, weighed in zip(
            keys.tolist(), totals.tolist(), tokens.tolist(), weights.tolist(), strict=True
        ):
            row = drafter._rows[key] = _Row()
            row.total = total
            row.weights = {t: w for t, w in zip(ids, weighed, strict=True) if t != _UNUSED}
        return drafter

    def state(self) -> dict[str, Any]:
        # Rows as they are, not settled as in a file: a resumed run would miss what settling cuts
        # off.
        rows = self._rows.values()
        return {
            "keys": list(self._rows),
            "units": [row.unit for row in rows],
            "totals": [row.total for row in rows],
            "tokens": [list(row.weights) for row in rows],
            "weights": [list(row.weights.values()) for row in rows],
            "corrections": msgspec.structs.asdict(self._corrections.state()),
        }

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        kept = convert(state, _State)
        lengths = {len(x) for x in (kept.keys, kept.units, kept.totals, kept.tokens, kept.weights)}
        if lengths != {len(set(kept.keys))} or len(kept.keys) > MOST_ROWS:
            raise _damaged()
        rows: OrderedDict[int, _Row] = OrderedDict()
        for key, unit, total, tokens, weights in zip(
            kept.keys, kept.units, kept.totals, kept.tokens, kept.weights, strict=True
        ):
            row = rows[key] = _Row()
            row.unit, row.total = unit, total
            row.weights = dict(zip(tokens, weights, strict=False))
            known = 0 <= key < (self._size + 1) * self._size and all(
                0 <= token < self._size for token in tokens
            )
            if not (known and len(tokens) == len(weights) and row.is_sound()):
                raise _damaged()
        self._corrections.restore(kept.corrections)
        self._rows = rows

    def _guesses(self, cursor: _Cursor) -> list[tuple[int, float, int]]:
        """Tokens, their chances, not corrected, and 1 if the pair knew them, else 0."""
        before, token, _ = cursor
        single = self._rows.get(token)
        pair = self._rows.get(self._pair(before, token)) if before != _UNUSED else None
        if single is None:
            return []  # a pair is never written without its last token, which outlives it
        weights, trust = single.weights, 0.0
        known: dict[int, float] = {}
        guesses: list[tuple[int, float, int]] = []
        if pair is not None:
            known = pair.weights
            n = pair.total / pair.unit
            trust = n / (n + _DOUBT)
            share, rest = trust / pair.total, (1 - trust) / single.total
            guesses = [
                (t, share * weight + rest * weights.get(t, 0.0), 1) for t, weight in known.items()
            ]
        rest = (1 - trust) / single.total
        return guesses + [(t, rest * weight, 0) for t, weight in weights.items() if t not in known]

    def _add(
        self,
        pair: tuple[int, int],
        candidates: Sequence[int],
        probabilities: Sequence[float],
        written: int,
    ) -> None:
        """The model's candidates after a token pair, and the text's next token, or −1."""
        before, token = pair
        rows = self._rows
        for key in (token,) if before == _UNUSED else (self._pair(before, token), token):
            row = rows.get(key)
            if row is None:
                row = rows[key] = _Row()
                if len(rows) > MOST_ROWS:
                    rows.popitem(last=False)
            else:
                rows.move_to_end(key)
                row.unit /= KEEP
            weights, unit = row.weights, row.unit
            for follower, probability in zip(candidates, probabilities, strict=True):
                weights[follower] = weights.get(follower, 0.0) + probability * unit
            row.total += unit
            if written != _UNUSED:
                weights[written] = weights.get(written, 0.0) + TEXT_WEIGHT * unit
                row.total += TEXT_WEIGHT * unit
            if len(weights) > _ROOM or unit > _LARGE:
                row.settle()

    def _pair(self, before: int, token: int) -> int:
        return (before + 1) * self._size + token


def _damaged() -> CheckpointError:
    return CheckpointError("The drafter's part of the checkpoint is damaged: its rows do not fit.")
