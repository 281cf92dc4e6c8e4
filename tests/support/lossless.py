"""What the tests of losslessness share: prompts, trees, who drafts for whom, hostile drafts."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tr_core import Session, Settings, TreeTemplate
from tr_core.budget.grown_tree_budget import GrownTreeBudget
from tr_core.drafters.base import Drafter
from tr_core.drafters.registry import DRAFTERS
from tr_core.models.hf_target import HFTarget
from tr_core.target import Draft

# Ranks with gaps, a node whose only child is of rank 3, and a spine deeper than the sliding window
# of 8.
ODD = TreeTemplate.from_paths(
    "odd", [[0], [2], [7], [2, 3], [2, 3, 1], *([0] * n for n in range(2, 11))]
)
TREES: list[str | TreeTemplate] = ["paper", "chain-4", ODD]
# Repeats itself, so that every drafter has something to propose; crosses the window of 8.
PROMPT = [5, 9, 33, 41, 5, 9, 33, 41, 17, 5, 9]
SAMPLED = {"temperature": 0.8, "top_p": 0.95, "top_k": 50}
# From a matrix on the device, in the template's shape; grown on the host from the text and from
# rows; nothing.
KINDS = ("token_recycling", "fused", "none")
# Plain layers; sliding and full ones; positions from a table.
MEET_ALL = ("llama", "gemma2", "gpt2")


def drafters_for(family: str, meet_all: Sequence[str] = MEET_ALL) -> Sequence[str]:
    """Who drafts for a family: everybody for the families of ``meet_all``, one of each kind for the
    others.
    """
    return tuple(DRAFTERS) if family in meet_all else KINDS


def meetings(families: Sequence[str], meet_all: Sequence[str] = MEET_ALL) -> list[tuple[str, str]]:
    """(family, drafter) of all who meet."""
    return [(family, drafter) for family in families for drafter in drafters_for(family, meet_all)]


def decoded(
    target: HFTarget, settings: Settings, prompt: Sequence[int] = PROMPT, drafter: object = None
) -> Session:
    """A session run to its end, its invariants checked on the way."""
    session = Session(target, settings, drafter=drafter).start(prompt)
    steps = list(session.run())
    assert session.output_ids == [t for s in steps for t in s.emitted]
    for step in steps:
        assert step.emitted, "every step emits"
        assert step.cached == step.committed + len(step.emitted) - 1
    return session


def late_end(free: Sequence[int]) -> int:
    """The token of an output that occurs first latest: as an end token it stops the output in its
    middle.
    """
    return max(set(free), key=lambda token: free.index(token))


class Hostile(Drafter):
    """Proposes whatever hurts: random tokens, one token everywhere, end tokens, and now and then
    the right ones.
    """

    name = "token_recycling"
    uses_tree = True

    def __init__(self, truth: Sequence[int], ends: Sequence[int], size: int) -> None:
        self.truth = list(truth)
        self.ends = list(ends)
        self.size = size
        self.noise = torch.Generator().manual_seed(5)
        self.calls = 0

    def begin(self) -> None:
        self.calls = 0

    def propose(
        self, context: Sequence[int], template: TreeTemplate, growth: GrownTreeBudget | None = None
    ) -> Draft:
        self.calls += 1
        tokens = torch.randint(self.size, (len(template.parents),), generator=self.noise)
        if self.calls % 5 == 1:
            tokens[:] = context[-1]
        elif self.calls % 5 == 2:
            tokens[1:] = self.ends[0]
        elif self.calls % 5 == 3:
            # The true continuation on every branch: siblings are duplicates, and the end token may
            # stand among them.
            ahead = [*self.truth[len(context) :], *self.ends] + [0] * template.depth
            for node in range(1, len(tokens)):
                tokens[node] = ahead[template.depths[node] - 1]
        elif self.calls % 5 == 4:
            # Right tokens one place too early, and again marked as fillers, which must never be
            # accepted.
            ahead = self.truth[len(context) + 1 :] + [0] * (template.depth + 1)
            for node in range(1, len(tokens)):
                tokens[node] = ahead[template.depths[node] - 1]
        tokens[0] = context[-1]
        seen = torch.ones(len(tokens), dtype=torch.bool)
        seen[len(tokens) // 2 :] = self.calls % 2 == 0
        return Draft(template, tokens, seen)
