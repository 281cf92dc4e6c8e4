"""Runs made by hand and by a toy model, for the tests of everything that reads traces. No torch
here.

``toy_run`` plays Token Recycling for real, in plain Python, on a model whose next token depends on
the last two: so drafts, verdicts, rows and stops fit each other as they do in a run of the engine,
and every call gives the same run.
"""

from __future__ import annotations

import random

from tr_core.trace import SCHEMA, RowChange, RunInfo, RunTrace, StepTrace, Timing
from tr_core.trees.templates import paper
from tr_core.trees.tree import DraftTree, TreeTemplate

WORDS = (
    " the", " a", ".", "\n", " fox", " river", " saw", " and", "ing", "s", " was", " Mia", " ran",
    " to", " old", " <<", "36", "+", "=", ">>", " pencils", " boxes", "The", ",", " one", " day",
    " she", " very", " in", " of", " little", " bird", "ed", " happy", " it", " said", ' "', "!",
    " her", " big", " tree", " under", " for", " my", " friend", "?", "\n\n", "12", "9", "*",
)  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    '<img src=x onerror="window.pwned=1">',
    "{{value}}",
    "${x}",
    "${alert(1)}",
    "</div>",
    "&lt;b&gt;",
    "\u202eesrever",
    " שלום",
    " مرحبا",
    "\t",
    "        ",
    "\r\n",
    "\u200b",
    "\x00",
    "日本語の長い単語です",
    " antidisestablishmentarianism",
    "",
    "👩\u200d🚀",
    "\u0301",
    "·",
    "\xa0",
    "__proto__",
)
FILLERS = tuple(
    f" {a}{b}{c}"
    for a in "bdklmnprst"
    for b in ("a", "o", "ei", "u")
    for c in ("n", "r", "sh", "lly")
)
PARROT = ("f0", "9f", "a6", "9c")  # 🦜, in four tokens that are no text of their own
PIECES: dict[int, str] = dict(
    enumerate([*WORDS, *HOSTILE, *FILLERS, *(f"<0x{b.upper()}>" for b in PARROT)])
)
PARTIAL_BYTES = {len(PIECES) - len(PARROT) + i: b for i, b in enumerate(PARROT)}
VOCAB = len(PIECES)


class ToyModel:
    """Ranks next tokens by the last two and their position; the last one settles most, so that
    recycling pays.
    """

    def __init__(self, seed: int, surprise: float) -> None:
        self._seed, self._surprise = seed, surprise

    def best(
        self, position: int, before: int, last: int, k: int
    ) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """(k,) best next tokens after ``before, last``, the latter at ``position``, and their
        probabilities.
        """
        bird = sorted(PARTIAL_BYTES)
        habits = random.Random(f"{self._seed} {last}")
        # Half common words, half anything: so that rows are met again soon, as in text.
        common = len(WORDS) + len(HOSTILE)
        usual = habits.sample(range(common), 8) + habits.sample(
            range(common, VOCAB - len(PARROT)), max(k - 4, 4)
        )
        if habits.random() < 0.08:
            usual[0] = bird[0]
        if last in bird[:-1]:
            usual[0] = last + 1
        mood = random.Random(f"{self._seed} {position} {before} {last}")
        score = {t: -float(i) + mood.gauss(0, self._surprise) for i, t in enumerate(usual)}
        if last in bird[:-1]:
            score[last + 1] = 99.0
        top = sorted(score, key=lambda t: -score[t])[:k]
        weights = [2.0 ** min(score[t], 3) for t in top]
        return tuple(top), tuple(w / (sum(weights) * 1.05) for w in weights)


def toy_run(
    steps: int = 12,
    *,
    template: TreeTemplate | None = None,
    k: int = 8,
    seed: int = 0,
    surprise: float = 2.2,
    stop_reason: str | None = None,
    cut: int = 0,
    prompt_length: int = 20,
    reference_identical: bool | None = None,
) -> RunTrace:
    """A run of ``steps`` steps; the matrix holds the rows of the prompt.

    Args:
        steps: number of steps.
        template: shape of the drafts; the published tree if left out.
        k: candidates in a row.
        seed, surprise: of the model; more surprise, shorter paths.
        stop_reason: why the last step ended the run; None if it was interrupted.
        cut: tokens that the last step loses to its stop.
        prompt_length: tokens of the prompt.
        reference_identical: handed through.
    """
    template = template or paper()
    model = ToyModel(seed, surprise)
    rng = random.Random(seed)
    words = [i for i, piece in PIECES.items() if piece in WORDS]
    context = [rng.choice(words) for _ in range(prompt_length)]
    info = run_info(template, k, tuple(context))
    rows = {t: model.best(i, context[i - 1], t, k)[0] for i, t in enumerate(context)}
    done = []
    for index in range(1, steps + 1):
        last = index == steps
        step, rows = _step(
            index,
            context,
            rows,
            template,
            model,
            k,
            cut if last else 0,
            stop_reason if last else None,
        )
        context.extend(step.emitted)
        done.append(step)
    output = [t for s in done for t in s.emitted]
    return RunTrace(
        schema=SCHEMA,
        info=info,
        steps=tuple(done),
        pieces=PIECES,
        partial_bytes=PARTIAL_BYTES,
        text="".join(PIECES[t] for t in output),
        stop_reason=stop_reason,
        reference_identical=reference_identical,
    )


