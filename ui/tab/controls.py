"""The table of the page's controls, read by page, links, comparisons, the API and docs/api.md.

A new setting is one line in ``CONTROLS``, named like its field in ``Settings``. No gradio here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tr_core.drafters.registry import DRAFTERS
from tr_core.errors import PromptError, SettingsError
from tr_core.settings import Settings
from tr_core.trees import templates
from ui.runs.run import Request

_SHOWN = 60
Kind = Literal["text", "lines", "choice", "whole", "number", "flag", "file"]


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes:
        key: its name here, in a link and in comparisons.
        kind: what values it takes; ``lines`` is text of several lines.
        label, hint: what the page shows.
        help: its line in docs/api.md.
        default: its value on a fresh page; the field's default in ``Settings`` if it has one.
        setting: the field of ``Settings`` that it fills; empty for a field of ``Request``.
        argument: what the API calls it; empty where only the page has it.
        group: the fold of the page that holds it; empty for those always in sight.
        choices: labels and values on offer; a model's and a tree's may be typed too.
        in_link: in a link always, only when it differs from the default, or never.
        varies: whether a comparison can change it.
        ending: of a file.
        pattern: of its text in a link, besides the choices.
    """

    key: str
    kind: Kind
    label: str
    hint: str | None = None
    help: str = ""
    default: Any = ""
    setting: str = ""
    argument: str = ""
    group: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    in_link: Literal["always", "changed", "never"] = "changed"
    varies: bool = False
    ending: str = ""
    pattern: str = ""

    def parse(self, text: str) -> Any:
        """The value in a link's text; None if it is no value of this control."""
        if self.kind in ("text", "lines") and not self.pattern:
            return text
        if self.kind == "whole":
            return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
        if self.kind == "number":
            return float(text) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,12})?", text) else None
        if self.kind == "flag":
            return {"0": False, "1": True}.get(text)
        offered = any(text == value for _, value in self.choices)
        typed = bool(self.pattern) and re.fullmatch(self.pattern, text, re.ASCII) is not None
        return text if offered or typed else None

    def check(self, value: Any) -> Any:
        """Any value from a browser or a script as this control's kind.

        Raises:
            TokenRecyclingError: it is of another type.
        """
        if self.kind == "number":
            return value  # Settings checks it
        if self.kind == "whole":  # browsers and scripts write 8.0 too; Settings checks the rest
            return int(value) if isinstance(value, float) and value.is_integer() else value
        if self.kind == "flag":
            return bool(value)
        if value is None:
            return ""
        if not isinstance(value, str):
            error = PromptError if self.key == "prompt" else SettingsError
            raise error(f"{self.label} must be text, got {str(value)[:_SHOWN]!r}.")
        return value


def _setting(
    key: str, kind: Kind, label: str, hint: str | None = None, *, setting: str = "", **more: Any
) -> Control:
    """A control of a field of ``Settings``, by the field's own name and default."""
    setting = setting or key
    value = getattr(Settings(), setting)
    return Control(
        key,
        kind,
        label,
        hint,
        default="\n".join(value) if kind == "lines" else value,
        setting=setting,
        argument=setting,
        **more,
    )


def _trees() -> tuple[tuple[str, str], ...]:
    named = [
        (f"{name} · {make().nodes} nodes", name) for name, (make, _) in templates.NAMED.items()
    ]
    return (("auto", "auto"), *named)


CONTROLS = (
    Control("prompt", "text", "Prompt", help="text", argument="prompt", in_link="always"),
    Control("model", "choice", "Model", help="a name of `python -m tr_core models`, or a Hub id",
            argument="model", in_link="always", pattern=r"[\w./-]{1,120}"),
    _setting("drafter", "choice", "Drafter", help="a name of `python -m tr_core drafters`",
             choices=tuple((name, name) for name in DRAFTERS), in_link="always", varies=True),
    _setting("tree", "choice", "Tree", "or any number of nodes",
             help="`auto`, a name of `python -m tr_core trees`, or a number of nodes",
             choices=_trees(), in_link="always", varies=True, pattern="[0-9]{1,5}"),
    _setting("k", "whole", "k", help="candidates per matrix row, 1 … 32",
             in_link="always", varies=True),
    _setting("tokens", "whole", "New tokens", help="tokens to write at most",
             setting="max_new_tokens", in_link="always"),
    _setting("temperature", "number", "Temperature", "0 is greedy", help="0 is greedy",
             group="Sampling", varies=True),
    _setting("top_p", "number", "Top-p", help="only with a temperature",
             group="Sampling", varies=True),
    _setting("top_k", "whole", "Top-k", "0 is off", help="0 is off; only with a temperature",
             group="Sampling", varies=True),
    _setting("seed", "whole", "Seed", help="of the sampling noise", group="Sampling", varies=True),
    _setting("stop", "lines", "Stop strings", "one per line",
             help="strings that end the output, one per line", group="More"),
    _setting("ignore_eos", "flag", "Continue past end tokens",
             help="continue past end tokens", group="More"),
    _setting("prompt_rows", "flag", "Fill rows from the prompt",
             help="fill matrix rows from the prompt", group="More"),
    Control("chat", "flag", "Use the chat template", help="use the model's chat template",
            default=False, argument="chat", group="More"),
    Control("start", "choice", "Start", "hot keeps the rows of earlier runs", default="cold",
            choices=(("cold", "cold"), ("hot", "hot"))),
    Control("tree file", "file", "Tree from a JSON file", default=None, group="More",
            in_link="never", ending=".json"),
    Control("matrix file", "file", "Start from a saved matrix", default=None, group="More",
            in_link="never", ending=".safetensors"),
)  # fmt: skip
BY_KEY: Mapping[str, Control] = {control.key: control for control in CONTROLS}
KEYS = tuple(BY_KEY)


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Settings from values by key; a missing one has its default.

    Raises:
        TokenRecyclingError: a value is of the wrong type or out of range.
    """
    fields = {
        control.setting: control.check(values[control.key])
        for control in CONTROLS
        if control.setting and control.key in values
    }
    if "stop" in fields:
        fields["stop"] = tuple(line for line in fields["stop"].split("\n") if line)
    return Settings(**fields)


def request_of(values: Mapping[str, Any]) -> Request:
    """A request from values by key, of any type; a missing one has its default.

    Files are paths where Gradio has put an upload, or None.

    Raises:
        TokenRecyclingError: a value is of the wrong type or out of range.
    """
    checked = {key: BY_KEY[key].check(values.get(key, BY_KEY[key].default)) for key in KEYS}
    tree = checked["tree"]
    if checked["tree file"]:
        tree = templates.read(Path(checked["tree file"]))
    elif not templates.is_name(tree):
        # A visitor must upload a tree's file, and may not name one of this machine.
        raise SettingsError(
            f"There is no tree “{tree[:_SHOWN]}”: choose one of the list, or a number of nodes."
        )
    matrix = Path(checked["matrix file"]) if checked["matrix file"] else None
    settings = dataclasses.replace(settings_of(checked), tree=tree)
    hot = checked["start"] == "hot"
    return Request(checked["model"], checked["prompt"], settings, checked["chat"], hot, matrix)
