"""A permalink: prompt and settings in the query string of the page's address. No gradio here.

A link is somebody else's text. Each value is read strictly and must be one that a visitor could
have chosen on the page; what is not is left as it was and named in a sentence. Opening a link fills
the controls and runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tr_core.drafters.registry import DRAFTERS
from tr_core.errors import SettingsError
from tr_core.settings import MAX_STOP_STRINGS, Settings
from tr_core.trees import templates
from ui.server.limits import Limits

# What servers and proxies on the way take for certain; a longer run is better sent as a file.
LONGEST = 6_000
SHOWN = 40


def to_query(values: Mapping[str, Any]) -> str:
    """The query string of these values of the controls, by name; those that equal ``OPTIONAL`` are
    left out.

    Raises:
        SettingsError: the link would be too long.
    """
    told = [
        (key, values[key]) for key in PARSERS if key != "stop" and values[key] != OPTIONAL.get(key)
    ]
    pairs = [(key, str(int(value) if isinstance(value, bool) else value)) for key, value in told]
    query = urlencode(
        pairs + [("stop", line) for line in str(values["stop"] or "").split("\n") if line]
    )
    if len(query) > LONGEST:
        raise SettingsError(
            f"A link of this prompt would have {len(query):,} characters, {LONGEST:,} are safe:"
            " shorten the prompt, or save the run as a file."
        )
    return query


def pairs(query: str) -> list[tuple[str, str]]:
    """Keys and values of a query string, for ``from_query``; none if it is not one."""
    try:
        return parse_qsl(
            query, keep_blank_values=True, max_num_fields=len(PARSERS) + MAX_STOP_STRINGS
        )
    except ValueError:
        return []


def from_query(
    pairs: Iterable[tuple[str, str]], limits: Limits
) -> tuple[dict[str, Any], str | None]:
    """Values of the controls, by name, and a sentence about those that do not fit; keys of others
    are passed over.
    """
    known = [(key, text) for key, text in pairs if key in PARSERS]
    if sum(len(text) for _, text in known) > max(LONGEST, limits.max_prompt_chars):
        return {}, "The link is too long, so nothing of it was taken over."
    values: dict[str, Any] = {}
    odd = []
    stops = [text for key, text in known if key == "stop"]
    if len(stops) > MAX_STOP_STRINGS:
        odd.append(f"{len(stops)} stop strings")
    elif stops:
        values["stop"] = "\n".join(stops)
    for key, text in known:
        if key == "stop":
            continue
        value = PARSERS[key](text)
        if value is None or (key == "tokens" and not 0 < value <= limits.max_new_tokens):
            odd.append(f"{key}={text[:SHOWN]}{'…' if len(text) > SHOWN else ''}")
        else:
            values[key] = value
    sentence = (
        f"Parts of the link do not fit and were left as they were: {', '.join(odd)}."
        if odd
        else None
    )
    try:
        _settings(values)
    except SettingsError as error:
        kept = {key: values[key] for key in ("prompt", "model") if key in values}
        return kept, f"The settings of the link do not fit and were left as they were: {error}"
    return values, sentence


def _settings(values: Mapping[str, Any]) -> Settings:
    names = (
        "drafter",
        "tree",
        "k",
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "ignore_eos",
        "prompt_rows",
    )
    chosen = {name: values[name] for name in names if name in values}
    stop = tuple(s for s in values.get("stop", "").split("\n") if s)
    return Settings(**chosen, stop=stop, max_new_tokens=values.get("tokens", 1))


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,12})?", text) else None


def _flag(text: str) -> bool | None:
    return {"0": False, "1": True}.get(text)


def _one_of(*allowed: str) -> Callable[[str], str | None]:
    return lambda text: text if text in allowed else None


def _model(text: str) -> str | None:
    """A name of the list or a Hub id, as the box takes it; whether it exists is found out by a run."""
    return text if re.fullmatch(r"[\w./-]{1,120}", text, re.ASCII) else None


def _tree(text: str) -> str | None:
    return text if text in (*templates.NAMED, "auto") or re.fullmatch(r"[0-9]{1,5}", text) else None


# Keys of the query string, in the order in which they are written.
PARSERS: Mapping[str, Callable[[str], Any]] = {
    "prompt": str,
    "model": _model,
    "drafter": _one_of(*DRAFTERS),
    "tree": _tree,
    "k": _whole,
    "tokens": _whole,
    "start": _one_of("cold", "hot"),
    "temperature": _number,
    "top_p": _number,
    "top_k": _whole,
    "seed": _whole,
    "stop": str,
    "ignore_eos": _flag,
    "prompt_rows": _flag,
    "chat": _flag,
}
# The rest is always written, so that a link means the same where other defaults hold.
OPTIONAL: Mapping[str, Any] = {
    "start": "cold", "temperature": 0, "top_p": 1, "top_k": 0, "seed": 0, "ignore_eos": False, "prompt_rows": True,
    "chat": False,
}  # fmt: skip
