"""Our own drafter: rows keyed by one to three tokens, look-ups in the text, trees grown by chance.

A candidate's chance is a **logistic regression over six categorical features**: its source, its
rank, the probability stored with it, what look-ups say of it, the age of its row, and whether
another row agrees (``kernels/features.py``). Each value of a feature has one weight; the chance is
the logistic function of the sum of six weights. The first weights were fitted offline
(``benchmarks/drafting/fit_features.py``) and serve as priors. Online, each pass is one step of
stochastic gradient descent on the log loss. Along the accepted path the model's choices are known,
so every candidate there is a sample, drafted or not. After it all weights decay a little towards
their priors, so a short text cannot move them far. The tree takes in the nodes that are most likely
on the path.

Rows of the model's best candidates after every scored token are Token Recycling's (arXiv
2408.08696). Keys of several tokens, and a spine copied from the text with recycled branches, occur
in many methods (Lookahead Decoding, arXiv 2402.02057; SAM-Decoding; Goose). The chances are ours.

Compiled loops (``kernels/``) do all of it on the host, in a few hundredths of a millisecond. On a
GPU that time adds to the step's, since a draft needs the pass before it. The candidates come in the
step's one copy, and nothing else is waited for.
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
from tr_core.drafters.recycling_plus.kernels import (
    arrays,
    features,
    frequent_tokens,
    grow,
    rows,
    warm_up,
)
from tr_core.drafters.recycling_plus.kernels import candidates as c
from tr_core.drafters.recycling_plus.kernels import entry_points as loops
from tr_core.drafters.shared import state_files as states
from tr_core.errors import MatrixError
from tr_core.target import Draft
from tr_core.trace import ROOT, Held, RowChange, Source, SourceKind
from tr_core.trees.tree import MAX_K, TreeTemplate

FORMAT = "recycling-plus-2"
KEYS = 3
_SOURCES: dict[int, SourceKind] = {
    int(c.FREQUENT): "usual",
    int(c.ROW): "row",
    int(c.LOOKUP): "lookup",
}
# The arrays of a file: dtype and dimensions. Their names stay, for the files that exist: ``marks``
# are features of probabilities, ``born`` is the step that wrote a row, ``worth`` are the weights.
_ROWS: dict[str, tuple[type, int]] = {
    "keys": (np.int64, 1),
    "ids": (np.int32, 2),
    "marks": (np.uint8, 2),
    "born": (np.int32, 1),
}
_ARRAYS = _ROWS | {"worth": (np.float64, 1), "steps": (np.int64, 1)}


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint: the arrays of a file, and those of ``frequent_tokens.to_arrays``."""

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
    """Where the nodes of a draft came from, unpacked on demand: without a trace nothing reads it.

    Args:
        listed: (N + 1, columns) as of ``Tree``; of the root's line nothing is read.
    """

    def __init__(self, listed: np.ndarray) -> None:
        self._listed = listed

    def __len__(self) -> int:
        return len(self._listed)

    def __getitem__(self, node: int | slice) -> Any:
        if isinstance(node, slice):
            return tuple(self[n] for n in range(*node.indices(len(self))))
        if node in (0, -len(self)):
            return ROOT
        columns = slice(grow.LISTED_SOURCE, grow.LISTED_POSITION + 1)
        source, key, position = self._listed[node, columns].tolist()
        return Source(_SOURCES[source], key, position)


