"""Started by test_zero.py: decodes in forked workers, and prints what came of it as JSON.

A process of its own, with one thread for the arithmetic, since threads of torch do not survive a
fork.
"""

import json

from tests.support import tiny_models
from tests.support.forked import forked
from tr_core import Session, Settings
from tr_core.budget.cost_curve import CostCurve
from tr_core.decoding import resume as continuation
from tr_core.decoding.resume import Piece
from ui.runs.zerogpu import GpuCalls, seconds

COSTS = CostCurve((0, 16, 80), (1.0, 1.3, 3.0))


class OneModel:
    """The loaded models: one, placed when the module is loaded."""

    def __init__(self):
        self.target = tiny_models.target("llama")

    def there(self, name):
        return self.target


def main(settings: Settings, steps: int) -> dict:
    models = OneModel()
    calls = GpuCalls(models)
    prompt = models.target.vocabulary.encode("the then the other")
    # What steps cost is learned from clocks; two runs only agree where both weigh the same costs.
    whole = Session(models.target.fork(), settings, curve=COSTS).start(prompt)
    start = continuation.take(Session(models.target.fork(), settings, curve=COSTS).start(prompt))
    list(whole.run())

    text, ids, infos, numbers, calls_made = start.to_json(), [], 0, [], 0
    while True:
        assert seconds("tiny", text, steps) > 0
        pieces = [Piece.from_json(piece) for piece in forked(calls.pieces, "tiny", text, steps)]
        calls_made += 1
        infos += sum(piece.info is not None for piece in pieces)
        made = [piece.step for piece in pieces if piece.step is not None]
        assert len(made) <= steps
        numbers += [step.index for step in made]
        ids += [token for step in made for token in step.emitted]
        checkpoint = pieces[-1].checkpoint
        if checkpoint.stop_reason is not None:
            break
        text = checkpoint.to_json()
    plain = forked(calls.plain, "tiny", list(prompt), checkpoint.to_json())
    broken = forked(calls.pieces, "tiny", text[:100], steps)
    return {
        "same": ids == whole.output_ids,
        "numbered": numbers == list(range(1, whole.steps + 1)),
        "told": infos == calls_made,
        "plain": plain == [whole.output_ids],
        "untouched": models.target.length == 0,
        "broken": Piece.from_json(broken[0]).error,
    }


CASES = [("small-8", 0.0, 3), ("auto", 0.0, 4), ("small-8", 0.9, 5)]

if __name__ == "__main__":
    told = [
        main(
            Settings(tree=tree, temperature=temperature, max_new_tokens=30, ignore_eos=True), steps
        )
        for tree, temperature, steps in CASES
    ]
    print(json.dumps(told))
