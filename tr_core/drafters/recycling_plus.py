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

from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tr_core.drafters import marks as m
from tr_core.drafters import states
from tr_core.drafters.base import HostDrafter, Learned, Lesson, convert
from tr_core.drafters.calibration import RATE, Calibration
from tr_core.drafters.candidates import Candidate, known
from tr_core.drafters.growing import Branches, grow
from tr_core.drafters.marks import PRIORS
from tr_core.drafters.rowstore import MEMORY, RowStore
from tr_core.drafters.textindex import Copies, TextIndex
from tr_core.drafters.usual import Usual
from tr_core.errors import MatrixError
from tr_core.growth import Growth
from tr_core.target import Draft
from tr_core.trace import Held, RowChange
from tr_core.tree import MAX_K, TreeTemplate

FORMAT = "recycling-plus-2"
KEYS = 3
_NOTHING: Copies = {}
# Below nodes less likely than these only three places of a row are looked at, or one: the others would hardly be taken
# in, by a large tree either.
_LIKELY, _UNLIKELY, _FEW = 0.15, 0.01, 3
_CHANCE = itemgetter(1)

# Tokens two and one before, the token itself, and what the text would go on with behind it.
Place = tuple[int, int, int, Copies]


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[int]
    ids: list[list[int]]
    marks: list[list[int]]
    born: list[int]
    worth: list[float]
    steps: list[int]
    usual: list[int]
    mass: list[float]
    sums: list[float]
    guessed: list[int]


