"""Fit what each mark of a candidate of recycling_plus is worth at first: the priors of
``drafters/plus/marks.py``.

    python -m benchmarks.drafting.fit_features --data FOLDER

Runs on the tuning half of the prompts of ``ablation.py``, cold and hot, at 16 nodes, with the
bundled model and with others made of it by noise on the weights. Every candidate that was known at
a node of an accepted path is a sample: its marks, and whether it was the model's choice. Logistic
regression, drawn a little towards the priors in use, rounded to 0.05. Candidates come from drafts
made by these priors, so a second run begins where the first ended and moves them on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.drafting import ablation
from tr_core import load_target
from tr_core.drafters.base import Learned, Lesson
from tr_core.drafters.recycling_plus import RecyclingPlus
from tr_core.drafters.recycling_plus.kernels import features as m
from tr_core.models import catalog

GROUPS = {
    "_KINDS": (0, m.RANK),
    "_RANKS": (m.RANK, m.NO_RANK),
    "_CHANCES": (m.CHANCE, m.NO_CHANCE),
    "_OTHER": (m.OTHER, m.THIS),
    "_THIS, and by a shorter match": (m.THIS, m.SHORTER + 1),
    "_AGES": (m.AGED, m.NO_AGE),
    "_AGREE": (m.AGREE, len(m.PRIORS)),
}


def samples(
    bench: ablation.Bench, nodes: int, *, hot: bool
) -> tuple[list[tuple[int, ...]], list[bool]]:
    """Marks of the candidates known on accepted paths, and whether each was the model's choice."""
    listed, right = [], []

    class Noting(RecyclingPlus):
        def learn(self, lesson: Lesson) -> Learned:
            learned = super().learn(lesson)
            for node in (0, *lesson.path):
                for token, _, marks in self.candidates(node):
                    listed.append(marks)
                    right.append(token == lesson.choices[node])
            return learned

    bench.mat(Noting, nodes, hot=hot, static=False)
    return listed, right


def fit(listed: list[tuple[int, ...]], right: list[bool], pull: float = 2.0) -> list[float]:
    """Log-odds of all marks."""
    marks, truth = torch.tensor(listed), torch.tensor(right, dtype=torch.float64)
    start = torch.tensor(m.PRIORS, dtype=torch.float64)
    worth = start.clone().requires_grad_()
    search = torch.optim.LBFGS([worth], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        odds = worth[marks].sum(1)
        wrong = torch.nn.functional.binary_cross_entropy_with_logits(odds, truth, reduction="sum")
        total = wrong + pull / 2 * ((worth - start) ** 2).sum()
        total.backward()
        return total

    search.step(loss)
    return worth.detach().tolist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--data", type=Path, help="folder of texts")
    parser.add_argument("--noise", type=float, default=0.1)
    parser.add_argument("--seeds", default="5,6", help="of the noise: a model each")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="of the prompts only each Nth"
    )
    parser.add_argument("--max-new-tokens", type=int, default=96)
    args = parser.parse_args()
    listed, right = [], []
    for seed in (None, *args.seeds.split(",")):
        target = load_target(catalog.source(args.model), dtype="float32", device="cpu")
        if seed is not None:
            target = ablation.perturbed(target, args.noise, int(seed))
        bench = ablation.Bench(
            target, ablation.prompt_sets(args.data), "tune", args.every, args.max_new_tokens
        )
        for hot in (False, True):
            more, truth = samples(bench, 16, hot=hot)
            listed += more
            right += truth
    print(f"{len(listed)} candidates, {sum(right)} of them right")
    worth = fit(listed, right)
    for name, (first, behind) in GROUPS.items():
        print(name, tuple(round(20 * w) / 20 for w in worth[first:behind]))


if __name__ == "__main__":
    main()
