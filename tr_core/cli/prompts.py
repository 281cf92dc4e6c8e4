"""Read prompts from files: one text, or JSON lines in Spec-Bench's form or ours. No torch here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tr_core.errors import PromptError

MAX_FILE_BYTES = 50_000_000


@dataclass(frozen=True)
class Prompt:
    """One prompt of a file: its text, and a name for tables."""

    text: str
    name: str
    category: str = ""


def read_text(path: str | Path) -> str:
    """The whole of a text file.

    Raises:
        PromptError: no readable UTF-8 text of at most 50 MB.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PromptError(
                f"The prompt file “{path}” is over {MAX_FILE_BYTES // 1_000_000} MB: shorten it."
            )
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PromptError(
            f"The prompt file “{path}” cannot be read as UTF-8 text: {error}."
        ) from error


def read_jsonl(path: str | Path) -> list[Prompt]:
    """Prompts of a ``.jsonl`` file.

    Lines are ``{"prompt": …}``, or Spec-Bench's ``{"turns": [first, …]}``.

    Of a conversation the first turn is taken: the others answer a model's reply that is not in the
    file.

    Raises:
        PromptError: the file is unreadable, has a line of another form, or has no prompt.
    """
    prompts = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PromptError(f"Line {number} of “{path}” is not JSON: {error}.") from error
        text = item.get("prompt") if isinstance(item, dict) else None
        if (
            text is None
            and isinstance(item, dict)
            and isinstance(item.get("turns"), list)
            and item["turns"]
        ):
            text = item["turns"][0]
        if not isinstance(text, str) or not text:
            raise PromptError(
                f"Line {number} of “{path}” has neither a “prompt” text nor Spec-Bench's “turns”."
            )
        name = str(item.get("question_id", number))
        prompts.append(Prompt(text, name, str(item.get("category", ""))))
    if not prompts:
        raise PromptError(f"There is no prompt in “{path}”: write one JSON object a line.")
    return prompts
