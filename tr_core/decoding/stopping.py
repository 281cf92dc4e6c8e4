"""Where a run may begin, and where its output ends: exactly where plain decoding would stop."""

from __future__ import annotations

from collections.abc import Sequence

from tr_core.decoding.sampling import Rules
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
    """Ends an output at an end token, a stop string or a limit.

    Args:
        target: whose end tokens and length count.
        settings: stop strings and the limit.
        rules: end the output in place of all these.
    """

    def __init__(self, target: Target, settings: Settings, rules: Rules | None = None) -> None:
        self._target, self._settings, self._rules = target, settings, rules
        self._stopped_by_string = target.stopper(settings.stop) if settings.stop else None

    def extend(
        self, context: list[int], prompt_length: int, tokens: Sequence[int]
    ) -> tuple[list[int], str | None]:
        """Append ``tokens`` to ``context`` as far as plain decoding would have gone.

        Returns:
            The tokens appended, at least one, and why the output ends with the last or None.
        """
        emitted: list[int] = []
        reason = None
        for token in tokens:
            context.append(token)
            emitted.append(token)
            reason = self.reason(context, len(context) - prompt_length)
            if reason is not None:
                break
        return emitted, reason

    def reason(self, context: Sequence[int], new_tokens: int) -> str | None:
        """Why the output ends here, a key of ``STOP_REASONS``, or None to go on.

        Args:
            context: prompt and output.
            new_tokens: tokens of the output.
        """
        if self._rules is not None:
            return self._rules.stop(context[-1])
        if not self._settings.ignore_eos and context[-1] in self._target.eos_ids:
            return "eos"
        if self._stopped_by_string is not None and self._stopped_by_string(context):
            return "stop_string"
        if new_tokens >= self._settings.max_new_tokens:
            return "max_new_tokens"
        if len(context) >= self._target.max_length:
            return "model_length"
        return None
