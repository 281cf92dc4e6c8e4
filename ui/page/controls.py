"""The controls of the table (ui/tab/controls.py) as Gradio's components, and their presets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from ui.page import scripts
from ui.page.events import PRIVATE
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import Request
from ui.server.limits import Limits
from ui.tab.controls import BY_KEY, CONTROLS, KEYS, Control, request_of

PRESETS = Path(__file__).resolve().parents[2] / "assets" / "presets.json"


class Controls:
    """All controls of a run.

    Attributes:
        inputs: the components in the order of the table, for events.
        preset: the box of ready-made prompts.
        presets: those by name.
    """

    def __init__(self, models: LoadedModels, limits: Limits) -> None:
        content = json.loads(PRESETS.read_text(encoding="utf-8"))
        self.presets: dict[str, dict[str, Any]] = {preset["name"]: preset for preset in content}
        first = next(iter(self.presets.values()))
        self._models = models
        self._values = {
            "prompt": first["prompt"], "tokens": first["max_new_tokens"], "model": limits.model,
        }  # fmt: skip
        self._by_key: dict[str, Component] = {}

    @property
    def inputs(self) -> list[Component]:
        return [self._by_key[key] for key in KEYS]

    def __getitem__(self, key: str) -> Component:
        return self._by_key[key]

    def show_prompt(self) -> None:
        """Lay out the preset and the prompt."""
        self.preset = gr.Dropdown(
            list(self.presets), value=next(iter(self.presets)), label="Preset", interactive=True
        )
        self._show("prompt", lines=5, max_lines=9)

    def show_settings(self) -> None:
        """Lay out all other controls; a group of the table is a fold."""
        offered = [(entry.name, entry.name) for entry in self._models.offered()]
        self._show("model", choices=offered)
        self._show("drafter")
        self._show("tree")
        with gr.Row(elem_classes="tr-pair"):
            self._show("tokens", min_width=80)
            self._show("k", min_width=80)
        self._show("start")
        for group in dict.fromkeys(control.group for control in CONTROLS if control.group):
            with gr.Accordion(group, open=False):
                for control in CONTROLS:
                    if control.group == group:
                        self._show(control.key)

    def _show(self, key: str, **more: Any) -> None:
        control = BY_KEY[key]
        value = self._values.get(key, control.default)
        self._by_key[key] = _component(control, value, **more)

    def request(self, values: Sequence[Any]) -> Request:
        """The request of the values of ``inputs``.

        Raises:
            TokenRecyclingError: one does not fit.
        """
        return request_of(self.by_key(values))

    def by_key(self, values: Sequence[Any]) -> Mapping[str, Any]:
        return dict(zip(KEYS, values, strict=True))

    def of_preset(self, name: object) -> tuple[Any, Any]:
        """Prompt and new tokens of a preset; nothing changes if there is none."""
        preset = self.presets.get(name) if isinstance(name, str) else None
        if preset is None:
            return gr.skip(), gr.skip()
        return preset["prompt"], preset["max_new_tokens"]

    def wire(self, page: gr.Blocks) -> None:
        def on_model(name: str) -> Any:
            return gr.Checkbox(visible=self._models.may_chat(str(name)))

        def on_preset(name: Any) -> tuple[Any, Any]:
            return self.of_preset(name)

        model = self["model"]
        gr.on(
            [page.load, model.change],  # type: ignore[attr-defined]  # a Dropdown's
            on_model, model, self["chat"], queue=False, **PRIVATE,
        )  # fmt: skip
        filled = [self["prompt"], self["tokens"]]
        self.preset.input(on_preset, self.preset, filled, queue=False, **PRIVATE)
        changes = [c.change for c in self.inputs if not isinstance(c, gr.File)]  # type: ignore[attr-defined]  # all inputs have it
        gr.on(changes, None, self.inputs, js=scripts.kept_controls(CONTROLS), **PRIVATE)


def _component(control: Control, value: Any, **more: Any) -> Component:
    name: dict[str, Any] = {"label": control.label, **more}
    if control.hint:
        name["info"] = control.hint
    typed = f"tr-typed-{control.key}"
    if control.kind == "text":
        return gr.Textbox(value, elem_id=typed, **name)
    if control.kind == "lines":
        return gr.Textbox(value, elem_id=typed, lines=2, **name)
    if control.kind in ("whole", "number"):
        precision = 0 if control.kind == "whole" else None
        return gr.Number(value, elem_id=typed, precision=precision, **name)
    if control.kind == "flag":
        return gr.Checkbox(value, **name)
    if control.kind == "file":
        return gr.File(file_types=[control.ending], height=120, **name)
    if len(control.choices) == 2:
        return gr.Radio(list(control.choices), value=value, **name)
    choices = name.pop("choices", list(control.choices))
    return gr.Dropdown(
        choices, value=value, allow_custom_value=bool(control.pattern), interactive=True,
        elem_id=f"tr-choose-{control.key}", **name,
    )  # fmt: skip
