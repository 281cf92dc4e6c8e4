"""Plain decoding by transformers' own ``generate``: the referee of losslessness.

None of our decoding code runs here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from tr_core.settings import Settings


def plain_ids(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    prompt_ids: Sequence[int],
    settings: Settings,
    *,
    max_new_tokens: int,
    eos_ids: Iterable[int],
    cancelled: Callable[[], bool] | None = None,
) -> list[int] | None:
    """New token ids of ``generate`` with its own cache and masks, or None if cancelled.

    Plain decoding: other settings of the model's generation_config, such as a repetition penalty,
    are off. The state of torch's random generators is restored afterwards.

    Args:
        model, tokenizer: of transformers; stop strings need the tokenizer.
        prompt_ids: the prompt's token ids.
        settings: those of sampling, the seed and the stop strings are read.
        max_new_tokens: tokens to write at most; ``generate`` itself runs past the model's length.
        eos_ids: ids that end the output.
        cancelled: called after each token; decoding ends once it returns true.
    """
    config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        eos_token_id=sorted(eos_ids) or None,
        pad_token_id=0,
        do_sample=bool(settings.sampling),
        **settings.sampling,
    )
    ids = torch.tensor([list(prompt_ids)], dtype=torch.int64, device=model.device)
    cancellation = _Cancellation(cancelled)
    stop = {"stop_strings": list(settings.stop), "tokenizer": tokenizer} if settings.stop else {}
    forked: dict[str, Any] = {"devices": []}
    if model.device.type != "cpu":
        forked = {"devices": [model.device], "device_type": model.device.type}
    with torch.random.fork_rng(**forked), torch.inference_mode():
        torch.manual_seed(settings.seed)
        generate: Any = model.generate  # whose decorated type is not callable for mypy
        output = generate(
            ids,
            generation_config=config,
            attention_mask=torch.ones_like(ids),
            stopping_criteria=StoppingCriteriaList([cancellation]),
            **stop,
        )
    return None if cancellation.done else output[0, len(prompt_ids) :].tolist()


class _Cancellation(StoppingCriteria):
    """Ends ``generate`` once ``cancelled`` returns true."""

    def __init__(self, cancelled: Callable[[], bool] | None) -> None:
        self.done = False
        self._cancelled = cancelled

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        self.done = self.done or bool(self._cancelled and self._cancelled())
        return torch.full((len(input_ids),), self.done, dtype=torch.bool, device=input_ids.device)
