"""Runs written out step by step, for the tests of the diagnosis. No torch here. Token 0 is “a”, 1
is “b”, …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from tr_core.trace import SCHEMA, RowChange, RunInfo, RunTrace, StepTrace, Timing
from tr_core.trees.tree import DraftTree, TreeTemplate

A, B, C, D, E, F = range(6)
LETTERS = {i: chr(ord("a") + i) for i in range(10)}

Row = tuple[int, ...]


def step(
    nodes: Sequence[tuple[int, int, int]],
    choices: Sequence[int],
    rows: Mapping[int, tuple[Row, Row]] | None = None,
    *,
    root: int,
    unseen: Sequence[int] = (),
    emitted: int | None = None,
    stop: str | None = None,
) -> StepTrace:
    """One step.

    Args:
        nodes: (N,) of (parent, rank, token), breadth-first, the root left out.
        choices: (N + 1,) the model's pick after each node, the root's first.
        rows: token → its row before and after; the first node of the token is told to have written
            it.
        root: its token.
        unseen: nodes that hold a filler.
        emitted: tokens kept before the run stopped; all by default.
        stop: why it stopped.
    """
    template = TreeTemplate(
        "hand", (-1, *(p for p, _, _ in nodes)), (-1, *(r for _, r, _ in nodes))
    )
    tokens = (root, *(t for _, _, t in nodes))
    verdict = DraftTree(template, tokens, frozenset(unseen)).walk(choices)
    said = (*(tokens[n] for n in verdict.path), verdict.bonus)
    kept = said[:emitted]
    path = verdict.path[: len(kept)]
    changes = [RowChange(token, tokens.index(token), *both) for token, both in (rows or {}).items()]
    return StepTrace(
        index=0,
        committed=0,
        tokens=tokens,
        parents=template.parents,
        ranks=template.ranks,
        unseen=tuple(unseen),
        choices=tuple(choices),
        candidates=tuple((c, 9) for c in choices),
        probabilities=tuple((0.75, 0.125) for _ in choices),
        path=path,
        bonus=verdict.bonus if len(kept) > len(path) else None,
        emitted=kept,
        stop=stop,
        rows=tuple(changes),
        timing=Timing(1.0, 10.0, 2.0, 3.0),
        cached=0,
    )


def run(
    prompt: Sequence[int], *steps: StepTrace, drafter: str = "token_recycling", k: int = 3
) -> RunTrace:
    """A run of these steps; what depends on their order is filled in here."""
    numbered, committed = [], len(prompt)
    for index, one in enumerate(steps, start=1):
        numbered.append(
            replace(one, index=index, committed=committed, cached=committed + len(one.emitted) - 1)
        )
        committed += len(one.emitted)
    info = RunInfo(
        model="hand",
        family="toy",
        tokenizer="0" * 16,
        vocab_size=10,
        drafter=drafter,
        tree="hand",
        nodes=len(steps[0].tokens) - 1 if steps else 0,
        k=k,
        settings={},
        dtype="float32",
        device="cpu",
        attention="none",
        versions={},
        prompt_ids=tuple(prompt),
        prefill_ms=1.0,
        rows_seen=0,
    )
    text = "".join(LETTERS[t] for s in steps for t in s.emitted)
    trace = RunTrace(
        SCHEMA, info, tuple(numbered), LETTERS, {}, text, steps[-1].stop if steps else None
    )
    # What the reader refuses is no trace.
    return RunTrace.from_json(trace.to_json())


def telling_run() -> RunTrace:
    """Five steps that end for five reasons, on rows of two places: “ba” is asked, “bcacacab”
    written.

    1  a ─┬─ b ── d   b, then c: at rank 1 of b's row, the tree has rank 0. The row of a loses c.
          └─ c
    2  c              its row was never seen; the model writes a
    3  a ─┬─ b        the model writes c, which step 1 took out of the row
          └─ d
    4  c ─┬─ a ── c   both accepted, down to the last level; the bonus is a
          └─ b
    5  a ─┬─ c ── b   b is accepted, and the run stops
          └─ b
    """
    return run(
        [B, A],
        step(
            [(0, 0, B), (0, 1, C), (1, 0, D)],
            [B, C, A, A],
            {A: ((B, C), (B, D)), B: ((D, C), (C, D)), D: ((), (A, B))},
            root=A,
        ),
        step(
            [(0, 0, A), (0, 1, A), (1, 0, A)],
            [A, A, A, A],
            {C: ((), (A, B))},
            root=C,
            unseen=[1, 2, 3],
        ),
        step([(0, 0, B), (0, 1, D), (1, 0, C)], [C, C, A, A], {A: ((B, D), (C, B))}, root=A),
        step(
            [(0, 0, A), (0, 1, B), (1, 0, C)],
            [A, C, A, A],
            {A: ((C, B), (C, B)), C: ((A, B), (A, D))},
            root=C,
        ),
        step(
            [(0, 0, C), (0, 1, B), (1, 0, B)],
            [B, A, E, A],
            {A: ((C, B), (B, C))},
            root=A,
            emitted=1,
            stop="eos",
        ),
        k=2,
    )
