"""Does a tree pass equal plain passes on this model?

Asked once, at load, for families that are not on the tested list.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from tr_core.errors import UnsupportedModelError
from tr_core.target import Draft, Target
from tr_core.trees.tree import TreeTemplate

PROMPT_TOKENS = 24
# Greatest difference allowed between tree and plain logits, as a share of what ignoring the mask
# would change. On the tiny models of the tests right families stay below 1e-6 in float32, wrong
# ones reach 0.9 and more in every dtype; rounding alone moves half-precision logits of larger
# models by a few hundredths.
TOLERANCE = 0.01
TOLERANCE_HALF = 0.1

_TREE = ((3,), (2, 1, 0), (1, 1, 1), (1, 0, 0))


def probe(target: Target, model: PreTrainedModel) -> None:
    """Score two small trees, one after the other's path, and compare each node with the model.

    Raises:
        UnsupportedModelError: the logits differ, or the model does not run this way at all.
    """
    refusal = f"Models of the family “{target.family}” are unchecked, and this one"
    try:
        share = _wrong_share(target, model)
    except Exception as error:  # the code of an unknown model can fail in any way
        raise UnsupportedModelError(
            f"{refusal} fails on a tree ({type(error).__name__}): choose a model of another family."
        ) from error
    finally:
        target.reset()
    if not share <= (
        TOLERANCE if target.dtype == torch.float32 else TOLERANCE_HALF
    ):  # “not ≤” also catches NaN
        raise UnsupportedModelError(
            f"{refusal} gives other logits in a tree than in plain decoding: choose a model of"
            " another family."
        )


@torch.inference_mode()
def _wrong_share(target: Target, model: PreTrainedModel) -> float:
    """How wrong tree logits are, as a share of what ignoring the mask would change.

    The greatest difference between tree and plain logits ÷ the median difference without a mask.
    """

    def plain(ids: list[int]) -> torch.Tensor:
        tokens = torch.tensor([ids], device=target.device)
        return (
            model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False)
            .logits[0, -1]
            .float()
        )

    template = TreeTemplate.from_child_counts("probe", _TREE)
    rows: Any = model.get_input_embeddings().weight
    room = min(target.vocab_size, rows.shape[0])
    noise = torch.Generator().manual_seed(0)
    length = max(1, min(PROMPT_TOKENS, target.max_length - 2 * len(template.parents)))
    context = torch.randint(room, (length,), generator=noise).tolist()
    target.reset()
    target.prefill(context)
    errors, ignored = [], []
    for kept in ((0, 2, 6), (0,)):
        tokens = torch.randint(room, (len(template.parents),), generator=noise)
        seen = torch.ones(len(tokens), dtype=torch.bool, device=target.device)
        scored = target.score(Draft(template, tokens.to(target.device), seen))
        for node, row in enumerate(template.ancestor_mask):
            right = plain([*context, *(int(tokens[n]) for n in row.nonzero()[0])])
            errors.append((scored[node] - right).abs().max())
            if not row[: node + 1].all():
                ignored.append(
                    (plain([*context, *tokens[: node + 1].tolist()]) - right).abs().max()
                )
        target.keep(kept)
        context += [int(tokens[n]) for n in kept]
    return float(torch.stack(errors).max() / torch.stack(ignored).median())
