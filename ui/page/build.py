"""The page's controls and events. Drawing happens in the browser (viz/static), decoding in
``workspace``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

import viz
from tr_core.drafters.registry import DRAFTERS
from tr_core.errors import TokenRecyclingError
from tr_core.trees import templates
from ui.page import api, scripts
from ui.page.form import request_of
from ui.page.gradio_errors import Page, told
from ui.page.tour import Tour
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import Request
from ui.server.limits import Limits
from ui.tab import browser_state, compare, examples, links
from ui.tab.browser_state import BrowserState, SaveRequest
from ui.tab.tab import Tabs

# The controls by the keys that a link has for them; files do not travel in a link.
LINKED = (
    "prompt", "model", "drafter", "tree", "tree file", "k", "tokens", "temperature", "top_p", "top_k", "seed", "stop",
    "ignore_eos", "prompt_rows", "chat", "start", "matrix file",
)  # fmt: skip
PRESETS = Path(__file__).resolve().parents[2] / "assets" / "presets.json"


def build(models: LoadedModels, limits: Limits) -> gr.Blocks:
    """The whole page, with the API endpoint ``/run``."""
    tabs = Tabs(models, limits)
    presets = {p["name"]: p for p in json.loads(PRESETS.read_text(encoding="utf-8"))}
    first = next(iter(presets.values()))
    recordings = examples.recorded(list(presets))
    tour = Tour()

    with (
        # Files that visitors upload or download are deleted after a day.
        Page(
            title="Token Recycling Explorer",
            analytics_enabled=False,
            fill_width=True,
            delete_cache=(3600, 86400),
        ) as page,
        gr.Row(elem_id="tr-page"),
    ):
        with gr.Column(scale=0, min_width=250, elem_id="tr-controls"):
            gr.Markdown("# Token Recycling Explorer", elem_id="tr-title")
            preset = gr.Dropdown(
                list(presets), value=first["name"], label="Preset", interactive=True
            )
            prompt = gr.Textbox(first["prompt"], label="Prompt", lines=5, max_lines=9)
            with gr.Row(elem_classes="tr-buttons"):
                step = gr.Button("Step", variant="primary", min_width=50, elem_id="tr-step")
                run = gr.Button("Run", min_width=50, elem_id="tr-run")
                stop = gr.Button(
                    "Stop", min_width=50
                )  # never greyed: it must work at once when the machine is busy
                reset = gr.Button("Reset", min_width=50)
            model = gr.Dropdown(
                [(e.name, e.name) for e in models.offered()], value=limits.model, label="Model",
                allow_custom_value=True, interactive=True,
            )  # fmt: skip
            drafter = gr.Dropdown(
                list(DRAFTERS), value="token_recycling", label="Drafter", interactive=True
            )
            tree = gr.Dropdown(
                _tree_choices(), value="paper", label="Tree", info="or any number of nodes",
                allow_custom_value=True, interactive=True, elem_id="tr-choose-tree",
            )  # fmt: skip
            with gr.Row(elem_classes="tr-pair"):
                max_new_tokens = gr.Number(
                    first["max_new_tokens"], label="New tokens", precision=0, min_width=80
                )
                k = gr.Number(8, label="k", precision=0, min_width=80)
            start = gr.Radio(
                ["cold", "hot"],
                value="cold",
                label="Start",
                info="hot keeps the rows of earlier runs",
            )
            with gr.Accordion("Sampling", open=False):
                temperature = gr.Number(0.0, label="Temperature", info="0 is greedy")
                top_p = gr.Number(1.0, label="Top-p")
                top_k = gr.Number(0, label="Top-k", precision=0, info="0 is off")
                seed = gr.Number(0, label="Seed", precision=0)
            with gr.Accordion("More", open=False):
                stop_strings = gr.Textbox("", label="Stop strings", lines=2, info="one a line")
                ignore_eos = gr.Checkbox(False, label="Go on after an end token")
                prompt_rows = gr.Checkbox(True, label="Fill rows from the prompt")
                chat = gr.Checkbox(False, label="Use the chat template")
                tree_file = gr.File(label="Tree from a JSON file", file_types=[".json"], height=120)
                matrix_file = gr.File(
                    label="Start from a saved matrix", file_types=[".safetensors"], height=120
                )
            with gr.Accordion("Compare", open=False):
                beside = gr.Dropdown(
                    compare.choices(), multiselect=True, max_choices=compare.MOST, allow_custom_value=True,
                    label="Run it also with", info="up to three; or type, as in “k 4, tree 24”", elem_id="tr-beside",
                )  # fmt: skip
                compare_runs = gr.Button("Compare", size="sm")
            with gr.Accordion("Save and open", open=False):
                saved = gr.UploadButton("Open a saved run", size="sm", file_types=[".json"])
                save_run = gr.Button("Save this run", size="sm")
                save_page = gr.Button("Save as a web page", size="sm")
                with gr.Row(elem_classes="tr-small-buttons"):
                    save_steps = gr.Button("Steps as CSV", size="sm", min_width=50)
                    save_nodes = gr.Button("Nodes as CSV", size="sm", min_width=50)
                save_matrix = gr.Button("Save its matrix", size="sm")
                copy_link = gr.Button("Copy link", size="sm")
                link = gr.Textbox(
                    label="Link",
                    visible=False,
                    interactive=False,
                    lines=2,
                    max_lines=4,
                    elem_id="tr-link",
                    info="to this prompt and these settings, copied where the browser allows",
                )
                file = gr.DownloadButton(visible="hidden", elem_id="tr-download")
            with gr.Column(
                elem_id="tr-drop"
            ):  # never seen: a way in for files dropped onto the explorer
                dropped = gr.UploadButton("Drop a saved run", file_count="multiple")
            # Filled in by the browser: the run that it shows, what to save, controls of before an
            # outage.
            claim, wish, kept = (gr.Textbox(visible=False) for _ in range(3))
        with gr.Column(scale=1, min_width=320, elem_id="tr-main"):
            offer = viz.offer_record([(e.name, e.word, e.title) for e in recordings.values()])
            explorer = gr.HTML(
                value=offer, html_template='<div id="tr-explorer-host"></div>', js_on_load=scripts.MOUNT_EXPLORER,
                elem_id="tr-explorer-component", apply_default_css=False,
            )  # fmt: skip

        controls = [
            prompt, model, drafter, tree, tree_file, k, max_new_tokens, temperature, top_p, top_k, seed, stop_strings,
            ignore_eos, prompt_rows, chat, start, matrix_file,
        ]  # fmt: skip
        for key, control in zip(LINKED, controls, strict=True):
            if isinstance(control, gr.Textbox | gr.Number):
                control.elem_id = f"tr-typed-{key}"

        def on_step(request: gr.Request, *values: Any) -> Iterator[str]:
            yield from _records(tabs.get(_tab(request)).step, values)

        def on_run(request: gr.Request, *values: Any) -> Iterator[str]:
            yield from _records(tabs.get(_tab(request)).run, values)

        def on_reset(request: gr.Request) -> str:
            return tabs.get(_tab(request)).reset()

        def on_stop(request: gr.Request) -> None:
            tabs.get(_tab(request)).stop()

        def on_panels(request: gr.Request) -> Any:
            return tabs.get(_tab(request)).workspace.analysis() or gr.skip()

        def on_compare(request: gr.Request, texts: list[str] | None, *values: Any) -> Iterator[str]:
            tab = tabs.get(_tab(request))
            texts = texts if isinstance(texts, list) else []
            yield from _records(lambda base, _: tab.compare(base, texts), (*values, None))

        def on_kept(event: gr.EventData, request: gr.Request) -> None:
            name, shown = str(told(event, "run")), bool(told(event, "shown"))
            tabs.get(_tab(request)).comparing.keep(name, shown=shown)

        def on_save(request: gr.Request, text: str) -> tuple[Any, str]:
            wish = browser_state.read(text, SaveRequest)
            if wish is None:
                return gr.skip(), ""
            try:
                made = tabs.save(_tab(request), wish)
            except TokenRecyclingError as error:
                raise gr.Error(str(error), print_exception=False) from error
            # The browser is asked for what is not here, and comes again with all that it has kept.
            return (gr.skip(), text) if made is None else (made, "")

        def on_save_comparison(event: gr.EventData, request: gr.Request) -> tuple[Any, str]:
            return on_save(
                request,
                json.dumps(
                    {"what": f"comparison {told(event, 'format')}", "runs": told(event, "runs")}
                ),
            )

        def on_open(files: str | list[str] | None, request: gr.Request) -> Any:
            paths = [Path(file) for file in ([files] if isinstance(files, str) else files or [])]
            if not paths:
                return gr.skip()
            return tabs.get(_tab(request)).open(paths)

        def on_example(prompt: str, event: gr.EventData, request: gr.Request) -> list[Any]:
            name = told(event, "example", "")
            if name is None:
                return [tour.record(), *[gr.skip()] * 3]
            example = recordings.get(str(name))
            if example is None:
                return [gr.skip()] * 4
            shown = tabs.get(_tab(request)).open_example(example)
            # Step then decodes what was just seen; but what a visitor has typed stays.
            typed = prompt not in {p["prompt"] for p in presets.values()}
            filled = [gr.skip()] * 3 if typed else [example.title, *on_preset(example.title)]
            return [shown, *filled]

        def on_link(*values: Any) -> Any:
            try:
                request_of(*values)
                query = links.to_query(dict(zip(LINKED, values, strict=True)))
            except TokenRecyclingError as error:
                raise gr.Error(str(error), print_exception=False) from error
            return gr.Textbox(query, visible=True)

        def on_load(kept: str | None, request: gr.Request) -> Any:
            own = links.pairs(kept) if isinstance(kept, str) else []
            # What stood in the box before an outage may stand there again, even if it is too long
            # to be run.
            prompt = {key: text for key, text in own if key == "prompt"}
            pairs = [
                (key, text) for key, text in own if key != "prompt"
            ] or request.query_params.multi_items()
            values, sentence = links.from_query(pairs, limits)
            values |= prompt
            filled = [values.get(key, gr.skip()) for key in LINKED]
            named = (name for name, p in presets.items() if p["prompt"] == values.get("prompt"))
            chosen = next(named, None) if "prompt" in values else gr.skip()
            sentence = None if own else sentence  # speaks of a link
            return [*filled, chosen, viz.error_record(sentence) if sentence else gr.skip()]

        def on_leave(request: gr.Request) -> None:
            tabs.leave(_tab(request))

        def on_model(name: str) -> Any:
            return gr.Checkbox(visible=models.may_chat(str(name)))

        def on_preset(name: Any) -> tuple[Any, Any]:
            chosen = presets.get(name) if isinstance(name, str) else None
            return (
                (chosen["prompt"], chosen["max_new_tokens"]) if chosen else (gr.skip(), gr.skip())
            )

        private = {"api_visibility": "private", "show_progress": "hidden"}
        gr.on([step.click, run.click], None, None, None, js=scripts.SHOW_EXPLORER, **private)
        for button, advance in ((step, on_step), (run, on_run)):
            button.click(
                advance,
                [*controls, claim],
                explorer,
                js=scripts.with_claim(button.elem_id),
                **private,
            ).then(on_panels, None, explorer, **private)
        stop.click(on_stop, None, None, queue=False, **private)
        reset.click(on_reset, None, explorer, queue=False, **private)
        for source in (saved, dropped):
            source.upload(on_open, source, explorer, **private).then(
                on_panels, None, explorer, **private
            )
        explorer.input(
            on_example, prompt, [explorer, preset, prompt, max_new_tokens], queue=False, **private
        ).then(on_panels, None, explorer, **private)
        compare_runs.click(on_compare, [beside, *controls], explorer, **private)
        explorer.select(on_kept, None, None, queue=False, **private)
        copy_link.click(on_link, controls, link, queue=False, **private).success(
            None, link, link, js=scripts.COPY_LINK, **private
        )
        keep = {"inputs": controls, "js": scripts.kept_controls(LINKED), **private}
        page.load(
            on_load,
            kept,
            [*controls, preset, explorer],
            js=scripts.TAKE_UP_CONTROLS,
            queue=False,
            **private,
        ).then(None, **keep)
        gr.on(
            [control.change for control in controls if not isinstance(control, gr.File)],
            None,
            **keep,
        )
        saves = {
            "json": save_run, "html": save_page, "matrix": save_matrix, "steps.csv": save_steps,
            "nodes.csv": save_nodes,
        }  # fmt: skip
        asked = [
            button.click(on_save, wish, [file, wish], js=scripts.wish_for(what), **private)
            for what, button in saves.items()
        ]
        for first in (*asked, explorer.submit(on_save_comparison, None, [file, wish], **private)):
            # A download button sends the file it had before the click; so the file is made first.
            first.success(on_save, wish, [file, wish], js=scripts.HAND_OVER, **private).success(
                None, None, None, js=scripts.DOWNLOAD, **private
            )
        gr.on([page.load, model.change], on_model, model, chat, queue=False, **private)
        preset.input(on_preset, preset, [prompt, max_new_tokens], queue=False, **private)
        page.unload(on_leave)
        gr.api(_endpoint(models, limits), api_name="run")
    return page


def _tab(request: gr.Request) -> str:
    return request.session_hash or ""


def _tree_choices() -> list[tuple[str, str]]:
    named = [
        (f"{name} · {make().nodes} nodes", name) for name, (make, _) in templates.NAMED.items()
    ]
    return [*named, ("auto", "auto")]


def _records(
    advance: Callable[[Request, BrowserState | None], Iterator[str]], values: tuple[Any, ...]
) -> Iterator[str]:
    *chosen, claim = values
    try:
        request = request_of(*chosen)
    except TokenRecyclingError as error:
        yield viz.error_record(str(error))
        return
    yield from advance(request, browser_state.read(claim))


def _endpoint(models: LoadedModels, limits: Limits):
    """The API's function: a run of its own for each call, streamed as trace records."""

    def run(
        prompt: str,
        model: str = limits.model,
        drafter: str = "token_recycling",
        tree: str = "auto",
        k: int = 8,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
        stop: str = "",
        ignore_eos: bool = False,
        prompt_rows: bool = True,
        chat: bool = False,
        steps: int = 0,
        checkpoint: str = "",
    ) -> Iterator[str]:
        """Decode a prompt by Token Recycling; yields one JSON text a record.

        The records are a start, one per step, and an end; if ``steps`` is above 0, at most that
        many, and a checkpoint in place of the end if the run is not over. Give that ``checkpoint``
        back, as JSON text, to go on: everything else is then taken from it. docs/api.md describes
        each argument and each record.
        """
        try:
            request = request_of(
                prompt, model, drafter, tree, None, k, max_new_tokens, temperature, top_p, top_k, seed, stop,
                ignore_eos, prompt_rows, chat, "cold", None,
            )  # fmt: skip
            yield from api.records(models, limits, request, steps, checkpoint)
        except TokenRecyclingError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return run
