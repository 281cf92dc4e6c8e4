"""Shared by drafters that follow a text and guess at each position what comes next.

A **cursor** is all that such a drafter needs to know about a position, after the text or a branch
of the draft. The tree is grown best-first (``best_first.py``) from what is known at its nodes'
cursors. After the pass, before anything is learned, the cursors along the path are evaluated again:
how right each guess was (``judge``), and what was known at the path's end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch

from tr_core.budget.grown_tree_budget import GrownTreeBudget
from tr_core.drafters.base import HostDrafter, Learned, Lesson
from tr_core.drafters.shared.best_first import Branches, Child, grow
from tr_core.target import Draft
from tr_core.trace import Held, RowChange
from tr_core.trees.tree import TreeTemplate

Cursor = Any  # each way of guessing has its own


class Guesses(Protocol):
    """One way of guessing what comes next."""

    def begin(self) -> None:
        """A new prompt starts: drop what belongs to one text."""
        ...

    def start(self, context: Sequence[int]) -> Cursor:
        """Take in what the text has gained since the last call; the cursor after it."""
        ...

    def follow(self, cursor: Cursor, token: int) -> Cursor:
        """The cursor one token further."""
        ...

    def below(self, cursor: Cursor) -> list[Child]:
        """What may come next, the most likely first, no token twice; chances sum to 1 at most."""
        ...

    def judge(self, cursor: Cursor, choice: int) -> None:
        """What came next was ``choice``: correct the chances of such guesses as ``below`` gave."""
        ...

    def learn_prompt(
        self, prompt: Sequence[int], offset: int, candidates: np.ndarray, probabilities: np.ndarray
    ) -> None:
        """See ``HostDrafter``."""
        ...

    def absorb(self, lesson: Lesson) -> tuple[RowChange, ...]:
        """Learn from all nodes of a scored draft; the rows overwritten, if each token has one."""
        ...


class Guesser(HostDrafter):
    """A drafter from ``Guesses``: subclasses are both."""

    learns = True
    grows = True

    def __init__(self, device: torch.device | str = "cpu") -> None:
        super().__init__(device)
        self._root: Cursor = None

    def start(self, context: Sequence[int]) -> Cursor:
        """See ``Guesses``."""
        raise NotImplementedError

    def follow(self, cursor: Cursor, token: int) -> Cursor:
        """See ``Guesses``."""
        raise NotImplementedError

    def below(self, cursor: Cursor) -> list[Child]:
        """See ``Guesses``."""
        raise NotImplementedError

    def judge(self, cursor: Cursor, choice: int) -> None:
        """See ``Guesses``."""
        raise NotImplementedError

    def absorb(self, lesson: Lesson) -> tuple[RowChange, ...]:
        """See ``Guesses``; by default it learns from the text alone."""
        return ()

    def propose(
        self, context: Sequence[int], template: TreeTemplate, growth: GrownTreeBudget | None = None
    ) -> Draft:
        self._root = self.start(context)
        cursors: dict[int, Cursor] = {}

        def children(tree: Branches, node: int) -> list[Child]:
            # Asked for a node after its parent, but not for every node.
            cursor = (
                self.follow(cursors[tree.parents[node]], tree.tokens[node]) if node else self._root
            )
            cursors[node] = cursor
            return self.below(cursor)

        return grow(context[-1], children, template.nodes, growth).draft(self._device)

    def learn(self, lesson: Lesson) -> Learned:
        cursors = [self._root]
        for node in lesson.path:
            cursors.append(self.follow(cursors[-1], lesson.tokens[node]))
        nodes = (0, *lesson.path)
        known = [token for token, _, _ in self.below(cursors[-1])]
        choice = lesson.choices[nodes[-1]]
        held = Held(len(known), known.index(choice) if choice in known else None)
        for node, cursor in zip(nodes, cursors, strict=True):
            self.judge(cursor, lesson.choices[node])
        return Learned(self.absorb(lesson), held)


def sorted_chances(children: list[Child]) -> list[Child]:
    """The most likely first; shrunk where they sum to more than 1, as only one can be right."""
    children.sort(key=lambda child: -child[1])
    total = sum([chance for _, chance, _ in children])
    return (
        children
        if total <= 1
        else [(token, chance / total, source) for token, chance, source in children]
    )
