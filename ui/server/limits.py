"""Limits on a visitor's requests, from the environment: a Space sets them without touching code."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tr_core.errors import SettingsError

_MOST = 10**9


@dataclass(frozen=True)
class Limits:
    """Bounds of the page and the API; each field is set by the environment variable beside it.

    Attributes:
        model: model that is loaded at start, ``TR_MODEL``.
        max_new_tokens: most new tokens a run may ask for, ``TR_MAX_NEW_TOKENS``.
        max_prompt_chars: longest prompt that is tokenized at all, ``TR_MAX_PROMPT_CHARS``.
        max_prompt_tokens: longest prompt that is decoded, ``TR_MAX_PROMPT_TOKENS``; the model's
            length also counts.
        max_runs: runs under way at once, ``TR_MAX_RUNS``; more are refused.
        max_upload_mb: size of a file that is taken, in 10⁶ bytes, ``TR_MAX_UPLOAD_MB``.
        turn_steps: steps of a run before those that wait have their turn, ``TR_TURN_STEPS``.
        runs_awake: runs whose keys and values stay in memory between two clicks, ``TR_RUNS_AWAKE``;
            others are read again when they go on.
        check_tokens: longest output that is compared with plain decoding by itself,
            ``TR_CHECK_TOKENS``.
        models_kept: models held in memory at once, ``TR_MODELS_KEPT``.
        local_paths: whether the page may name a folder of this machine as a model,
            ``TR_LOCAL_PATHS``; off on a Space, where a visitor is not the owner.
        metrics: whether ``/metrics`` is served, ``TR_METRICS``.
        log_prompts: whether the log holds prompts, ``TR_LOG_PROMPTS``.
    """

    model: str = "pocket"
    max_new_tokens: int = 1024
    max_prompt_chars: int = 200_000
    max_prompt_tokens: int = 32_768
    max_runs: int = 64
    max_upload_mb: int = 200
    turn_steps: int = 4
    runs_awake: int = 16
    check_tokens: int = 512
    models_kept: int = 2
    local_paths: bool = True
    metrics: bool = False
    log_prompts: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Limits:
        """Read the variables; one that is not set keeps its default.

        Raises:
            SettingsError: a variable is no whole number, or out of range.
        """
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            name = f"TR_{field.name.upper()}"
            if name not in environment:
                continue
            if isinstance(field.default, str):
                values[field.name] = environment[name]
            elif isinstance(field.default, bool):
                values[field.name] = bool(_number(name, environment[name], 0, 1))
            else:
                least = 0 if field.name in ("check_tokens", "runs_awake") else 1
                values[field.name] = _number(name, environment[name], least, _MOST)
        if "SPACE_ID" in environment:
            values.setdefault("local_paths", False)
        return cls(**values)


def _number(name: str, text: str, least: int, most: int) -> int:
    number = (
        int(text) if text.strip().isascii() and text.strip().isdecimal() and len(text) < 20 else -1
    )
    if not least <= number <= most:
        raise SettingsError(
            f"The environment variable {name} must be a whole number from {least} to {most}, got"
            f" “{text[:40]}”."
        )
    return number