def run_info(template: TreeTemplate, k: int, prompt: tuple[int, ...]) -> RunInfo:
    return RunInfo(
        model="toy-bigram",
        family="toy",
        tokenizer="0" * 16,
        vocab_size=VOCAB,
        drafter="token_recycling",
        tree=template.name,
        nodes=template.nodes,
        k=k,
        settings={"temperature": 0.0, "max_new_tokens": 128},
        dtype="float32",
        device="cpu",
        attention="sdpa",
        versions={},
        prompt_ids=prompt,
        prefill_ms=12.5,
        rows_seen=len(set(prompt)),
    )


def _step(
    index: int,
    context: list[int],
    rows: dict[int, tuple[int, ...]],
    template: TreeTemplate,
    model: ToyModel,
    k: int,
    cut: int,
    stop: str | None,
) -> tuple[StepTrace, dict[int, tuple[int, ...]]]:
    tokens, unseen, scored = [context[-1]], set(), []
    for node in range(len(template.parents)):
        parent = template.parents[node]
        if node:
            row = rows.get(tokens[parent], ())
            if parent in unseen or len(row) <= template.ranks[node]:
                unseen.add(node)
                tokens.append(0)
            else:
                tokens.append(row[template.ranks[node]])
        before = tokens[parent] if node else context[-2]
        scored.append(model.best(len(context) - 1 + template.depths[node], before, tokens[node], k))
    choices = tuple(best[0] for best, _ in scored)
    below = DraftTree(template, tuple(tokens), frozenset(unseen)).children
    path, node = [], 0
    while (node, choices[node]) in below:
        node = below[node, choices[node]]
        path.append(node)
    bonus: int | None = choices[node]
    if cut:
        path, bonus = path[: max(len(path) + 1 - cut, 0)], None
    emitted = tuple(tokens[n] for n in path) + (() if bonus is None else (bonus,))
    after = dict(rows)
    changes: dict[int, RowChange] = {}
    for n, (best, _) in enumerate(scored):
        if n not in unseen and tokens[n] not in changes:
            changes[tokens[n]] = RowChange(tokens[n], n, rows.get(tokens[n], ()), best)
            after[tokens[n]] = best
    step = StepTrace(
        index=index,
        committed=len(context),
        tokens=tuple(tokens),
        parents=template.parents,
        ranks=template.ranks,
        unseen=tuple(sorted(unseen)),
        choices=choices,
        candidates=tuple(best for best, _ in scored),
        probabilities=tuple(p for _, p in scored),
        path=tuple(path),
        bonus=bonus,
        emitted=emitted,
        stop=stop,
        rows=tuple(changes.values()),
        timing=Timing(0.8, 14.0 + index % 3, 0.3, 0.5),
        cached=len(context) - 1 + len(emitted),
    )
    return step, after


def tiny_run() -> RunTrace:
    """One step, written out: one node is accepted, one is a right guess under a wrong parent, one
    was never seen.

    ::

        0 the ─┬─ 1 fox ─── 3 ran ─── 5 (unseen)      the model goes on: the → fox → saw (the bonus)
               └─ 2 <b> ─── 4 ran
    """
    step = StepTrace(
        index=1,
        committed=2,
        tokens=(1, 2, 3, 4, 4, 0),
        parents=(-1, 0, 0, 1, 2, 3),
        ranks=(-1, 0, 1, 0, 0, 0),
        unseen=(5,),
        choices=(2, 5, 4, 1, 1, 1),
        candidates=((2, 3), (5, 4), (4, 1), (1, 2), (1, 2), (1, 2)),
        probabilities=((0.75, 0.125), (0.5, 0.25), (0.9, 0.05), (0.6, 0.2), (0.6, 0.2), (0.5, 0.5)),
        path=(1,),
        bonus=5,
        emitted=(2, 5),
        stop=None,
        rows=(
            RowChange(1, 0, (2, 3), (2, 3)),
            RowChange(2, 1, (4, 1), (5, 4)),
            RowChange(3, 2, (4, 0), (4, 1)),
            RowChange(4, 3, (), (1, 2)),
        ),
        timing=Timing(1.0, 20.0, 0.5, 0.25),
        cached=3,
    )
    template = TreeTemplate("tiny", step.parents, step.ranks)
    pieces = {0: "<unk>", 1: " the", 2: " fox", 3: "<b>", 4: " ran", 5: " saw"}
    return RunTrace(
        SCHEMA, run_info(template, 2, (0, 1)), (step,), pieces, {}, " fox saw", None, True
    )
