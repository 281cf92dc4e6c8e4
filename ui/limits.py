"""What one visitor may ask for, from the environment, so that a Space can set it without touching code."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tr_core.errors import SettingsError


@dataclass(frozen=True)
class Limits:
    """Bounds of the page and the API.

    Attributes:
        model: model that is loaded at start, ``TR_MODEL``.
        max_new_tokens: most new tokens a run may ask for, ``TR_MAX_NEW_TOKENS``.
        max_prompt_chars: longest prompt that is tokenized at all, ``TR_MAX_PROMPT_CHARS``.
        check_tokens: longest output that is compared with plain decoding by itself, ``TR_CHECK_TOKENS``.
        models_kept: models held in memory at once, ``TR_MODELS_KEPT``.
        local_paths: whether the page may name a folder of this machine as a model, ``TR_LOCAL_PATHS``;
            off on a Space, where a visitor is not the owner.
    """

    model: str = "pocket"
    max_new_tokens: int = 1024
    max_prompt_chars: int = 200_000
    check_tokens: int = 512
    models_kept: int = 2
    local_paths: bool = True

    @classmethod
    def from_environment(cls) -> Limits:
        """Read the variables; one that is not set keeps its default.

        Raises:
            SettingsError: a variable is no whole number.
        """
        return cls(
            model=os.environ.get("TR_MODEL", cls.model),
            max_new_tokens=_number("TR_MAX_NEW_TOKENS", cls.max_new_tokens),
            max_prompt_chars=_number("TR_MAX_PROMPT_CHARS", cls.max_prompt_chars),
            check_tokens=_number("TR_CHECK_TOKENS", cls.check_tokens),
            models_kept=_number("TR_MODELS_KEPT", cls.models_kept),
            local_paths=bool(_number("TR_LOCAL_PATHS", 0 if "SPACE_ID" in os.environ else 1)),
        )


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.strip().isdecimal():
        raise SettingsError(f"The environment variable {name} must be a whole number, got “{text}”.")
    return int(text)
