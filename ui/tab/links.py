"""A permalink: prompt and settings in the query string of the page's address. No gradio here.

A link is untrusted text. Each value is read strictly and must be one that a visitor could choose on
the page; others are ignored and named in a sentence. Opening a link fills the controls and runs
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tr_core.errors import SettingsError
from tr_core.settings import MAX_STOP_STRINGS
from ui.server.limits import Limits
from ui.tab.controls import CONTROLS, settings_of

# A length that all servers and proxies accept; send a longer run as a file.
LONGEST = 6_000
SHOWN = 40
_LINKED = {control.key: control for control in CONTROLS if control.in_link != "never"}


def to_query(values: Mapping[str, Any]) -> str:
    """The query string of the controls' values by key, without most of those at their default.

    Raises:
        SettingsError: the link would be too long.
    """
    pairs: list[tuple[str, str]] = []
    for control in _LINKED.values():
        value = values[control.key]
        if control.kind == "lines":
            pairs += [(control.key, line) for line in str(value or "").split("\n") if line]
        elif control.in_link == "always" or value != control.default:
            pairs.append((control.key, str(int(value) if isinstance(value, bool) else value)))
    query = urlencode(pairs)
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
            query, keep_blank_values=True, max_num_fields=len(_LINKED) + MAX_STOP_STRINGS
        )
    except ValueError:
        return []


def from_query(
    pairs: Iterable[tuple[str, str]], limits: Limits
) -> tuple[dict[str, Any], str | None]:
    """The controls' values by key, and a sentence on those that do not fit; ignores other keys."""
    known = [(key, text) for key, text in pairs if key in _LINKED]
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
        value = _LINKED[key].parse(text)
        if value is None or (key == "tokens" and not 0 < value <= limits.max_new_tokens):
            odd.append(f"{key}={text[:SHOWN]}{'…' if len(text) > SHOWN else ''}")
        else:
            values[key] = value
    try:
        settings_of(values)
    except SettingsError as error:
        kept: dict[str, Any] = {key: values[key] for key in ("prompt", "model") if key in values}
        return kept, f"The settings of the link do not fit and were left as they were: {error}"
    if not odd:
        return values, None
    return values, f"Parts of the link do not fit and were left as they were: {', '.join(odd)}."
