"""The independent referee: plain decoding by transformers' own ``generate``, with none of our code in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tr_core.hf_target import HFTarget
from tr_core.settings import Settings


def plain_ids(
    target: HFTarget, prompt_ids: Sequence[int], settings: Settings, *, between: Callable[[], bool] | None = None
) -> list[int] | None:
    """New token ids of ``model.generate`` under the same settings.

    ``between`` is called after each token; once it is true, decoding ends and the result is None.

    The model's maximum length is given as a limit of new tokens, since ``generate`` itself runs past it.
    """
    return target.generate_plain(
        list(prompt_ids),
        max_new_tokens=min(settings.max_new_tokens, target.max_length - len(prompt_ids)),
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        seed=settings.seed,
        stop=settings.stop,
        eos_ids=() if settings.ignore_eos else sorted(target.eos_ids),
        between=between,
    )
