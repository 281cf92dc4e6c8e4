"""The fold “Save and open”: files of runs, and links."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr

from tr_core.errors import TokenRecyclingError
from ui.page import scripts
from ui.page.controls import Controls
from ui.page.events import PRIVATE, as_gradio_error, event_value, session_of, show_panels_after
from ui.tab import browser_state, links
from ui.tab.tab import Tabs


class SavingFold:
    """Opens and saves runs, and copies a link to the settings."""

    def __init__(self) -> None:
        with gr.Accordion("Save and open", open=False):
            self._open = gr.UploadButton("Open a saved run", size="sm", file_types=[".json"])
            self._saves = {
                "json": gr.Button("Save this run", size="sm"),
                "html": gr.Button("Save as a web page", size="sm"),
            }
            with gr.Row(elem_classes="tr-small-buttons"):
                self._saves["steps.csv"] = gr.Button("Steps as CSV", size="sm", min_width=50)
                self._saves["nodes.csv"] = gr.Button("Nodes as CSV", size="sm", min_width=50)
            self._saves["matrix"] = gr.Button("Save matrix", size="sm")
            self._copy_link = gr.Button("Copy link", size="sm")
            self._link = gr.Textbox(
                label="Link", visible=False, interactive=False, lines=2, max_lines=4,
                elem_id="tr-link",
                info="to this prompt and these settings, copied where the browser allows",
            )  # fmt: skip
            self._file = gr.DownloadButton(visible="hidden", elem_id="tr-download")
        with gr.Column(elem_id="tr-drop"):  # hidden: takes files dropped onto the explorer
            self._dropped = gr.UploadButton("Drop a saved run", file_count="multiple")
        # The browser fills in what to save.
        self._wanted = gr.Textbox(visible=False)

    def wire(self, tabs: Tabs, controls: Controls, explorer: gr.HTML) -> None:
        self._wire_files(tabs, explorer)
        self._wire_saves(tabs, explorer)

        def on_link(*values: Any) -> Any:
            try:
                controls.request(values)
                query = links.to_query(controls.by_key(values))
            except TokenRecyclingError as error:
                raise as_gradio_error(error) from error
            return gr.Textbox(query, visible=True)

        self._copy_link.click(on_link, controls.inputs, self._link, queue=False, **PRIVATE).success(
            None, self._link, self._link, js=scripts.COPY_LINK, **PRIVATE
        )

    def _wire_files(self, tabs: Tabs, explorer: gr.HTML) -> None:
        def on_open(files: str | list[str] | None, request: gr.Request) -> Any:
            paths = [Path(file) for file in ([files] if isinstance(files, str) else files or [])]
            return tabs.get(session_of(request)).open(paths) if paths else gr.skip()

        for source in (self._open, self._dropped):
            upload = source.upload(on_open, source, explorer, **PRIVATE)
            show_panels_after(upload, tabs, explorer)

    def _wire_saves(self, tabs: Tabs, explorer: gr.HTML) -> None:
        def on_save(request: gr.Request, text: str) -> tuple[Any, str]:
            wanted = browser_state.read(text, browser_state.SaveRequest)
            if wanted is None:
                return gr.skip(), ""
            try:
                path = tabs.save(session_of(request), wanted)
            except TokenRecyclingError as error:
                raise as_gradio_error(error) from error
            # Without a path, the browser asks again and sends the records that it has kept.
            return (gr.skip(), text) if path is None else (path, "")

        def on_save_comparison(event: gr.EventData, request: gr.Request) -> tuple[Any, str]:
            what = f"comparison {event_value(event, 'format')}"
            return on_save(request, json.dumps({"what": what, "runs": event_value(event, "runs")}))

        saved: list[gr.Button | gr.DownloadButton | gr.Textbox] = [self._file, self._wanted]
        events = [
            button.click(on_save, self._wanted, saved, js=scripts.save_request(what), **PRIVATE)
            for what, button in self._saves.items()
        ]
        events.append(explorer.submit(on_save_comparison, None, saved, **PRIVATE))
        for event in events:
            # A download button sends the file it had before the click, so the file comes first.
            event.success(on_save, self._wanted, saved, js=scripts.HAND_OVER, **PRIVATE).success(
                None, None, None, js=scripts.DOWNLOAD, **PRIVATE
            )
