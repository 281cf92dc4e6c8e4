"""What each part of recycling_plus gives: tokens per pass of drafters without one part or another,
at equal budgets.

    python -m benchmarks.drafting.ablation --data FOLDER --write docs   # all of docs/ablation.md
    python -m benchmarks.drafting.ablation --quick   # a glance, without any data

Prompts are of seven domains (see ``prompt_sets``). Every second one of a domain is for **tuning**:
the priors of ``recycling_plus/kernels/features.py`` were fitted on
these. All figures are of the others;
``--half tune`` shows the former.

Greedy, float32. **Cold**: a new drafter for each prompt. **Hot**: one drafter for all prompts of a
run, in an order drawn once (seed 3), from nothing; a prompt thus profits from those before it, and
the first from none. MAT is tokens emitted ÷ passes over all prompts; ± is half the width of the
middle 80 % of 200 bootstrap samples of the prompts.

The greedy output does not depend on the drafter, so what the model says after a text is remembered
and asked once: each case is the real drafter, fed what real passes gave. ``--check`` runs the first
prompts through real sessions too and compares the passes.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.drafting import ablation_page as ablation_text
from benchmarks.shared import report
from tr_core import Session, Settings, load_target
from tr_core.drafters import registry
from tr_core.drafters.base import Lesson
from tr_core.drafters.recycling_plus import RecyclingPlus
from tr_core.drafters.recycling_plus.kernels import features
from tr_core.models import catalog
from tr_core.models.hf_target import HFTarget
from tr_core.target import Draft
from tr_core.trees import templates
from tr_core.trees.tree import DraftTree, TreeTemplate

K = 8
BUDGETS = (4, 8, 16, 32, 80, 128)
ORDER_SEED = 3


def plus(**options) -> Callable:
    return lambda vocab_size, k, device: RecyclingPlus(vocab_size, k, device, **options)


def uncalibrated() -> tuple[float, ...]:
    """Weights that take chances as stored: a row's probability, and one half for a copy."""
    weights = [0.0] * features.COUNT
    edges = [0.001, *features.PROBABILITY_EDGES.tolist(), 0.998]
    for n, (low, high) in enumerate(itertools.pairwise(edges)):
        middle = (low * high) ** 0.5
        weights[features.PROBABILITY + n] = float(np.log(middle / (1 - middle)))
    for feature in range(features.THIS_COPY, features.SHORTER_COPY):
        weights[feature] = 2.0  # a token that rows and look-ups agree on gains
    weights[features.COPIED] = -2.0
    weights[features.FREQUENT] = 0.0  # its share of all positions, unchanged
    return tuple(weights)


# Name → how the drafter is made. “static” drafts with the published tree at 80 nodes, with
# ``grown`` shapes elsewhere.
CASES: dict[str, Callable] = {
    "static": registry.DRAFTERS["token_recycling"].create,
    "best-first, stored probabilities": registry.DRAFTERS["token_recycling_dynamic"].create,
    "calibrated, keys of 1": plus(keys=1, lookup=False, frequent=False),
    "calibrated, keys of 1 – 2": plus(keys=2, lookup=False, frequent=False),
    "calibrated, keys of 1 – 3": plus(keys=3, lookup=False, frequent=False),
    "calibrated, keys of 1, look-up": plus(keys=1, frequent=False),
    "calibrated, keys of 1 – 3, look-up": plus(frequent=False),
    "calibrated, keys of 1 – 3, usual tokens": plus(lookup=False),
    "all, stored probabilities": plus(priors=uncalibrated(), rate=0),
    "all, priors only": plus(rate=0),
    "recycling_plus": plus(),
}
SWEPT = ("static", "best-first, stored probabilities", "recycling_plus")
PAPER = ("static", 80)


