"""The explorer's component, and what a fresh page begins with: an example, a link, a kept run."""

from __future__ import annotations

from typing import Any

import gradio as gr

import viz
from ui.page import scripts
from ui.page.controls import Controls
from ui.page.events import PRIVATE, event_value, session_of, show_panels_after
from ui.page.tour import Tour
from ui.server.limits import Limits
from ui.tab import examples, links
from ui.tab.controls import CONTROLS, KEYS
from ui.tab.tab import Tabs


class Explorer:
    """The component that draws; the rest of the page sends it records.

    Attributes:
        component: its value is the newest record.
    """

    def __init__(self, controls: Controls, limits: Limits) -> None:
        self._controls, self._limits = controls, limits
        self._examples = examples.recorded(list(controls.presets))
        self._tour = Tour()
        offered = [(e.name, e.word, e.title) for e in self._examples.values()]
        self.component = gr.HTML(
            value=viz.offer_record(offered), html_template='<div id="tr-explorer-host"></div>',
            js_on_load=scripts.MOUNT_EXPLORER, elem_id="tr-explorer-component",
            apply_default_css=False,
        )  # fmt: skip
        # The browser fills in the controls from before an outage.
        self._kept = gr.Textbox(visible=False)

    def wire(self, tabs: Tabs, page: gr.Blocks) -> None:
        controls = self._controls

        def on_example(prompt: str, event: gr.EventData, request: gr.Request) -> list[Any]:
            name = event_value(event, "example", "")
            if name is None:
                return [self._tour.record(), *[gr.skip()] * 3]
            example = self._examples.get(str(name))
            if example is None:
                return [gr.skip()] * 4
            shown = tabs.get(session_of(request)).open_example(example)
            # Step then decodes the same prompt; but what a visitor has typed stays.
            typed = prompt not in {preset["prompt"] for preset in controls.presets.values()}
            rest = [gr.skip()] * 3 if typed else [example.title, *controls.of_preset(example.title)]
            return [shown, *rest]

        def on_kept(event: gr.EventData, request: gr.Request) -> None:
            name, shown = str(event_value(event, "run")), bool(event_value(event, "shown"))
            tabs.get(session_of(request)).comparing.keep(name, shown=shown)

        def on_load(kept: str | None, request: gr.Request) -> Any:
            return self._first_values(kept, request)

        def on_leave(request: gr.Request) -> None:
            tabs.leave(session_of(request))

        filled = [self.component, controls.preset, controls["prompt"], controls["tokens"]]
        shown = self.component.input(on_example, controls["prompt"], filled, queue=False, **PRIVATE)
        show_panels_after(shown, tabs, self.component)
        self.component.select(on_kept, None, None, queue=False, **PRIVATE)
        outputs = [*controls.inputs, controls.preset, self.component]
        page.load(
            on_load, self._kept, outputs, js=scripts.TAKE_UP_CONTROLS, queue=False, **PRIVATE
        ).then(None, controls.inputs, js=scripts.kept_controls(CONTROLS), **PRIVATE)
        page.unload(on_leave)

    def _first_values(self, kept: str | None, request: gr.Request) -> list[Any]:
        """The controls' values, the preset and a record, from a link or from before an outage."""
        own = links.pairs(kept) if isinstance(kept, str) else []
        # After an outage the prompt comes back even if it is too long to run.
        prompt = {key: text for key, text in own if key == "prompt"}
        rest = [(key, text) for key, text in own if key != "prompt"]
        values, sentence = links.from_query(
            rest or request.query_params.multi_items(), self._limits
        )
        values |= prompt
        preset: Any = gr.skip()
        if "prompt" in values:
            presets = self._controls.presets.items()
            preset = next((n for n, p in presets if p["prompt"] == values["prompt"]), None)
        # The sentence is about a link.
        record = viz.error_record(sentence) if sentence and not own else gr.skip()
        return [*(values.get(key, gr.skip()) for key in KEYS), preset, record]
