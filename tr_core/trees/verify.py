"""From the model's choices to the accepted path. Greedy and sampled decoding use the same walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tr_core.trees.tree import DraftTree


@dataclass(frozen=True)
class Verdict:
    """The longest path on which draft and model agree.

    Attributes:
        path: its nodes from depth 1 on; empty if no child of the root was the model's choice.
        bonus: the model's choice after the path, which the pass gives for nothing.
    """

    path: tuple[int, ...]
    bonus: int


def walk(tree: DraftTree, choices: Sequence[int]) -> Verdict:
    """Descend from the root to the child that equals the node's choice, as long as there is one.

    Args:
        tree: the draft, N nodes below its root.
        choices: (N + 1,) the model's pick after each node.
    """
    path: list[int] = []
    at, choice = 0, choices[0]
    # Children stand behind their parents, and of equal siblings the lower rank first.
    for node, (parent, token) in enumerate(zip(tree.template.parents, tree.tokens, strict=True)):
        if parent == at and token == choice and node not in tree.unseen:
            path.append(node)
            at, choice = node, choices[node]
    return Verdict(tuple(path), choice)
