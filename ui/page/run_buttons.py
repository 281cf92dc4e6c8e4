"""Step, Run, Stop and Reset, and the comparison: what makes runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

import viz
from tr_core.errors import TokenRecyclingError
from ui.page import scripts
from ui.page.controls import Controls
from ui.page.events import PRIVATE, session_of, show_panels_after
from ui.tab import browser_state, compare
from ui.tab.tab import Tabs


class RunButtons:
    """The four buttons under the prompt."""

    def __init__(self) -> None:
        with gr.Row(elem_classes="tr-buttons"):
            self._step = gr.Button("Step", variant="primary", min_width=50, elem_id="tr-step")
            self._run = gr.Button("Run", min_width=50, elem_id="tr-run")
            self._stop = gr.Button("Stop", min_width=50)  # never greyed: it must work at once
            self._reset = gr.Button("Reset", min_width=50)
            # The browser fills in which run it shows.
            self._state = gr.Textbox(visible=False)

    def wire(self, tabs: Tabs, controls: Controls, explorer: gr.HTML) -> None:
        def on_step(request: gr.Request, *values: Any) -> Iterator[str]:
            yield from advance(request, values, one_step=True)

        def on_run(request: gr.Request, *values: Any) -> Iterator[str]:
            yield from advance(request, values, one_step=False)

        def advance(request: gr.Request, values: tuple[Any, ...], one_step: bool) -> Iterator[str]:
            *settings, state = values
            try:
                wanted = controls.request(settings)
            except TokenRecyclingError as error:
                yield viz.error_record(str(error))
                return
            tab = tabs.get(session_of(request))
            go = tab.step if one_step else tab.run
            yield from go(wanted, browser_state.read(state, browser_state.BrowserState))

        def on_stop(request: gr.Request) -> None:
            tabs.get(session_of(request)).stop()

        def on_reset(request: gr.Request) -> str:
            return tabs.get(session_of(request)).reset()

        clicks = [self._step.click, self._run.click]
        gr.on(clicks, None, None, None, js=scripts.SHOW_EXPLORER, **PRIVATE)
        for button, function in ((self._step, on_step), (self._run, on_run)):
            inputs = [*controls.inputs, self._state]
            js = scripts.with_browser_state(str(button.elem_id))
            click = button.click(function, inputs, explorer, js=js, **PRIVATE)
            show_panels_after(click, tabs, explorer)
        self._stop.click(on_stop, None, None, queue=False, **PRIVATE)
        self._reset.click(on_reset, None, explorer, queue=False, **PRIVATE)


class CompareFold:
    """Runs the prompt again with other settings."""

    def __init__(self) -> None:
        with gr.Accordion("Compare", open=False):
            self._variations = gr.Dropdown(
                compare.choices(), multiselect=True, max_choices=compare.MOST,
                allow_custom_value=True, label="Compare with",
                info="up to three; or type your own, e.g. “k 4, tree 24”", elem_id="tr-beside",
            )  # fmt: skip
            self._compare = gr.Button("Compare", size="sm")

    def wire(self, tabs: Tabs, controls: Controls, explorer: gr.HTML) -> None:
        def on_compare(request: gr.Request, texts: list[str] | None, *values: Any) -> Iterator[str]:
            try:
                base = controls.request(values)
            except TokenRecyclingError as error:
                yield viz.error_record(str(error))
                return
            chosen = texts if isinstance(texts, list) else []
            yield from tabs.get(session_of(request)).compare(base, chosen)

        inputs = [self._variations, *controls.inputs]
        self._compare.click(on_compare, inputs, explorer, **PRIVATE)
