"""Named tree shapes, shapes grown to any number of nodes, and reading one from a file. No torch
here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

from tr_core.errors import TemplateError
from tr_core.trees.best_first import best_first
from tr_core.trees.tree import MAX_NODES, TreeTemplate

MAX_FILE_BYTES = 1_000_000

# The published static tree (arXiv 2408.08696, appendix): 80 nodes below the root, levels of
# 8/21/25/15/8/3.
_PAPER = (
    (8,),
    (8, 4, 3, 2, 1, 1, 1, 1),
    (8, 3, 2, 1, 1, 1, 1, 1, 2, 1, 0, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0),
    (5, 2, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0),
    (3, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0),
    (2, 0, 0, 1, 0, 0, 0, 0),
)

# Share of drafted nodes accepted at each rank, given that their parent was: what `grown` believes,
# and a budget at first. Chosen, not measured: between the widths of the published tree and what
# benchmarks/drafting/rank_acceptance.py finds on the bundled model (0.70, 0.07, 0.03, 0.01 …),
# which repeats itself more than larger ones. The last repeats.
_RANK_ACCEPTANCE = (0.42, 0.14, 0.075, 0.05, 0.035, 0.027, 0.022, 0.018)


def rank_acceptance(k: int) -> list[float]:
    """(k,) chances of each place of a row, before anything is known of the text."""
    return [_RANK_ACCEPTANCE[min(r, len(_RANK_ACCEPTANCE) - 1)] for r in range(k)]


@cache
def paper() -> TreeTemplate:
    """The published tree: 80 nodes, depth 6, k = 8."""
    return TreeTemplate.from_child_counts("paper", _PAPER)


@cache
def chain(nodes: int) -> TreeTemplate:
    """One path of ``nodes`` nodes, all of rank 0; ``chain(0)`` is the root alone."""
    name = f"chain-{nodes}" if nodes else "none"
    return TreeTemplate(name, tuple(range(-1, nodes)), (-1,) + (0,) * nodes)


@cache
def grown(nodes: int, k: int = 8, name: str = "") -> TreeTemplate:
    """The ``nodes`` places most likely to be accepted, if a rank's chance were the same everywhere
    in the tree.

    Grown best-first: a node's chance is its parent's times that of its rank.
    """
    if not 1 <= nodes <= MAX_NODES:
        raise TemplateError(f"A tree has 1 … {MAX_NODES} nodes, got {nodes}.")
    shares = rank_acceptance(k)
    reached = [1.0]

    def children(node: int) -> list[tuple[int, float]]:
        # Each from the sibling before it: the rounding decides between equally likely places, and
        # so which trees these are.
        chances = [reached[node] * shares[0]]
        for before, share in pairwise(shares):
            chances.append(chances[-1] / before * share)
        return list(enumerate(chances))

    paths = []
    for chance, _, path, _ in islice(best_first(children), nodes):
        reached.append(chance)
        paths.append(path)
    return TreeTemplate.from_paths(name or f"{nodes} nodes", paths)


NAMED: dict[str, tuple[Callable[[], TreeTemplate], str]] = {
    "paper": (paper, "the published tree: 80 nodes, depth 6"),
    "chain-4": (
        lambda: chain(4),
        "one path of 4 nodes: the best candidate of the best candidate …",
    ),
    "small-8": (lambda: grown(8, name="small-8"), "8 nodes, for a CPU"),
    "small-16": (lambda: grown(16, name="small-16"), "16 nodes, for a CPU or a small GPU"),
    "wide-32": (
        lambda: TreeTemplate.from_child_counts("wide-32", [(8,), (8, 6, 4, 2, 1, 1, 1, 1)]),
        "32 nodes in two levels",
    ),
}


def is_name(choice: str) -> bool:
    """Whether this names a tree by itself: one of ``NAMED``, ``auto`` or a number of nodes, and no
    file.
    """
    choice = choice.strip()
    return choice in (*NAMED, "auto") or (choice.isascii() and choice.isdecimal())


def resolve(choice: str, k: int = 8) -> TreeTemplate:
    """The template that a user's word means: a name, a number of nodes, or a JSON file.

    ``auto`` is none: there a ``Budget`` chooses a template for each step.

    Raises:
        TemplateError: none of these, no readable file, no tree, or a rank that ``k`` cannot fill.
    """
    choice = str(choice).strip()
    if choice in NAMED:
        template = NAMED[choice][0]()
    elif choice.isascii() and choice.isdigit():
        template = grown(int(choice[:6]), k)
    else:
        template = read(Path(choice))
    template.check_k(k)
    return template


def read(path: Path) -> TreeTemplate:
    """Read a template file: JSON child counts per level, or a list of rank paths.

    ``{"child_counts": [[2], [1, 0]]}`` or ``{"paths": [[0], [1], [0, 0]]}``; a ``"name"`` may stand
    beside.

    Raises:
        TemplateError: no such file, no JSON of this form, or no tree.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise TemplateError(
                f"The template file “{path.name}” is over {MAX_FILE_BYTES // 1_000_000} MB."
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise TemplateError(
            f"“{path}” is no tree: choose auto, a number of nodes, {', '.join(NAMED)}, or a"
            " readable JSON file."
        ) from error
    return parse(text, name=path.stem)


def parse(text: str, name: str = "custom") -> TreeTemplate:
    """Read a template from JSON text; see ``read``.

    Raises:
        TemplateError: no JSON of this form, or no tree.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TemplateError(f"The template “{name}” is not JSON: {error}.") from error
    if not isinstance(content, dict) or len({"child_counts", "paths"} & content.keys()) != 1:
        raise TemplateError(
            f"The template “{name}” must be an object with either “child_counts” or “paths”."
        )
    name = content.get("name", name)
    rows = content.get("child_counts", content.get("paths"))
    if (
        not isinstance(name, str)
        or not isinstance(rows, list)
        or not all(isinstance(r, list) for r in rows)
    ):
        raise TemplateError(
            "A template's child counts or paths are a list of lists of whole numbers."
        )
    if "child_counts" in content:
        return TreeTemplate.from_child_counts(name[:60], rows)
    return TreeTemplate.from_paths(name[:60], rows)
