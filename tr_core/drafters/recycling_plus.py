"""Our own drafter: rows under keys of one to three tokens, look-ups in the text, trees grown by calibrated chance.

What is taken from whom: rows of the model's best candidates after every scored token are Token Recycling's (arXiv
2408.08696); keys of several tokens and a spine copied from the text, with recycled branches, stand in many methods
(Lookahead Decoding, arXiv 2402.02057; SAM-Decoding; Goose). The chances are ours: every candidate known at a node,
whatever it came from, bears a few marks (``marks.py``), which tell its chance (``calibration.py``), and the tree takes
in what is likeliest to be on the path.

All of it is done on the host, in small numbers. On a GPU that time adds to the step's, since a draft needs the pass
before it; the candidates come in the step's one copy, and nothing else is waited for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tr_core.drafters import marks as m
from tr_core.drafters import states
from tr_core.drafters.base import HostDrafter, Learned, Lesson, convert
from tr_core.drafters.calibration import RATE, Calibration, Marks
from tr_core.drafters.growing import Branches, Child, grow
from tr_core.drafters.marks import PRIORS, other, this
from tr_core.drafters.rowstore import MEMORY, RowStore
from tr_core.drafters.textindex import Matches, TextIndex
from tr_core.errors import MatrixError
from tr_core.growth import Growth
from tr_core.target import Draft
from tr_core.trace import Held, RowChange, Source
from tr_core.tree import MAX_K, TreeTemplate

FORMAT = "recycling-plus-1"
KEYS = 3
# Of the rows of shorter keys, the first places only: what the longest key's row lacks and they have is seldom right.
FALLBACK_RANKS = 3
_ROW_SOURCES = tuple(Source("row", n) for n in range(KEYS + 1))
_NOTHING: Matches = {}
# Below nodes less likely than this only the first places of a row are looked at: the others would hardly be taken in.
_LIKELY, _FEW = 0.1, 3

Candidate = tuple[int, Marks, Source]
# Tokens two and one before, the token itself, and the matches that go on after it.
Place = tuple[int, int, int, Matches]


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[int]
    ids: list[list[int]]
    marks: list[list[int]]
    born: list[int]
    worth: list[float]
    steps: list[int]


class RecyclingPlus(HostDrafter):
    """Trees of rows and look-ups, likeliest nodes first.

    Args:
        vocab_size: V.
        k: candidates a row.
        device: where drafts go.
        keys: tokens of a key at most, 1 … 3.
        lookup: whether to copy from the text.
        priors: log-odds of each mark at first; see ``marks.py``.
        rate: how fast marks learn; 0 for never.
        memory: bytes of rows.

    Raises:
        MatrixError: k is outside 1 … 32, or wider than the vocabulary.
    """

    name = "recycling_plus"

    def __init__(
        self,
        vocab_size: int,
        k: int,
        device: torch.device | str = "cpu",
        *,
        keys: int = KEYS,
        lookup: bool = True,
        priors: Sequence[float] = PRIORS,
        rate: float = RATE,
        memory: int = MEMORY,
    ) -> None:
        if not 1 <= k <= min(MAX_K, vocab_size):
            raise MatrixError(f"k must be 1 … {min(MAX_K, vocab_size)}, got {k}.")
        self.k = k
        self.store = RowStore(vocab_size, k, memory)
        self.calibration = Calibration(priors, rate)
        self._device = device
        self._keys, self._lookup = keys, lookup
        self._index = TextIndex()
        self._steps = 0
        self._root: Place = (-1, -1, 0, _NOTHING)
        # Of the nodes that the last draft asked about: where they stand, and what was known there.
        self._places: dict[int, Place] = {}
        self._offers: dict[int, list[Candidate]] = {}
        self._order: list[int] = []

    @property
    def rows_seen(self) -> int:
        return len(self.store)

    def begin(self) -> None:
        """Rows and calibration stay over prompts; look-ups belong to one text."""
        self._index.clear()

    def propose(self, context: Sequence[int], template: TreeTemplate, growth: Growth | None = None) -> Draft:
        matches = _NOTHING
        if self._lookup:
            self._index.extend(context)
            matches = self._index.matches
        second, first = (-1, -1, *context[-3:-1])[-2:]
        self._root = (second, first, context[-1], matches)
        self._places, self._offers = {}, {}
        tree = grow(context[-1], self._children, template.nodes, growth)
        draft = tree.draft(self._device)
        self._order = tree.order
        return draft

    def learn_prompt(
        self, prompt: Sequence[int], offset: int, candidates: np.ndarray, probabilities: np.ndarray
    ) -> None:
        keys, lines = [], []
        padded = (-1, -1, *prompt[max(0, offset - 2) : offset + len(candidates)])
        padded = padded[len(padded) - len(candidates) - 2 :]
        for line in range(len(candidates)):
            mine = self.store.keys(*padded[line : line + 3], self._keys)
            keys += mine
            lines += [line] * len(mine)
        self.store.write(keys, lines, candidates, _marks_of(probabilities), self._steps)

    def learn(self, lesson: Lesson) -> Learned:
        # 1. What was known at each node of the path, the root included, against what the model chose there.
        place, branch, met, end = self._root, [], [], (0, *lesson.path)[-1]
        for node in (0, *lesson.path):
            if node:
                place = self._below(place, lesson.tokens[node], branch)
                branch.append(lesson.tokens[node])
            known = self._offers.get(self._order[node])
            if known is None or node == end:
                known = self._known(place, branch, self.k)
            met.append((known, lesson.choices[node]))
        known, choice = met[-1]
        chances = self.calibration.chances([marks for _, marks, _ in known])
        mine = next((c for (token, _, _), c in zip(known, chances, strict=True) if token == choice), None)
        held = Held(len(known), None if mine is None else sum([c > mine for c in chances]))
        for known, choice in met:
            self.calibration.learn((marks, token == choice) for token, marks, _ in known)
        self.calibration.settle()
        # 2. Every scored node overwrites the rows of its keys.
        self._steps += 1
        befores, keys, lines = [self._root[:2]], [], []
        for node, token in enumerate(lesson.tokens):
            if node:
                parent = lesson.parents[node]
                befores.append((befores[parent][1], lesson.tokens[parent]))
            mine = self.store.keys(*befores[node], token, self._keys)
            keys += mine
            lines += [node] * len(mine)
        rows = self._changes(lesson) if lesson.traced else ()
        self.store.write(keys, lines, lesson.candidates, _marks_of(lesson.probabilities), self._steps)
        return Learned(rows, held)

    def save(self, path: str | Path, fingerprint: str) -> None:
        """Write rows and calibration as safetensors; look-ups belong to one text and are left out.

        Raises:
            MatrixError: the file cannot be written.
        """
        states.save(path, FORMAT, fingerprint, self._parts())

    @classmethod
    def load(cls, path: str | Path, fingerprint: str, vocab_size: int, device: torch.device) -> RecyclingPlus:
        """Read what ``save`` wrote.

        Raises:
            MatrixError: no such file, another drafter's or another tokenizer's, or damaged.
        """
        kinds = {"keys": (np.int64, 1), "ids": (np.int32, 2), "marks": (np.uint8, 2), "born": (np.int32, 1)}
        parts = states.load(path, FORMAT, fingerprint, kinds | {"worth": (np.float64, 1), "steps": (np.int64, 1)})
        drafter = cls(vocab_size, parts["ids"].shape[1], device)
        drafter._take(parts, path)
        return drafter

    def state(self) -> dict[str, Any]:
        return {name: part.tolist() for name, part in self._parts().items()}

    def restore(self, state: dict[str, Any]) -> None:
        found = convert(state, _State)
        self._take(
            {
                "keys": states.array(found.keys, np.int64),
                "ids": states.array(found.ids, np.int32, self.k),
                "marks": states.array(found.marks, np.uint8, self.k),
                "born": states.array(found.born, np.int32),
                "worth": states.array(found.worth, np.float64),
                "steps": states.array(found.steps, np.int64),
            },
            "the checkpoint",
        )

    def _parts(self) -> dict[str, np.ndarray]:
        """Rows and calibration."""
        worth = np.array(self.calibration.worth, dtype=np.float64)
        return self.store.arrays() | {"worth": worth, "steps": np.array([self._steps])}

    def _take(self, parts: dict[str, np.ndarray], source: str | Path) -> None:
        """Know what ``_parts`` gave, and nothing else.

        Raises:
            MatrixError: they do not fit each other or this model.
        """
        keys, ids, marks, born = (parts[name] for name in ("keys", "ids", "marks", "born"))
        states.check(source, ids.shape == marks.shape and len(keys) == len(ids) == len(born))
        states.check(source, ids.shape[1] == self.k and len(parts["steps"]) == 1)
        states.check(source, len(set(keys.tolist())) == len(keys) and bool((keys > 0).all()))
        states.check(source, bool(((ids >= 0) & (ids < self.store.base - 1)).all()))
        states.check(source, bool(((marks >= m.CHANCE) & (marks < m.NO_CHANCE)).all()))
        states.check(source, len(parts["worth"]) == len(PRIORS) and bool((np.abs(parts["worth"]) < 100).all()))
        self.store.fill(parts)
        self.calibration.worth = parts["worth"].tolist()
        self._steps = int(parts["steps"][0])

    def _below(self, place: Place, token: int, branch: Sequence[int]) -> Place:
        """The place of ``token`` below ``place``, which ``branch`` leads to from the root."""
        _, first, above, matches = place
        going_on = self._index.narrowed(matches, token, branch) if matches else _NOTHING
        return first, above, token, going_on

    def _children(self, tree: Branches, node: int) -> list[Child]:
        branch: list[int] = []
        place = self._root
        if node:
            above = self._places[tree.parents[node]]
            if self._index.reaches_end(above[3]):
                branch = tree.ending(node)
            place = self._below(above, tree.tokens[node], branch[:-1])
            if not branch and self._index.reaches_end(place[3]):
                branch = tree.ending(node)
        known = self._known(place, branch, self.k if tree.expected[node] > _LIKELY else _FEW)
        self._places[node], self._offers[node] = place, known
        chances = self.calibration.chances([marks for _, marks, _ in known])
        listed = [(token, chance, source) for (token, _, source), chance in zip(known, chances, strict=True)]
        listed.sort(key=_by_chance)
        # Taken one by one the chances may add up to more than can be: only one child is the model's choice.
        total = sum([c[1] for c in listed])
        return listed if total <= 1 else [(token, c / total, source) for token, c, source in listed]

    def _known(self, place: Place, branch: Sequence[int], most: int) -> list[Candidate]:
        """What may follow at a place, which ``branch`` leads to from the root: no token twice, in no order.

        Of a row the first ``most`` places; if these are not all, nothing of the rows behind it.
        """
        second, first, token, matches = place
        copied: dict[int, tuple[int, int]] = {}
        longest, silent = 0, m.OTHER
        if matches:
            copied = self._index.suggested(matches, branch)
            longest = max([length for length, _ in copied.values()], default=0)
            silent = other(longest)
        store, listed, taken = self.store, [], set()
        slots, keys = store.slots, store.keys(second, first, token, self._keys)
        found = [(n, slots[keys[n - 1]]) for n in range(len(keys), 0, -1) if keys[n - 1] in slots]
        rows = [store.ids[slot].tolist() for _, slot in found]
        # A pass writes the same row under all its keys; what another pass wrote is a second opinion.
        elsewhere = next((m.agreement(row) for row in rows[1:] if row != rows[0]), None)
        unheard, main = m.AGREE if elsewhere is None else m.AGREE_ABSENT, 0
        for (n, slot), ids in zip(found, rows, strict=True):
            kind = m.FALLBACK[main, n] if main else m.ROW + n
            age = m.AGED + bisect_right(m.AGES, self._steps - int(store.born[slot]))
            source = _ROW_SOURCES[n]
            limit = FALLBACK_RANKS if main else most
            for rank, (following, chance) in enumerate(zip(ids, store.marks[slot].tolist(), strict=True)):
                if rank == limit:
                    break
                if following in taken:
                    continue
                taken.add(following)
                look, mine = silent, source
                if following in copied:
                    length, where = copied[following]
                    look = this(length) if length == longest else m.SHORTER
                    if length > n:  # the one that saw more of the text answers
                        mine = Source("lookup", length, where)
                agree = m.AGREE if main else elsewhere.get(following, unheard) if elsewhere else unheard
                place_mark = m.RANK + rank if rank < m.RANKS else m.NO_RANK - 1
                listed.append((following, (kind, place_mark, chance, look, age, agree), mine))
            main = main or n
            if most < self.k:
                break
        for following, (length, where) in copied.items():
            if following not in taken:
                look = this(length) if length == longest else m.SHORTER
                listed.append(
                    (
                        following,
                        (m.COPIED, m.NO_RANK, m.NO_CHANCE, look, m.NO_AGE, m.AGREE),
                        Source("lookup", length, where),
                    )
                )
        return listed

    def _changes(self, lesson: Lesson) -> tuple[RowChange, ...]:
        """Rows of single tokens about to be overwritten, for the trace; those of longer keys would be too many."""
        writers = sorted({token: node for node, token in enumerate(lesson.tokens)}.values())
        return tuple(
            RowChange(t, n, self.store.row(t + 1), tuple(lesson.candidates[n].tolist()))
            for n, t in ((n, lesson.tokens[n]) for n in writers)
        )


def _by_chance(child: Child) -> float:
    return -child[1]


def _marks_of(probabilities: np.ndarray) -> np.ndarray:
    """(n, k) uint8 marks of probabilities."""
    return (np.searchsorted(m.CHANCES, probabilities, side="right") + m.CHANCE).astype(np.uint8)