class RecyclingPlus(HostDrafter):
    """Trees of rows and look-ups, likeliest nodes first.

    Args:
        vocab_size: V.
        k: candidates per row.
        device: where drafts go.
        keys: tokens of a key at most, 1 … 3.
        lookup: whether to copy from the text.
        frequent: whether to guess frequent tokens of the text where nothing else is known.
        priors: (F,) weights at first; see ``features.py``.
        rate: step of a weight for an error of 1; 0 to learn nothing.
        row_bytes: memory for rows.

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
        frequent: bool = True,
        priors: Sequence[float] = features.PRIORS,
        rate: float = c.RATE,
        row_bytes: int = rows.MAX_BYTES,
    ) -> None:
        if not 1 <= k <= min(MAX_K, vocab_size):
            raise MatrixError(f"k must be 1 … {min(MAX_K, vocab_size)}, got {k}.")
        super().__init__(device)
        warm_up.prepare()  # here, so that no step waits for it
        self.k = k
        self._vocab_size = vocab_size
        self._lookup = lookup
        self._config = arrays.configure(vocab_size, k, row_bytes, max_key=keys, frequent=frequent)
        self._use(arrays.empty(self._config, priors, rate))

    @classmethod
    def create(cls, vocab_size: int, k: int, device: torch.device) -> RecyclingPlus:
        return cls(vocab_size, k, device)

    @classmethod
    def prepare(cls) -> None:
        warm_up.prepare()

    @property
    def rows_seen(self) -> int:
        return int(self._parts.rows.ends[rows.COUNT])

    @property
    def weights(self) -> np.ndarray:
        """(F,) float64 log-odds of each feature value."""
        return self._parts.model.weights

    def begin(self) -> None:
        """Keep rows and weights; look-ups and frequent tokens belong to one text."""
        loops.begin(*self._memory)

    def propose(
        self, context: Sequence[int], template: TreeTemplate, growth: GrownTreeBudget | None = None
    ) -> Draft:
        if template.nodes > self._config.nodes or len(context) > self._config.room:
            self._resize(len(context), template.nodes)
        text, tree = self._parts.text, self._parts.tree
        tree.context[:] = (-1, -1, *context[-3:])[-3:]
        added = np.array(context[text.sizes[0] :] if self._lookup else (), dtype=np.int64)
        terms = self._admit_all if growth is None else growth.terms
        count, offered = loops.draft(*self._memory, added, template.nodes, terms)
        if growth is not None:
            growth.admitted(count, offered=offered)
            count = growth.decide()
        self._nodes = count
        mask = np.zeros((count + 1, count + 1), dtype=np.bool_)
        loops.list_breadth_first(*self._memory, mask)
        listed = tree.listed[: count + 1].copy()
        parents, ranks, depths = (
            tuple(column)
            for column in listed[:, grow.LISTED_PARENT : grow.LISTED_SOURCE].T.tolist()
        )
        return Draft(
            TreeTemplate.trusted(f"grown-{count}", parents, ranks, depths, mask),
            torch.from_numpy(listed[:, grow.LISTED_TOKEN].copy()).to(self._device),
            _all_seen(count + 1, self._device),
            _Sources(listed),
            tuple(tree.chances[: count + 1].tolist()),
        )

    def learn_prompt(
        self, prompt: Sequence[int], offset: int, candidates: np.ndarray, probabilities: np.ndarray
    ) -> None:
        tokens = np.array(
            [-1, -1, *prompt[: offset + len(candidates)]][-len(candidates) - 2 :], dtype=np.int64
        )
        loops.read(*self._memory, tokens, *_as_compiled(candidates, probabilities))

    def learn(self, lesson: Lesson) -> Learned:
        if len(lesson.tokens) != self._nodes + 1:
            raise RuntimeError(
                f"learn() got a draft of {len(lesson.tokens) - 1} nodes; the last had {self._nodes}"
            )
        before = np.empty((self._nodes + 1 if lesson.traced else 0, self.k), dtype=np.int32)
        path, choices = np.array((0, *lesson.path)), np.array(lesson.choices)
        scored = _as_compiled(lesson.candidates, lesson.probabilities)
        count, rank = loops.learn(*self._memory, path, choices, *scored, before)
        changes = _changes(lesson, before) if lesson.traced else ()
        return Learned(changes, Held(count, None if rank < 0 else rank))

    def candidates(self, node: int) -> list[tuple[int, float, features.Features]]:
        """Token, chance and features of each candidate of a node of the last draft.

        The list is empty if the node was not expanded.
        """
        tree, collected = self._parts.tree, self._parts.candidates
        entry = tree.nodes[tree.listed[node, grow.LISTED_NODE]]
        if entry[grow.START] < 0:
            return []
        lines = slice(entry[grow.START], entry[grow.END])
        table, chances = collected.table[lines].tolist(), collected.chances[lines].tolist()
        return [
            (line[c.TOKEN], chance, features.unpack(line[c.FEATURES]))
            for line, chance in zip(table, chances, strict=True)
        ]

    def save(self, path: str | Path, fingerprint: str) -> None:
        """Write rows and weights as safetensors; what belongs to one text is left out.

        Raises:
            MatrixError: the file cannot be written.
        """
        states.save(path, FORMAT, fingerprint, self._to_arrays())

    @classmethod
    def load(
        cls, path: str | Path, fingerprint: str, vocab_size: int, device: torch.device
    ) -> RecyclingPlus:
        """Read what ``save`` wrote.

        Raises:
            MatrixError: no such file, another drafter's or another tokenizer's, or damaged.
        """
        loaded = states.load(path, FORMAT, fingerprint, _ARRAYS)
        drafter = cls(vocab_size, loaded["ids"].shape[1], device)
        drafter._fill(loaded, path)
        return drafter

    def state(self) -> dict[str, Any]:
        frequent = frequent_tokens.to_arrays(self._parts.frequent)
        return {name: array.tolist() for name, array in (self._to_arrays() | frequent).items()}

    def restore(
        self, state: dict[str, Any], prompt: Sequence[int] = (), output: Sequence[int] = ()
    ) -> None:
        lists = convert(state, _State)
        frequent = {
            "usual": states.array(lists.usual, np.int64),
            "mass": states.array(lists.mass, np.float64),
            "sums": states.array(lists.sums, np.float64),
            "guessed": states.array(lists.guessed, np.int64),
        }
        states.check("the checkpoint", frequent_tokens.fits(self._parts.frequent, frequent))
        self._fill(
            {
                name: states.array(getattr(lists, name), dtype, *[self.k] * (dimensions - 1))
                for name, (dtype, dimensions) in _ARRAYS.items()
            },
            "the checkpoint",
        )
        frequent_tokens.fill(self._parts.frequent, frequent)

    def _to_arrays(self) -> dict[str, np.ndarray]:
        """Rows and weights, as in a file."""
        order = np.empty(self.rows_seen, dtype=np.int64)
        loops.list_rows(*self._memory, order)
        return rows.to_arrays(self._parts.rows, order) | {
            "worth": self.weights.copy(),
            "steps": self._parts.rows.step.copy(),
        }

    def _fill(self, loaded: dict[str, np.ndarray], source: str | Path) -> None:
        """Replace rows and weights with what ``_to_arrays`` returned.

        Raises:
            MatrixError: they do not fit each other or this model.
        """
        keys, ids, marks, born = (loaded[name] for name in _ROWS)
        weights, steps = loaded["worth"], loaded["steps"]
        states.check(source, ids.shape == marks.shape and len(keys) == len(ids) == len(born))
        states.check(source, ids.shape[1] == self.k and len(steps) == 1)
        # The table of rows holds keys of 62 bits and steps of 31: it would never find others again.
        highest = min((self._vocab_size + 1) ** 3, 2**62)
        states.check(
            source,
            len(set(keys.tolist())) == len(keys) and bool(((keys > 0) & (keys < highest)).all()),
        )
        states.check(source, 0 <= int(steps[0]) < 2**30)
        states.check(source, bool(((ids >= 0) & (ids < self._vocab_size)).all()))
        first, end = features.PROBABILITY, features.NO_PROBABILITY
        states.check(source, bool(((marks >= first) & (marks < end)).all()))
        states.check(source, len(weights) == features.COUNT and bool((np.abs(weights) < 100).all()))
        rows.clear(self._parts.rows)
        newest = slice(-self._config.capacity, None)
        loops.fill_rows(
            *self._memory,
            *(np.array(loaded[name][newest], dtype=dtype) for name, (dtype, _) in _ROWS.items()),
        )
        self.weights[:] = weights
        self._parts.rows.step[0] = int(steps[0])

    def _resize(self, tokens: int, nodes: int) -> None:
        """Make room for so many tokens of text, and for drafts of so many nodes."""
        room = self._config.room
        self._config = self._config._replace(
            room=max(2 * tokens, room) if tokens > room else room,
            nodes=max(nodes, self._config.nodes),
        )
        self._use(arrays.resized(self._memory, self._config))

    def _use(self, memory: arrays.Memory) -> None:
        self._memory, self._parts = memory, arrays.parts_of(*memory)
        self._admit_all = np.zeros((4, self._config.nodes + 1))  # terms without a budget
        self._nodes = 0  # of the present draft, without the root


@cache
def _all_seen(count: int, device: torch.device | str) -> torch.Tensor:
    """(count,) bool, read-only: no node of a grown draft is a filler."""
    return torch.ones(count, dtype=torch.bool, device=device)


def _as_compiled(
    candidates: np.ndarray, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Candidates and probabilities with the types that the loops are compiled for."""
    return np.ascontiguousarray(candidates, dtype=np.int32), np.ascontiguousarray(
        probabilities, dtype=np.float32
    )


def _changes(lesson: Lesson, before: np.ndarray) -> tuple[RowChange, ...]:
    """The rows of single tokens that were overwritten, for the trace; others would be too many."""
    writers = sorted({token: node for node, token in enumerate(lesson.tokens)}.values())
    old, new = before.tolist(), lesson.candidates.tolist()
    return tuple(
        RowChange(lesson.tokens[n], n, tuple(old[n]) if old[n][0] >= 0 else (), tuple(new[n]))
        for n in writers
    )
