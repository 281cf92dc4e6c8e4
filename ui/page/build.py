"""The page, put together from its regions. The browser draws (viz/static); ``Tab`` decodes."""

from __future__ import annotations

import gradio as gr

from ui.page import api
from ui.page.controls import Controls
from ui.page.explorer import Explorer
from ui.page.gradio_errors import Page
from ui.page.run_buttons import CompareFold, RunButtons
from ui.page.saving import SavingFold
from ui.runs.loaded_models import LoadedModels
from ui.server.limits import Limits
from ui.tab.tab import Tabs


def build(models: LoadedModels, limits: Limits) -> gr.Blocks:
    """The whole page, with the API endpoint ``/run``."""
    tabs = Tabs(models, limits)
    page = Page(
        title="Token Recycling Explorer",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(3600, 86400),  # uploads and downloads are deleted after a day
    )
    with page, gr.Row(elem_id="tr-page"):
        with gr.Column(scale=0, min_width=250, elem_id="tr-controls"):
            gr.Markdown("# Token Recycling Explorer", elem_id="tr-title")
            controls = Controls(models, limits)
            controls.show_prompt()
            buttons = RunButtons()
            controls.show_settings()
            comparing, saving = CompareFold(), SavingFold()
        with gr.Column(scale=1, min_width=320, elem_id="tr-main"):
            explorer = Explorer(controls, limits)
        for region in (buttons, comparing, saving):
            region.wire(tabs, controls, explorer.component)
        explorer.wire(tabs, page)
        controls.wire(page)
        gr.api(api.endpoint(models, limits), api_name="run")
    return page
