"""Which of two loaded models decodes faster here.

It is measured: neither a CPU's name nor its flags say.

A CPU may have bfloat16 instructions and yet be slower with them, on small layers or on few tokens
at a time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from tr_core.models.packed_weights import packed

# A token alone, and the tree that a CPU decodes with by default: a root and 16 nodes.
WIDTHS = (1, 17)
# The least gain for which one gives up the exactness of float32.
CLEARLY = 0.9
_ROUNDS, _SECONDS = 7, 2.0


def faster(exact: PreTrainedModel, other: PreTrainedModel) -> PreTrainedModel:
    """``other`` if its passes take at most 90 % of ``exact``'s time, else ``exact``."""
    own, others = pass_seconds([packed(exact), packed(other)])
    return other if sum(others) <= CLEARLY * sum(own) else exact


@torch.inference_mode()
def pass_seconds(models: Sequence[PreTrainedModel]) -> list[list[float]]:
    """Seconds of a pass of each model over each of ``WIDTHS`` tokens.

    The least of up to seven rounds within 2 s.

    The models take turns, so that what else the machine does hits them alike; the least time is the
    one least hit.
    """
    best = [[float("inf")] * len(WIDTHS) for _ in models]
    end = time.perf_counter() + _SECONDS
    for number in range(1 + _ROUNDS):
        if number > 2 and time.perf_counter() > end:
            break
        for times, model in zip(best, models, strict=True):
            for index, width in enumerate(WIDTHS):
                tokens = torch.zeros(1, width, dtype=torch.int64, device=model.device)
                began = time.perf_counter()
                model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False)
                if number:  # the first round pays for what the others reuse
                    times[index] = min(times[index], time.perf_counter() - began)
    return best