def prompt_sets(data: Path | None) -> list[tuple[str, str]]:
    """(domain, prompt) of the presets and code of the standard library, and, with a folder of
    texts, five more.
    """
    draw, listed = random.Random(7), []
    if data is not None:
        stories = (data / "tinystories_lowercase.txt").read_text()
        for _ in range(16):
            start = stories.index(". ", draw.randrange(len(stories) - 2000)) + 2
            words = stories[start : start + 600].split(" ")
            listed.append(("story", " ".join(words[: draw.randint(15, 60)])))
        gsm8k = (data / "gsm8k_train.jsonl").read_text().splitlines()[-400:]
        for line in draw.sample(gsm8k, 16):
            listed.append(("maths", f"Question: {json.loads(line)['question']}\nAnswer:"))
        mbpp = (data / "mbpp_questions.jsonl").read_text().splitlines()
        listed += [("mbpp", json.loads(line)["turns"][0]) for line in draw.sample(mbpp, 12)]
    for name in ("calendar", "textwrap", "bisect", "heapq", "shlex", "sched", "queue", "fnmatch"):
        text = (Path(ast.__file__).parent / f"{name}.py").read_text()
        first = text.index("\ndef ") if "\ndef " in text else text.index("\nclass ")
        start = text.index("\n", draw.randrange(first, max(first + 1, len(text) - 900))) + 1
        listed.append(("python", text[start : start + draw.randint(150, 500)]))
    if data is not None:
        plays = (data / "tinyshakespeare.txt").read_text()
        for _ in range(4):
            start = plays.index("\n\n", draw.randrange(len(plays) - 2000)) + 2
            listed.append(("play", plays[start : start + draw.randint(100, 300)]))
        bench = (data / "spec_bench_sample.jsonl").read_text().splitlines()
        listed += [("spec-bench", json.loads(line)["turns"][0][:1200]) for line in bench]
    presets = json.loads((report.ROOT / "assets" / "presets.json").read_text())
    return listed + [("preset", p["prompt"]) for p in presets]


@dataclass
class Prompt:
    """One prompt, and all that the model was asked about it: text after the prompt → best tokens,
    their chances.
    """

    domain: str
    ids: list[int]
    prefill: tuple[np.ndarray, np.ndarray]
    said: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]]


