"""The engine against Token Recycling written down once more, slowly: Python loops, a dict, and no
tree attention.

The reference scores each node by a forward pass of its own over prompt, output and the node's path,
without any cache. What it shares with the engine is the published tree and the rule for duplicates,
so trees, choices, paths and rows must be equal step by step, and with them the mean accepted
tokens.
"""

from __future__ import annotations

import pytest
import torch

from tests.support import tiny_models
from tr_core import Session, Settings
from tr_core.decoding.recording import record
from tr_core.trees import templates

K = 8


def reference_steps(model, prompt, limit):
    """(tree tokens, choices, path tokens, bonus, rows written) of each step."""
    parents, ranks = templates.paper().parents, templates.paper().ranks
    rows = {}

    def best(sequences):
        """Top k after each of several sequences of different lengths, each on its own."""
        return [model(torch.tensor([s])).logits[0, -1].topk(K).indices.tolist() for s in sequences]

    for end in range(1, len(prompt)):
        rows[prompt[end - 1]] = best([prompt[:end]])[0]
    text = list(prompt)
    while len(text) < len(prompt) + limit:
        tokens = [text[-1]]
        for node in range(1, len(parents)):
            row = rows.get(tokens[parents[node]]) if tokens[parents[node]] is not None else None
            tokens.append(row[ranks[node]] if row else None)
        ways = [()]
        for node in range(1, len(parents)):
            ways.append((*ways[parents[node]], node))
        known = [n for n in range(len(parents)) if tokens[n] is not None]
        scored = dict(
            zip(known, best([text + [tokens[n] for n in ways[n]] for n in known]), strict=True)
        )
        path, node = [], 0
        while True:
            following = [
                n for n in known if n and parents[n] == node and tokens[n] == scored[node][0]
            ]
            if not following:
                break
            node = following[0]
            path.append(tokens[node])
        written = {}
        for n in known:
            written[tokens[n]] = scored[n]
        rows |= written
        emitted = [*path, scored[node][0]][: len(prompt) + limit - len(text)]
        text += emitted
        yield tokens, {n: scored[n][0] for n in known}, emitted, written


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@torch.inference_mode()
def test_every_step_is_what_the_slow_reference_says(family):
    target = tiny_models.target(family)
    model = tiny_models.model(family)
    prompt = target.vocabulary.encode("the then a thesis that is theirs")
    trace = record(
        Session(target, Settings(tree="paper", max_new_tokens=30, ignore_eos=True)).start(prompt)
    )
    slow = list(reference_steps(model, prompt, 30))
    assert len(trace.steps) == len(slow)
    for step, (tokens, choices, emitted, written) in zip(trace.steps, slow, strict=True):
        seen = [t for n, t in enumerate(step.tokens) if n not in step.unseen]
        assert seen == [t for t in tokens if t is not None]
        assert {n: c for n, c in enumerate(step.choices) if n not in step.unseen} == choices
        assert list(step.emitted) == emitted
        assert {r.token: list(r.after) for r in step.rows} == written
