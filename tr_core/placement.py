"""Where a model's parts are, if they are not all in one place."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel


def entry_device(model: PreTrainedModel) -> torch.device:
    """Where token ids must be for a pass to begin.

    accelerate splits models by hooks: weights that it keeps elsewhere until they are needed are on no device now.
    """
    embeddings = model.get_input_embeddings()
    for module in (embeddings, model):
        place = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
        if place is not None:
            return torch.device(place)
    return embeddings.weight.device
