"""Where a run may begin and where it ends: prompts that cannot be decoded, and plain decoding's
reasons to stop.
"""

from __future__ import annotations

from collections.abc import Sequence

from tr_core.errors import PromptError
from tr_core.settings import Settings
from tr_core.target import Target


def checked_prompt(target: Target, prompt_ids: Sequence[int]) -> list[int]:
    """The prompt as whole numbers.

    Raises:
        PromptError: it is empty, or leaves no room for a new token, or has ids outside the
            vocabulary.
    """
    prompt = [int(t) for t in prompt_ids]
    if not prompt:
        raise PromptError("The prompt is empty: type some text first.")
    if len(prompt) >= target.max_length:
        raise PromptError(
            f"The prompt has {len(prompt):,} tokens, but {target.name} takes {target.max_length:,}"
            " at most with at least one new token: shorten it by"
            f" {len(prompt) - target.max_length + 1:,}."
        )
    if not 0 <= min(prompt) <= max(prompt) < target.vocab_size:
        raise PromptError(
            f"The prompt has token ids outside the model's vocabulary of {target.vocab_size:,}."
        )
    return prompt


class StopRule:
    """Tells after each token whether plain decoding would have stopped there."""

    def __init__(self, target: Target, settings: Settings) -> None:
        self._target, self._settings = target, settings
        self._stopped_by_string = target.stopper(settings.stop) if settings.stop else None

    def reason(self, context: Sequence[int], new_tokens: int) -> str | None:
        """A key of ``STOP_REASONS``, or None to go on; ``context`` is prompt and output,
        ``new_tokens`` the latter.
        """
        if not self._settings.ignore_eos and context[-1] in self._target.eos_ids:
            return "eos"
        if self._stopped_by_string is not None and self._stopped_by_string(context):
            return "stop_string"
        if new_tokens >= self._settings.max_new_tokens:
            return "max_new_tokens"
        if len(context) >= self._target.max_length:
            return "model_length"
        return None
