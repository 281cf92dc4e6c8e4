"""From what comes in at a door to a request: everything may be of any type, and what does not fit
gets a sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tr_core.errors import PromptError, SettingsError
from tr_core.settings import Settings
from tr_core.trees import templates
from ui.runs.run import Request

_SHOWN = 60


def request_of(
    prompt: Any, model: Any, drafter: Any, tree: Any, tree_file: Any, k: Any, max_new_tokens: Any, temperature: Any,
    top_p: Any, top_k: Any, seed: Any, stop_strings: Any, ignore_eos: Any, prompt_rows: Any, chat: Any, start: Any,
    matrix_file: Any,
) -> Request:  # fmt: skip
    """The controls' values as a request.

    Args:
        tree_file, matrix_file: where Gradio has put an uploaded file, or None.

    Raises:
        TokenRecyclingError: a value is of the wrong type or out of range.
    """
    prompt = _text("The prompt", prompt, PromptError)
    if tree_file:
        tree = templates.read(Path(_text("The tree's file", tree_file)))
    elif not templates.is_name(tree := _text("The tree", tree)):
        # A file of this machine is not for a visitor to name: it would have to be uploaded.
        raise SettingsError(
            f"There is no tree “{tree[:_SHOWN]}”: choose one of the list, or a number of nodes."
        )
    settings = Settings(
        drafter=_text("The drafter", drafter), tree=tree, k=_whole(k), max_new_tokens=_whole(max_new_tokens),
        temperature=temperature, top_p=top_p, top_k=_whole(top_k), seed=_whole(seed),
        stop=tuple(s for s in _text("Stop strings", stop_strings).split("\n") if s),
        ignore_eos=bool(ignore_eos), prompt_rows=bool(prompt_rows),
    )  # fmt: skip
    matrix = Path(_text("The matrix's file", matrix_file)) if matrix_file else None
    return Request(_text("The model", model), prompt, settings, bool(chat), start == "hot", matrix)


def _text(name: str, value: Any, kind: type[Exception] = SettingsError) -> str:
    """The text; nothing at all is an empty one."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise kind(f"{name} must be text, got {str(value)[:_SHOWN]!r}.")
    return value


def _whole(value: Any) -> Any:
    """Browsers and scripts write whole numbers as 8.0 too; ``Settings`` refuses all else."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
