"""Fit the first weights of recycling_plus: the priors of ``recycling_plus/kernels/features.py``.

    python -m benchmarks.drafting.fit_features --data FOLDER

Runs on the tuning half of the prompts of ``ablation.py``, cold and hot, at 16 nodes, with the
bundled model and with copies of it that have noisy weights. Every candidate at a node of an
accepted path is a sample: its features, and whether the model chose it. A logistic regression,
drawn a little towards the present priors, gives weights rounded to 0.05. The candidates come from
drafts made with these priors, so a second run starts where the first ended, and moves them on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.drafting import ablation
from tr_core import load_target
from tr_core.drafters.base import Learned, Lesson
from tr_core.drafters.recycling_plus import RecyclingPlus
from tr_core.drafters.recycling_plus.kernels import features
from tr_core.models import catalog

GROUPS = {
    "_SOURCES": (0, features.RANK),
    "_RANKS": (features.RANK, features.NO_RANK),
    "_PROBABILITIES": (features.PROBABILITY, features.NO_PROBABILITY),
    "_OTHER_COPIES": (features.OTHER_COPY, features.THIS_COPY),
    "_THIS_COPIES, and by a shorter match": (features.THIS_COPY, features.SHORTER_COPY + 1),
    "_AGES": (features.AGE, features.NO_AGE),
    "_AGREEMENTS": (features.AGREEMENT, features.COUNT),
}


def samples(
    bench: ablation.Bench, nodes: int, *, hot: bool
) -> tuple[list[features.Features], list[bool]]:
    """Features of the candidates on accepted paths, and whether the model chose each."""
    listed, right = [], []

    class Recorder(RecyclingPlus):
        def learn(self, lesson: Lesson) -> Learned:
            learned = super().learn(lesson)
            for node in (0, *lesson.path):
                for token, _, values in self.candidates(node):
                    listed.append(values)
                    right.append(token == lesson.choices[node])
            return learned

    bench.mat(Recorder, nodes, hot=hot, static=False)
    return listed, right


def fit(listed: list[features.Features], right: list[bool], pull: float = 2.0) -> list[float]:
    """The weights of all features, (F,) log-odds."""
    indices, truth = torch.tensor(listed), torch.tensor(right, dtype=torch.float64)
    priors = torch.tensor(features.PRIORS, dtype=torch.float64)
    weights = priors.clone().requires_grad_()
    search = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        odds = weights[indices].sum(1)
        wrong = torch.nn.functional.binary_cross_entropy_with_logits(odds, truth, reduction="sum")
        total = wrong + pull / 2 * ((weights - priors) ** 2).sum()
        total.backward()
        return total

    search.step(loss)
    return weights.detach().tolist()


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
    weights = fit(listed, right)
    for name, (first, end) in GROUPS.items():
        print(name, tuple(round(20 * w) / 20 for w in weights[first:end]))


if __name__ == "__main__":
    main()