class RecyclingPlus(HostDrafter):
    """Trees of rows and look-ups, likeliest nodes first.

    Args:
        vocab_size: V.
        k: candidates a row.
        device: where drafts go.
        keys: tokens of a key at most, 1 … 3.
        lookup: whether to copy from the text.
        usual: whether to guess what is usual in the text where nothing is known.
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
        usual: bool = True,
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
        self._keys, self._lookup, self._guesses = keys, lookup, usual
        self._index = TextIndex()
        self.usual = Usual()
        self._steps = 0
        self._root: Place = (-1, -1, 0, _NOTHING)
        # Of the nodes that the last draft asked about: where they stand, and what was known there.
        self._asked: dict[int, tuple[Place, list[Candidate]]] = {}
        self._order: list[int] = []

    @property
    def rows_seen(self) -> int:
        return len(self.store)

    def begin(self) -> None:
        """Rows and calibration stay over prompts; look-ups and what is usual belong to one text."""
        self._index.clear()
        self.usual = Usual()

    def propose(self, context: Sequence[int], template: TreeTemplate, growth: Growth | None = None) -> Draft:
        copies = _NOTHING
        if self._lookup:
            self._index.extend(context)
            copies = self._index.copies(self._index.matches, ())
        second, first = (-1, -1, *context[-3:-1])[-2:]
        self._root = (second, first, context[-1], copies)
        self._asked = {}
        tree = grow(context[-1], self._children, template.nodes, growth)
        draft = tree.draft(self._device)
        self._order = tree.order
        return draft

    def learn_prompt(
        self, prompt: Sequence[int], offset: int, candidates: np.ndarray, probabilities: np.ndarray
    ) -> None:
        padded = (-1, -1, *prompt[max(0, offset - 2) : offset + len(candidates)])
        padded = padded[len(padded) - len(candidates) - 2 :]
        keys = [self.store.keys(*padded[line : line + 3], self._keys) for line in range(len(candidates))]
        self.store.write(keys, candidates, _marks_of(probabilities), self._steps)
        if self._guesses:
            self.usual.add_text(candidates, probabilities)

    def learn(self, lesson: Lesson) -> Learned:
        # 1. What was known at each node of the path, the root included, against what the model chose there.
        place, branch, met, end = self._root, [], [], (0, *lesson.path)[-1]
        for node in (0, *lesson.path):
            asked = self._asked.get(self._order[node])
            if asked is not None:
                place = asked[0]
            elif node:
                place = self._below(place, lesson.tokens[node], branch)
            if node:
                branch.append(lesson.tokens[node])
            found = self._known(place, self.k) if asked is None or node == end else asked[1]
            met.append((found, lesson.choices[node]))
        found, choice = met[-1]
        mine = next((c for token, c, _, _ in found if token == choice), None)
        held = Held(len(found), None if mine is None else sum([c[1] > mine for c in found]))
        for found, choice in met:
            self.calibration.learn(found, choice)
        self.calibration.settle()
        if self._guesses:
            way = [0, *lesson.path]
            for ids, chances in zip(lesson.candidates[way].tolist(), lesson.probabilities[way].tolist(), strict=True):
                self.usual.add(ids, chances)
        # 2. Every scored node overwrites the rows of its keys.
        self._steps += 1
        tokens, parents, longest = lesson.tokens, lesson.parents, self._keys
        second, first, token, _ = self._root
        keys, befores = [self.store.keys(second, first, token, longest)], [first]
        for node in range(1, len(tokens)):
            above = parents[node]
            befores.append(tokens[above])
            keys.append(self.store.keys(befores[above], tokens[above], tokens[node], longest))
        rows = self._changes(lesson) if lesson.traced else ()
        self.store.write(keys, lesson.candidates, _marks_of(lesson.probabilities), self._steps)
        return Learned(rows, held)

    def save(self, path: str | Path, fingerprint: str) -> None:
        """Write rows and calibration as safetensors; what belongs to one text is left out.

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
        return {name: part.tolist() for name, part in (self._parts() | self.usual.arrays()).items()}

    def restore(self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()) -> None:
        found = convert(state, _State)
        usual = Usual()
        parts = {
            "usual": states.array(found.usual, np.int64),
            "mass": states.array(found.mass, np.float64),
            "sums": states.array(found.sums, np.float64),
            "guessed": states.array(found.guessed, np.int64),
        }
        states.check("the checkpoint", usual.fill(parts, self.store.base - 1))
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
        self.usual = usual

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
        _, first, above, copies = place
        copy = copies.get(token)
        if copy is None:
            return first, above, token, _NOTHING
        return first, above, token, self._index.copies(copy[2], (*branch, token))

    def _known(self, place: Place, most: int) -> list[Candidate]:
        keys = self.store.keys(*place[:3], self._keys)
        return known(self.store, self.calibration, self.usual.best, keys, place[3], most, self._steps)

    def _children(self, tree: Branches, node: int) -> list[Candidate]:
        place = self._root
        if node:
            place, token = self._asked[tree.parents[node]][0], tree.tokens[node]
            copy = place[3].get(token)
            branch = tree.ending(node)[:-1] if copy is not None and self._index.reaches_end(copy[2]) else ()
            place = self._below(place, token, branch)
        expected = tree.expected[node]
        found = self._known(place, self.k if expected > _LIKELY else _FEW if expected > _UNLIKELY else 1)
        self._asked[node] = (place, found)
        if len(found) < 2:
            return found
        listed = sorted(found, key=_CHANCE, reverse=True)
        # Taken one by one the chances may add up to more than can be: only one child is the model's choice.
        total = sum([c[1] for c in listed])
        return listed if total <= 1 else [(token, c / total, *more) for token, c, *more in listed]

    def _changes(self, lesson: Lesson) -> tuple[RowChange, ...]:
        """Rows of single tokens about to be overwritten, for the trace; those of longer keys would be too many."""
        writers = sorted({token: node for node, token in enumerate(lesson.tokens)}.values())
        return tuple(
            RowChange(t, n, self.store.row(t + 1), tuple(lesson.candidates[n].tolist()))
            for n, t in ((n, lesson.tokens[n]) for n in writers)
        )


def _marks_of(probabilities: np.ndarray) -> np.ndarray:
    """(n, k) uint8 marks of probabilities."""
    return (m.CHANCES.searchsorted(probabilities, side="right") + m.CHANCE).astype(np.uint8)
