"""What a chapter may ask of a run, by name: values, nodes of a tree, rows that a step overwrote.

Every answer of the tour is one of these, read from the trace. A new fact is a line in one of the
tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from tr_core.trace import RowChange, RunTrace, StepTrace
from tr_core.trace.labels import label
from viz.records.run_records import verdicts


def word(trace: RunTrace, token: int) -> str:
    """A token as a sentence names it: without the space before it, unless it is nothing else."""
    piece = trace.pieces.get(token, f"token {token}")
    return piece.strip() or label(piece, trace.partial_bytes.get(token, ""))


def words(trace: RunTrace, tokens: tuple[int, ...]) -> str:
    return " ".join(word(trace, t) for t in tokens)


def below(step: StepTrace, node: int) -> tuple[int, ...]:
    """Tokens from the root's child down to a node."""
    tokens: list[int] = []
    while node > 0:
        tokens.insert(0, step.tokens[node])
        node = step.parents[node]
    return tuple(tokens)


def _accepted(trace: RunTrace) -> int:
    return sum(len(s.path) for s in trace.steps)


def _drafted(trace: RunTrace) -> int:
    return sum(len(s.tokens) - 1 for s in trace.steps)


def _rows_seen(trace: RunTrace, last: int) -> int:
    return trace.info.rows_seen + sum(not r.before for s in trace.steps[:last] for r in s.rows)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"


# Of one step.
STEP_VALUES: Mapping[str, Callable[[RunTrace, StepTrace], str]] = MappingProxyType(
    {
        "root": lambda run, step: word(run, step.tokens[0]),
        "choice": lambda run, step: word(run, step.choices[0]),
        "bonus": lambda run, step: "none" if step.bonus is None else word(run, step.bonus),
        "path": lambda run, step: words(run, tuple(step.tokens[n] for n in step.path)),
        "written": lambda run, step: words(run, step.emitted),
        "accepted": lambda run, step: str(len(step.path)),
        "emitted": lambda run, step: str(len(step.emitted)),
        "drafted": lambda run, step: str(len(step.tokens) - 1),
        "scored": lambda run, step: str(len(step.tokens)),
        "rejected": lambda run, step: str(step.statuses.count("rejected")),
        "fillers": lambda run, step: str(len(step.unseen)),
        "cached before": lambda run, step: str(step.committed - 1),
        "cached": lambda run, step: str(step.cached),
        "position": lambda run, step: str(step.committed - 1),
        "rows written": lambda run, step: str(len(step.rows)),
        "rows new": lambda run, step: str(sum(not r.before for r in step.rows)),
        "rows filled": lambda run, step: str(_rows_seen(run, step.index)),
        "written so far": lambda run, step: str(
            sum(len(s.emitted) for s in run.steps[: step.index])
        ),
        "rate": lambda run, step: _percent(len(step.path), len(step.tokens) - 1),
        "passes here": lambda run, step: str(step.passes),
        "next guesses": lambda run, step: _next_guesses(run, step),
    }
)

# Of a whole run.
RUN_VALUES: Mapping[str, Callable[[RunTrace], str]] = MappingProxyType(
    {
        "passes": lambda run: str(len(run.steps)),
        "tokens": lambda run: str(len(run.output_ids)),
        "passes saved": lambda run: str(len(run.output_ids) - len(run.steps)),
        "tokens per pass": lambda run: f"{len(run.output_ids) / max(len(run.steps), 1):.2f}",
        "all accepted": lambda run: str(_accepted(run)),
        "all drafted": lambda run: f"{_drafted(run):,}",
        "all rate": lambda run: _percent(_accepted(run), _drafted(run)),
        "empty passes": lambda run: str(sum(not s.path for s in run.steps)),
        "budget": lambda run: str(run.info.nodes),
        "k": lambda run: str(run.info.k),
        "vocabulary": lambda run: f"{run.info.vocab_size:,}",
        "megabytes": lambda run: f"{run.info.weight_bytes / 1e6:.0f}",
        "same as plain": lambda run: {True: "yes", False: "no", None: "not checked"}[
            run.reference_identical
        ],
        "text": lambda run: run.text.strip(),
    }
)

# Nodes of a step's tree.
NODES: Mapping[str, Callable[[StepTrace], list[int]]] = MappingProxyType(
    {
        "path end": lambda step: [step.path[-1] if step.path else 0],
        "path": lambda step: list(step.path),
        "rejected nodes": lambda step: [n for n, s in enumerate(step.statuses) if s == "rejected"],
        "fillers": lambda step: list(step.unseen),
        "right word, wrong place": lambda step: [
            n for n, why in enumerate(verdicts(step)) if why == "q"
        ],
        "agreeing nodes": lambda step: [n for n, why in enumerate(verdicts(step)) if why in "aq"],
        "root's children": lambda step: [
            n for n in range(1, len(step.tokens)) if step.parents[n] == 0
        ],
        "best line": lambda step: _best_line(step),
    }
)

# Rows that a step overwrote, each by its token.
ROWS: Mapping[str, Callable[[StepTrace], list[int]]] = MappingProxyType(
    {
        "changed rows": lambda step: _tokens(step, lambda row: row.before != row.after),
        "unchanged rows": lambda step: _tokens(step, lambda row: row.before == row.after),
        "new rows": lambda step: _tokens(step, lambda row: not row.before),
        "rows by rejected nodes": lambda step: _tokens(
            step, lambda row: step.statuses[row.node] == "rejected"
        ),
        "new rows by rejected nodes": lambda step: _tokens(
            step, lambda row: not row.before and step.statuses[row.node] == "rejected"
        ),
    }
)


_OF_NODE = re.compile(r"(?P<what>above|beside) node (?P<node>[0-9]{1,5})")


def find_nodes(step: StepTrace, name: str) -> list[int] | None:
    """Nodes that a fact finds in a step; None if there is no such fact of nodes.

    Besides ``NODES``: ``above node 3``, its ancestors without the root, and ``beside node 3``, all
    others that stand at its position in the text.
    """
    if name in NODES:
        return NODES[name](step)
    match = _OF_NODE.fullmatch(name)
    if not match or int(match["node"]) >= len(step.tokens):
        return None
    node = int(match["node"])
    if match["what"] == "above":
        return [n for n in range(1, node) if step.tree.template.ancestor_mask[node, n]]
    depths = step.tree.template.depths
    return [n for n in range(len(depths)) if n != node and depths[n] == depths[node]]


def _next_guesses(trace: RunTrace, step: StepTrace) -> str:
    """Words drafted right below the next step's root; empty if there are none."""
    following = next((s for s in trace.steps if s.index == step.index + 1), None)
    if following is None:
        return ""
    nodes = [
        n
        for n in range(1, len(following.tokens))
        if following.parents[n] == 0 and n not in following.unseen
    ]
    return ", ".join(word(trace, following.tokens[n]) for n in nodes)


def _tokens(step: StepTrace, fits: Callable[[RowChange], bool]) -> list[int]:
    return [row.token for row in step.rows if fits(row)]


def _best_line(step: StepTrace) -> list[int]:
    """First candidate of first candidate …: what a chain would have tried, within the tree."""
    line: list[int] = []
    node = 0
    while True:
        children = [
            n for n in range(1, len(step.tokens)) if step.parents[n] == node and step.ranks[n] == 0
        ]
        if not children:
            return line
        node = children[0]
        line.append(node)
