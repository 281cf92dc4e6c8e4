"""Our own drafter: rows under keys of one to three tokens, look-ups in the text, trees grown by
calibrated chance.

What is taken from whom: rows of the model's best candidates after every scored token are Token
Recycling's (arXiv 2408.08696); keys of several tokens and a spine copied from the text, with
recycled branches, stand in many methods (Lookahead Decoding, arXiv 2402.02057; SAM-Decoding;
Goose). The chances are ours: every candidate known at a node, whatever it came from, bears a few
marks (``plus/marks.py``), which tell its chance (``plus/known.py``), and the tree takes in what is
likeliest to be on the path.

All of it is done on the host by compiled loops (``plus/``), in a few hundredths of a millisecond.
On a GPU that time adds to the step's, since a draft needs the pass before it; the candidates come
in the step's one copy, and nothing else is waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from tr_core.budget.grown_tree_budget import GrownTreeBudget
from tr_core.drafters.base import HostDrafter, Learned, Lesson, convert
from tr_core.drafters.recycling_plus.kernels import arrays as memory_of
from tr_core.drafters.recycling_plus.kernels import candidates as known
from tr_core.drafters.recycling_plus.kernels import entry_points as loops
from tr_core.drafters.recycling_plus.kernels import features as m
from tr_core.drafters.recycling_plus.kernels import frequent_tokens as usual_tokens
from tr_core.drafters.recycling_plus.kernels import grow as growing
from tr_core.drafters.recycling_plus.kernels import rows
from tr_core.drafters.recycling_plus.kernels import warm_up as first_use
from tr_core.drafters.shared import state_files as states
from tr_core.errors import MatrixError
from tr_core.target import Draft
from tr_core.trace import ROOT, Held, RowChange, Source
from tr_core.trees.tree import MAX_K, TreeTemplate

FORMAT = "recycling-plus-2"
KEYS = 3
_KINDS = {known.USUAL: "usual", known.ROW: "row", known.LOOKUP: "lookup"}


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


class _Sources(Sequence[Source]):
    """Where the nodes of a draft came from, told when somebody asks: without a trace nobody does.

    Args:
        out: (N + 1, columns) what was told of the nodes; of the root's line nothing is read.
    """

    def __init__(self, out: np.ndarray) -> None:
        self._out = out

    def __len__(self) -> int:
        return len(self._out)

    def __getitem__(self, node: int | slice) -> Any:
        if isinstance(node, slice):
            return tuple(self[n] for n in range(*node.indices(len(self))))
        kind, key, place = self._out[node, growing.OUT_KIND : growing.OUT_WHERE + 1].tolist()
        return ROOT if node in (0, -len(self)) else Source(_KINDS[kind], key, place)


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
    summary = "rows of one to three tokens and text look-ups; trees grow by calibrated chance"
    learns = True
    grows = True
    saves = True
    k: int

    def __init__(
        self,
        vocab_size: int,
        k: int,
        device: torch.device | str = "cpu",
        *,
        keys: int = KEYS,
        lookup: bool = True,
        usual: bool = True,
        priors: Sequence[float] = m.PRIORS,
        rate: float = known.RATE,
        memory: int = rows.MEMORY,
    ) -> None:
        if not 1 <= k <= min(MAX_K, vocab_size):
            raise MatrixError(f"k must be 1 … {min(MAX_K, vocab_size)}, got {k}.")
        super().__init__(device)
        first_use.prepare()  # here, so that no step is as slow as that
        self.k = k
        self._vocab_size = vocab_size
        self._keys, self._lookup, self._guesses, self._rate = keys, lookup, usual, float(rate)
        self._steps = 0
        self._sizes = memory_of.sizes_of(vocab_size, k, memory)
        self._remember(memory_of.empty(self._sizes, np.array(priors, dtype=np.float64)))

    @classmethod
    def create(cls, vocab_size: int, k: int, device: torch.device) -> RecyclingPlus:
        return cls(vocab_size, k, device)

    @classmethod
    def prepare(cls) -> None:
        first_use.prepare()

    @property
    def rows_seen(self) -> int:
        return int(self._parts.rows.ends[rows.COUNT])

    @property
    def worth(self) -> np.ndarray:
        """(marks,) float64 log-odds of each mark."""
        return self._parts.worth

    def begin(self) -> None:
        """Rows and marks' worth stay over prompts; look-ups and what is usual belong to one text."""
        loops.begin(*self._memory)

    def propose(
        self, context: Sequence[int], template: TreeTemplate, growth: GrownTreeBudget | None = None
    ) -> Draft:
        if template.nodes > self._sizes["nodes"] or len(context) > self._sizes["room"]:
            self._make_room(len(context), template.nodes)
        self._last[:] = (-1, -1, *context[-3:])[-3:]
        more = np.array(
            context[self._parts.text.sizes[0] :] if self._lookup else (), dtype=np.int64
        )
        taken, offered, self._free = loops.draft(
            *self._memory, self._last, more, self._lookup, self._keys, self._steps, template.nodes,
            self._any if growth is None else growth.terms,
        )  # fmt: skip
        tree = self._parts.tree
        if growth is not None:
            growth.admitted(taken, offered=offered)
            taken = growth.decide()
        self._nodes = taken
        mask = np.zeros((taken + 1, taken + 1), dtype=np.bool_)
        loops.number(*self._memory, mask)
        out = tree.out[: taken + 1].copy()
        parents, ranks, depths = (
            tuple(column) for column in out[:, growing.OUT_PARENT : growing.OUT_KIND].T.tolist()
        )
        return Draft(
            TreeTemplate.trusted(f"grown-{taken}", parents, ranks, depths, mask),
            torch.from_numpy(out[:, growing.OUT_TOKEN].copy()).to(self._device),
            _all_seen(taken + 1, self._device),
            _Sources(out),
            tuple(tree.chances[: taken + 1].tolist()),
        )

    def learn_prompt(
        self, prompt: Sequence[int], offset: int, candidates: np.ndarray, probabilities: np.ndarray
    ) -> None:
        tokens = np.array(
            [-1, -1, *prompt[: offset + len(candidates)]][-len(candidates) - 2 :], dtype=np.int64
        )
        lines = _lines(candidates, probabilities)
        loops.read(*self._memory, tokens, *lines, self._keys, self._steps, self._guesses)

    def learn(self, lesson: Lesson) -> Learned:
        if len(lesson.tokens) != self._nodes + 1:
            raise RuntimeError(
                f"learn() got a draft of {len(lesson.tokens) - 1} nodes; the last had {self._nodes}"
            )
        before = np.empty((self._nodes + 1 if lesson.traced else 0, self.k), dtype=np.int32)
        path, choices = np.array((0, *lesson.path)), np.array(lesson.choices)
        count, rank = loops.learn(
            *self._memory, self._last, path, choices, *_lines(lesson.candidates, lesson.probabilities), before,
            self._free, self._keys, self._steps, self._rate, self._guesses,
        )  # fmt: skip
        self._steps += 1
        changes = _changes(lesson, before) if lesson.traced else ()
        return Learned(changes, Held(count, None if rank < 0 else rank))

    def candidates(self, node: int) -> list[tuple[int, float, tuple[int, ...]]]:
        """What was known below a node of the last draft, if it was asked: token, chance and marks
        of each.
        """
        tree, found = self._parts.tree, self._parts.found
        grown = tree.nodes[tree.out[node, growing.OUT_NODE]]
        if grown[growing.START] < 0:
            return []
        mine = slice(grown[growing.START], grown[growing.END])
        told, chances = found.told[mine].tolist(), found.chances[mine].tolist()
        return [
            (line[known.TOKEN], chance, known.marks_of(line[known.MARKS]))
            for line, chance in zip(told, chances, strict=True)
        ]

    def save(self, path: str | Path, fingerprint: str) -> None:
        """Write rows and marks' worth as safetensors; what belongs to one text is left out.

        Raises:
            MatrixError: the file cannot be written.
        """
        states.save(path, FORMAT, fingerprint, self._known())

    @classmethod
    def load(
        cls, path: str | Path, fingerprint: str, vocab_size: int, device: torch.device
    ) -> RecyclingPlus:
        """Read what ``save`` wrote.

        Raises:
            MatrixError: no such file, another drafter's or another tokenizer's, or damaged.
        """
        kinds = {
            "keys": (np.int64, 1),
            "ids": (np.int32, 2),
            "marks": (np.uint8, 2),
            "born": (np.int32, 1),
        }
        parts = states.load(
            path, FORMAT, fingerprint, kinds | {"worth": (np.float64, 1), "steps": (np.int64, 1)}
        )
        drafter = cls(vocab_size, parts["ids"].shape[1], device)
        drafter._take(parts, path)
        return drafter

    def state(self) -> dict[str, Any]:
        return {
            name: part.tolist()
            for name, part in (self._known() | usual_tokens.arrays(self._parts.usual)).items()
        }

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        found = convert(state, _State)
        usual = {
            "usual": states.array(found.usual, np.int64),
            "mass": states.array(found.mass, np.float64),
            "sums": states.array(found.sums, np.float64),
            "guessed": states.array(found.guessed, np.int64),
        }
        states.check("the checkpoint", usual_tokens.fits(self._parts.usual, usual))
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
        usual_tokens.fill(self._parts.usual, usual)

    def _known(self) -> dict[str, np.ndarray]:
        """Rows and marks' worth."""
        order = np.empty(self.rows_seen, dtype=np.int64)
        loops.written(*self._memory, order)
        return rows.arrays(self._parts.rows, order) | {
            "worth": self.worth.copy(),
            "steps": np.array([self._steps]),
        }

    def _take(self, parts: dict[str, np.ndarray], source: str | Path) -> None:
        """Know what ``_known`` gave, and nothing else.

        Raises:
            MatrixError: they do not fit each other or this model.
        """
        keys, ids, marks, born = (parts[name] for name in ("keys", "ids", "marks", "born"))
        states.check(source, ids.shape == marks.shape and len(keys) == len(ids) == len(born))
        states.check(source, ids.shape[1] == self.k and len(parts["steps"]) == 1)
        # The table of rows holds keys of 62 bits and steps of 31: others would never be found in it
        # again.
        highest = min((self._vocab_size + 1) ** 3, 2**62)
        states.check(
            source,
            len(set(keys.tolist())) == len(keys) and bool(((keys > 0) & (keys < highest)).all()),
        )
        states.check(source, 0 <= int(parts["steps"][0]) < 2**30)
        states.check(source, bool(((ids >= 0) & (ids < self._vocab_size)).all()))
        states.check(source, bool(((marks >= m.CHANCE) & (marks < m.NO_CHANCE)).all()))
        states.check(
            source,
            len(parts["worth"]) == len(m.PRIORS) and bool((np.abs(parts["worth"]) < 100).all()),
        )
        rows.clear(self._parts.rows)
        kinds = {"keys": np.int64, "ids": np.int32, "marks": np.uint8, "born": np.int32}
        kept = (
            np.array(parts[name][-self._sizes["capacity"] :], dtype=kind)
            for name, kind in kinds.items()
        )
        loops.fill(*self._memory, *kept)
        self.worth[:] = parts["worth"]
        self._steps = int(parts["steps"][0])

    def _make_room(self, tokens: int, nodes: int) -> None:
        """Room for so many tokens of text, and for drafts of so many nodes."""
        room = self._sizes["room"]
        self._sizes |= {"room": max(2 * tokens, room) if tokens > room else room}
        self._sizes |= {"nodes": max(nodes, self._sizes["nodes"])}
        self._remember(memory_of.with_room(self._memory, self._sizes))

    def _remember(self, memory: memory_of.Memory) -> None:
        self._memory, self._parts = memory, memory_of.named(memory)
        self._any = np.zeros((4, self._sizes["nodes"] + 1))  # terms where nobody cuts the tree
        # Of the draft under way: the last tokens of the text, nodes below the root, and where its
        # candidates end.
        self._last = np.full(3, -1, dtype=np.int64)
        self._nodes = self._free = 0


@cache
def _all_seen(count: int, device: torch.device | str) -> torch.Tensor:
    """(count,) bool, for reading only: of a grown draft no node is a filler."""
    return torch.ones(count, dtype=torch.bool, device=device)


def _lines(candidates: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Candidates and probabilities as compiled functions take them."""
    return np.ascontiguousarray(candidates, dtype=np.int32), np.ascontiguousarray(
        probabilities, dtype=np.float32
    )


def _changes(lesson: Lesson, before: np.ndarray) -> tuple[RowChange, ...]:
    """Rows of single tokens that were overwritten, for the trace; those of longer keys would be too
    many.
    """
    writers = sorted({token: node for node, token in enumerate(lesson.tokens)}.values())
    old, new = before.tolist(), lesson.candidates.tolist()
    return tuple(
        RowChange(lesson.tokens[n], n, tuple(old[n]) if old[n][0] >= 0 else (), tuple(new[n]))
        for n in writers
    )