class Bench:
    """Runs drafters on prompts with a model that is asked everything once."""

    def __init__(
        self, target, listed: list[tuple[str, str]], half: str, every: int, limit: int
    ) -> None:
        self.target, self.limit = target, limit
        self.prompts = []
        for name in dict.fromkeys(domain for domain, _ in listed):
            texts = [text for domain, text in listed if domain == name]
            for text in texts[half == "report" :: 2]:
                ids = target.vocabulary.encode(text)
                if len(ids) + limit + 2 < target.max_length:
                    self.prompts.append(Prompt(name, ids, self._prefill(ids), {}))
        self.prompts = self.prompts[::every]

    def passes(self, prompt: Prompt, drafter, template: TreeTemplate) -> tuple[int, int]:
        """Tokens emitted and passes taken with a started or used drafter."""
        entry, target = registry.entry(drafter.name), self.target.fork()
        text, passes, start = list(prompt.ids), 0, len(prompt.ids)
        drafter.begin()
        best, chances = prompt.prefill
        if entry.learns:
            drafter.learn_prompt(text, 0, best, chances)
        else:
            drafter.observe_prompt(torch.tensor(text[:-1]), torch.from_numpy(best).long())
        while True:
            draft = drafter.propose(text, template)
            tokens, parents = tuple(draft.tokens.tolist()), draft.template.parents
            best, chances = self._score(target, prompt, text, draft, tokens)
            choices = tuple(best[:, 0].tolist())
            unseen = frozenset(torch.nonzero(~draft.seen).flatten().tolist())
            verdict = DraftTree(draft.template, tokens, unseen).walk(choices)
            if entry.learns:
                drafter.learn(
                    Lesson(text, parents, tokens, choices, best, chances, verdict.path, False)
                )
            else:
                drafter.observe(draft, torch.from_numpy(best).long())
            passes += 1
            for token in (*(tokens[n] for n in verdict.path), verdict.bonus):
                text.append(token)
                if token in target.eos_ids or len(text) - start >= self.limit:
                    return len(text) - start, passes

    def mat(
        self, create: Callable, nodes: int, *, hot: bool, static: bool
    ) -> list[tuple[str, int, int]]:
        """(domain, tokens, passes) of each prompt."""
        template = templates.chain(nodes)
        if static:
            template = templates.paper() if nodes == PAPER[1] else templates.grown(nodes)
        order = list(range(len(self.prompts)))
        if hot:
            random.Random(ORDER_SEED).shuffle(order)
        drafter, lines = None, []
        for place in order:
            if drafter is None or not hot:
                drafter = create(self.target.vocab_size, K, self.target.device)
            prompt = self.prompts[place]
            lines.append((prompt.domain, *self.passes(prompt, drafter, template)))
        return lines

    def _prefill(self, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
        target, parts = self.target.fork(), []
        target.prefill(ids[:-1], lambda _, logits: parts.append(_best(logits)))
        if not parts:
            return np.zeros((0, K), np.int32), np.zeros((0, K), np.float32)
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    def _score(
        self, target, prompt: Prompt, text: list[int], draft: Draft, tokens: tuple[int, ...]
    ):
        """Best tokens and chances (N + 1, k) after each node: remembered, or by a pass over what is
        not.
        """
        parents, said = draft.template.parents, prompt.said
        after = [tuple(text[len(prompt.ids) :])]
        for node in range(1, len(tokens)):
            after.append((*after[parents[node]], tokens[node]))
        # Fillers of the static tree are scored too, as in a session; what they say is never used.
        wanted = {node for node in range(len(tokens)) if after[node] not in said}
        asked = sorted(_with_ancestors(wanted, parents))
        if asked:
            number = {node: place for place, node in enumerate(asked)}
            rank: dict[int, int] = {}
            shape, ranks = [-1], [-1]
            for node in asked[1:]:
                shape.append(number[parents[node]])
                ranks.append(rank.get(shape[-1], 0))
                rank[shape[-1]] = ranks[-1] + 1
            part = TreeTemplate("asked", tuple(shape), tuple(ranks))
            if target.length < len(text) - 1:
                target.prefill(text[target.length : -1])
            ids = torch.tensor([tokens[n] for n in asked])
            best, chances = _best(
                target.score(Draft(part, ids, torch.ones(len(asked), dtype=torch.bool)))
            )
            target.keep((0,))
            for place, node in enumerate(asked):
                said.setdefault(after[node], (best[place], chances[place]))
        lines = [said[way] for way in after]
        return np.stack([line[0] for line in lines]), np.stack([line[1] for line in lines])


def _with_ancestors(nodes: set[int], parents: tuple[int, ...]) -> set[int]:
    found: set[int] = set()
    for node in nodes:
        while node >= 0 and node not in found:
            found.add(node)
            node = parents[node]
    return found


def _best(logits: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    ids = logits.topk(K, dim=-1).indices
    return ids.to(torch.int32).numpy(), logits.softmax(-1).gather(-1, ids).numpy()


def ratio(lines: list[tuple[str, int, int]]) -> float:
    return sum(t for _, t, _ in lines) / sum(p for _, _, p in lines)


def spread(lines: list[tuple[str, int, int]], samples: int = 200) -> float:
    """Half the width of the middle 80 % of bootstrap samples over prompts."""
    draw = random.Random(1)
    found = sorted(ratio(draw.choices(lines, k=len(lines))) for _ in range(samples))
    return (found[samples * 9 // 10] - found[samples // 10]) / 2


def cases(budgets: set[int]) -> Iterator[tuple[str, int]]:
    """(name, budget): all at 16 and 80 nodes, some at all budgets."""
    for name in CASES:
        for nodes in sorted(budgets | {16, 80}):
            if nodes in (16, 80) or name in SWEPT:
                yield name, nodes


def perturbed(target: HFTarget, share: float, seed: int) -> HFTarget:
    """Another model out of the same one: each weight moved by noise of this share of its tensor's
    deviation.
    """
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in target._loaded.model.parameters():
            if weight.ndim > 1:
                weight += share * weight.std() * torch.randn(weight.shape, generator=noise)
    return target.moved(target.device)  # its packed weights are copies


def check(bench: Bench) -> None:
    """Real sessions take the passes that are counted here."""
    for name in ("token_recycling", "token_recycling_dynamic", "recycling_plus"):
        for prompt in bench.prompts[:2]:
            settings = Settings(drafter=name, tree="16", k=K, max_new_tokens=bench.limit)
            session = Session(bench.target.fork(), settings).start(prompt.ids)
            steps = sum(1 for _ in session.run())
            drafter = registry.create(name, bench.target.vocab_size, K, bench.target.device)
            template = templates.grown(16) if name == "token_recycling" else templates.chain(16)
            counted = bench.passes(prompt, drafter, template)
            if counted != (len(session.output_ids), steps):
                raise SystemExit(
                    f"{name}: counted {counted}, a session took {len(session.output_ids), steps}"
                )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pocket")
    parser.add_argument(
        "--noise", type=float, default=0.0, help="perturb the weights: another model"
    )
    parser.add_argument("--noise-seed", type=int, default=5)
    parser.add_argument("--data", type=Path, help="folder of texts")
    parser.add_argument("--half", default="report", choices=("report", "tune"))
    parser.add_argument("--max-new-tokens", type=int, default=96)
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="of these prompts only each Nth"
    )
    parser.add_argument(
        "--budgets",
        default=",".join(map(str, BUDGETS)),
        help="nodes; 16 and 80 are always measured",
    )
    parser.add_argument("--starts", default="cold,hot", help="cold, hot or both")
    parser.add_argument(
        "--quick", action="store_true", help="48 tokens, budgets 16 and 80, every second prompt"
    )
    parser.add_argument("--check", action="store_true", help="compare with real sessions first")
    parser.add_argument(
        "--write", type=Path, help="write ablation.md and ablation.svg into this folder"
    )
    args = parser.parse_args()
    target = load_target(catalog.source(args.model), dtype="float32", device="cpu")
    if args.noise:
        target = perturbed(target, args.noise, args.noise_seed)
    if args.quick:
        args.max_new_tokens, args.every, args.budgets = 48, 2 * args.every, "16,80"
    limit, budgets = args.max_new_tokens, {int(n) for n in args.budgets.split(",")}
    bench = Bench(target, prompt_sets(args.data), args.half, args.every, limit)
    if args.check:
        check(bench)
    rows, domains = [], sorted({p.domain for p in bench.prompts})
    for hot in (start == "hot" for start in args.starts.split(",")):
        for name, nodes in cases(budgets):
            lines = bench.mat(CASES[name], nodes, hot=hot, static=name == "static")
            row = {
                "start": "hot" if hot else "cold",
                "draft": name,
                "nodes": nodes,
                "MAT": round(ratio(lines), 3),
            }
            row["±"] = round(spread(lines), 3)
            row |= {d: round(ratio([line for line in lines if line[0] == d]), 3) for d in domains}
            rows.append(row)
            print(
                f"{row['start']} {nodes:>4} {name}: {row['MAT']:.2f}", file=sys.stderr, flush=True
            )
    for row in rows:
        paper = next(
            r for r in rows if (r["draft"], r["nodes"]) == PAPER and r["start"] == row["start"]
        )
        row["÷ paper"] = round(row["MAT"] / paper["MAT"], 3)
    model = (
        f"{args.model}, weights perturbed by {args.noise:g} (seed {args.noise_seed})"
        if args.noise
        else args.model
    )
    title = (
        f"{model}, {len(bench.prompts)} prompts ({args.half} half) of {limit} tokens, greedy,"
        " float32"
    )
    if args.write:
        ablation_text.write(args.write, title, rows, domains, SWEPT)
    report.show(title, rows)


if __name__ == "__main__":
    main()
