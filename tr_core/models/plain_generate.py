"""The independent referee: plain decoding by transformers' own ``generate``, with none of our code
in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from tr_core.settings import Settings

if TYPE_CHECKING:
    from tr_core.models.hf_target import HFTarget


def plain_ids(
    target: HFTarget,
    prompt_ids: Sequence[int],
    settings: Settings,
    *,
    between: Callable[[], bool] | None = None,
) -> list[int] | None:
    """New token ids of ``model.generate`` under the same settings.

    ``between`` is called after each token; once it is true, decoding ends and the result is None.

    The model's maximum length is given as a limit of new tokens, since ``generate`` itself runs
    past it.
    """
    return target.generate_plain(
        list(prompt_ids),
        max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        seed=settings.seed,
        stop=settings.stop,
        eos_ids=() if settings.ignore_eos else sorted(target.eos_ids),
        between=between,
    )


def generate_plain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    prompt_ids: Sequence[int],
    *,
    max_new_tokens: int,
    eos_ids: Iterable[int],
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    stop: Sequence[str] = (),
    between: Callable[[], bool] | None = None,
) -> list[int] | None:
    """New tokens by ``generate``, with its own cache and masks.

    Plain decoding: whatever else the model's generation_config asks for, such as a repetition
    penalty, is off.

    Args:
        model, tokenizer: of transformers.
        prompt_ids: the prompt's token ids.
        max_new_tokens: tokens to write at most.
        eos_ids: ids that end the output.
        temperature: 0 is greedy. top_p: 1 is off. top_k: 0 is off.
        seed: of torch's generators, which are put back afterwards.
        stop: strings that end the output.
        between: called after each token; once it is true, decoding ends and the result is None.
    """
    options: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        options = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": top_k}
    config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        eos_token_id=sorted(eos_ids) or None,
        pad_token_id=0,
        **options,
    )
    ids = torch.tensor([list(prompt_ids)], dtype=torch.int64, device=model.device)
    ended = _Between(between)
    words = {"stop_strings": list(stop), "tokenizer": tokenizer} if stop else {}
    state: dict[str, Any] = {"devices": []}
    if model.device.type != "cpu":
        state = {"devices": [model.device], "device_type": model.device.type}
    with torch.random.fork_rng(**state), torch.inference_mode():
        torch.manual_seed(seed)
        output = model.generate(
            ids,
            generation_config=config,
            attention_mask=torch.ones_like(ids),
            stopping_criteria=StoppingCriteriaList([ended]),
            **words,
        )
    return None if ended.said else output[0, len(prompt_ids) :].tolist()


class _Between(StoppingCriteria):
    """Asks after each token whether to end, if there is somebody to ask."""

    def __init__(self, ask: Callable[[], bool] | None) -> None:
        self.said = False
        self._ask = ask

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        self.said = self.said or bool(self._ask and self._ask())
        return torch.full((len(input_ids),), self.said, dtype=torch.bool, device=input_ids.device)
