"""The page's controls and events. Drawing happens in the browser (viz/static), decoding in ``workspace``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

import viz
from tr_core import catalog, templates
from tr_core.drafters.registry import DRAFTERS
from tr_core.errors import SettingsError, TokenRecyclingError
from tr_core.settings import Settings
from ui import compare, examples, links
from ui.limits import Limits
from ui.scripts import COPY_LINK, DOWNLOAD, MOUNT_EXPLORER, SHOW_EXPLORER
from ui.shelf import Shelf
from ui.tour import Tour
from ui.workspace import Request, Workspace

# The controls by the keys that a link has for them; files do not travel in a link.
LINKED = (
    "prompt", "model", "drafter", "tree", "tree file", "k", "tokens", "temperature", "top_p", "top_k", "seed", "stop",
    "ignore_eos", "prompt_rows", "chat", "start", "matrix file",
)  # fmt: skip
PRESETS = Path(__file__).resolve().parent.parent / "assets" / "presets.json"


class Visitors:
    """A workspace for each open tab, dropped when it closes. Files made for download live as long as the server."""

    def __init__(self, shelf: Shelf, limits: Limits) -> None:
        self._shelf, self._limits = shelf, limits
        self._workspaces: dict[str, Workspace] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="tr-")

    def workspace(self, request: gr.Request) -> Workspace:
        return self._workspaces.setdefault(request.session_hash, Workspace(self._shelf, self._limits))

    def save(self, request: gr.Request, write: Callable[[Workspace, Path], str]) -> str:
        """Let ``write`` make a file for download; a wish that cannot be met is told on the page."""
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        try:
            return write(self.workspace(request), folder)
        except TokenRecyclingError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def leave(self, request: gr.Request) -> None:
        """A closed tab's run ends with its step, and its memory is free."""
        workspace = self._workspaces.pop(request.session_hash, None)
        if workspace is not None:
            workspace.stop()


def build(shelf: Shelf, limits: Limits) -> gr.Blocks:
    """The whole page, with the API endpoint ``/run``."""
    visitors = Visitors(shelf, limits)
    presets = {p["name"]: p for p in json.loads(PRESETS.read_text(encoding="utf-8"))}
    first = next(iter(presets.values()))
    recordings = examples.recorded(list(presets))
    tour = Tour()

    with (
        # Files that visitors upload or download are deleted after a day.
        gr.Blocks(
            title="Token Recycling Explorer", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)
        ) as page,
        gr.Row(elem_id="tr-page"),
    ):
        with gr.Column(scale=0, min_width=250, elem_id="tr-controls"):
            gr.Markdown("# Token Recycling Explorer", elem_id="tr-title")
            preset = gr.Dropdown(list(presets), value=first["name"], label="Preset", interactive=True)
            prompt = gr.Textbox(first["prompt"], label="Prompt", lines=5, max_lines=9, elem_id="tr-prompt")
            with gr.Row(elem_classes="tr-buttons"):
                step = gr.Button("Step", variant="primary", min_width=50)
                run = gr.Button("Run", min_width=50)
                stop = gr.Button("Stop", min_width=50)  # never greyed: it must work at once when the machine is busy
                reset = gr.Button("Reset", min_width=50)
            model = gr.Dropdown(
                [(e.name, e.name) for e in catalog.entries()], value=limits.model, label="Model",
                allow_custom_value=True, interactive=True,
            )  # fmt: skip
            drafter = gr.Dropdown(list(DRAFTERS), value="token_recycling", label="Drafter", interactive=True)
            tree = gr.Dropdown(
                _tree_choices(), value="paper", label="Tree", info="or any number of nodes",
                allow_custom_value=True, interactive=True,
            )  # fmt: skip
            with gr.Row(elem_classes="tr-pair"):
                max_new_tokens = gr.Number(first["max_new_tokens"], label="New tokens", precision=0, min_width=80)
                k = gr.Number(8, label="k", precision=0, min_width=80)
            start = gr.Radio(["cold", "hot"], value="cold", label="Start", info="hot keeps the rows of earlier runs")
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
                matrix_file = gr.File(label="Start from a saved matrix", file_types=[".safetensors"], height=120)
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
            with gr.Column(elem_id="tr-drop"):  # never seen: a way in for files dropped onto the explorer
                dropped = gr.UploadButton("Drop a saved run", file_count="multiple")
        with gr.Column(scale=1, min_width=320, elem_id="tr-main"):
            offer = viz.offer_record([(e.name, e.word, e.title) for e in recordings.values()])
            explorer = gr.HTML(
                value=offer, html_template='<div id="tr-explorer-host"></div>', js_on_load=MOUNT_EXPLORER,
                elem_id="tr-explorer-component", apply_default_css=False,
            )  # fmt: skip

        controls = [
            prompt, model, drafter, tree, tree_file, k, max_new_tokens, temperature, top_p, top_k, seed, stop_strings,
            ignore_eos, prompt_rows, chat, start, matrix_file,
        ]  # fmt: skip

        def on_step(request: gr.Request, *values: Any) -> Iterator[str]:
            _tell_of_loading(shelf, values)
            yield from _records(visitors.workspace(request).step, values)

        def on_run(request: gr.Request, *values: Any) -> Iterator[str]:
            _tell_of_loading(shelf, values)
            yield from _records(visitors.workspace(request).run, values)

        def on_reset(request: gr.Request) -> str:
            return next(visitors.workspace(request).reset())

        def on_stop(request: gr.Request) -> None:
            visitors.workspace(request).stop()

        def on_panels(request: gr.Request) -> Any:
            return visitors.workspace(request).analysis() or gr.skip()

        def on_compare(request: gr.Request, texts: list[str] | None, *values: Any) -> Iterator[str]:
            _tell_of_loading(shelf, values)
            workspace = visitors.workspace(request)
            yield from _records(lambda base: workspace.comparing.compare(base, texts or []), values)

        def on_kept(event: gr.EventData, request: gr.Request) -> None:
            visitors.workspace(request).comparing.keep(str(event.run), shown=bool(event.shown))

        def on_save_comparison(event: gr.EventData, request: gr.Request) -> str:
            names = [str(name) for name in event.runs]
            return visitors.save(request, lambda own, folder: own.comparing.save(folder, str(event.format), names))

        def on_open(files: str | list[str] | None, request: gr.Request) -> Any:
            paths = [Path(file) for file in ([files] if isinstance(files, str) else files or [])]
            if not paths:
                return gr.skip()
            workspace = visitors.workspace(request)
            return next(workspace.open(paths[0]) if len(paths) == 1 else workspace.comparing.open_several(paths))

        def on_example(prompt: str, event: gr.EventData, request: gr.Request) -> list[Any]:
            if event.example is None:
                return [tour.record(), *[gr.skip()] * 3]
            example = recordings.get(str(event.example))
            if example is None:
                return [gr.skip()] * 4
            shown = next(visitors.workspace(request).open_example(example))
            # Step then decodes what was just seen; but what a visitor has typed stays.
            typed = prompt not in {p["prompt"] for p in presets.values()}
            filled = [gr.skip()] * 3 if typed else [example.title, *on_preset(example.title)]
            return [shown, *filled]

        def on_link(*values: Any) -> Any:
            try:
                _request(*values)
                query = links.to_query(dict(zip(LINKED, values, strict=True)))
            except TokenRecyclingError as error:
                raise gr.Error(str(error), print_exception=False) from error
            return gr.Textbox(query, visible=True)

        def on_load(request: gr.Request) -> Any:
            values, sentence = links.from_query(request.query_params.multi_items(), limits)
            filled = [values.get(key, gr.skip()) for key in LINKED]
            chosen = None if "prompt" in values else gr.skip()  # the prompt is no preset's any more
            return [*filled, chosen, viz.error_record(sentence) if sentence else gr.skip()]

        def on_save(request: gr.Request) -> str:
            return visitors.save(request, Workspace.save_trace)

        def on_save_page(request: gr.Request) -> str:
            return visitors.save(request, Workspace.save_page)

        def on_save_steps(request: gr.Request) -> str:
            return visitors.save(request, Workspace.save_steps)

        def on_save_nodes(request: gr.Request) -> str:
            return visitors.save(request, Workspace.save_nodes)

        def on_save_matrix(request: gr.Request) -> str:
            return visitors.save(request, Workspace.save_matrix)

        def on_model(name: str) -> Any:
            return gr.Checkbox(visible=shelf.may_chat(str(name)))

        def on_preset(name: str) -> tuple[str, int]:
            chosen = presets[name]
            return chosen["prompt"], chosen["max_new_tokens"]

        private = {"api_visibility": "private", "show_progress": "hidden"}
        gr.on([step.click, run.click], None, None, None, js=SHOW_EXPLORER, **private)
        step.click(on_step, controls, explorer, **private).then(on_panels, None, explorer, **private)
        run.click(on_run, controls, explorer, **private).then(on_panels, None, explorer, **private)
        stop.click(on_stop, None, None, queue=False, **private)
        reset.click(on_reset, None, explorer, queue=False, **private)
        for source in (saved, dropped):
            source.upload(on_open, source, explorer, **private).then(on_panels, None, explorer, **private)
        explorer.input(on_example, prompt, [explorer, preset, prompt, max_new_tokens], queue=False, **private).then(
            on_panels, None, explorer, **private
        )
        compare_runs.click(on_compare, [beside, *controls], explorer, **private)
        explorer.select(on_kept, None, None, queue=False, **private)
        explorer.submit(on_save_comparison, None, file, **private).success(None, None, None, js=DOWNLOAD, **private)
        copy_link.click(on_link, controls, link, queue=False, **private).success(
            None, link, link, js=COPY_LINK, **private
        )
        page.load(on_load, None, [*controls, preset, explorer], queue=False, **private)
        saves = ((save_run, on_save), (save_page, on_save_page), (save_matrix, on_save_matrix))
        for button, save in (*saves, (save_steps, on_save_steps), (save_nodes, on_save_nodes)):
            # A download button sends the file it had before the click; so the file is made first.
            button.click(save, None, file, **private).success(None, None, None, js=DOWNLOAD, **private)
        gr.on([page.load, model.change], on_model, model, chat, queue=False, **private)
        preset.input(on_preset, preset, [prompt, max_new_tokens], queue=False, **private)
        page.unload(visitors.leave)
        gr.api(_endpoint(shelf, limits), api_name="run")
    return page


def _tree_choices() -> list[tuple[str, str]]:
    named = [(f"{name} · {make().nodes} nodes", name) for name, (make, _) in templates.NAMED.items()]
    return [*named, ("auto", "auto")]


def _tell_of_loading(shelf: Shelf, values: tuple[Any, ...]) -> None:
    model = values[1]
    if model and not shelf.is_loaded(model):
        gr.Info(f"Loading {str(model)[:80]} …", duration=4)


def _records(advance, values: tuple[Any, ...]) -> Iterator[str]:
    try:
        request = _request(*values)
    except TokenRecyclingError as error:
        yield viz.error_record(str(error))
        return
    yield from advance(request)


def _request(
    prompt, model, drafter, tree, tree_file, k, max_new_tokens, temperature, top_p, top_k, seed, stop_strings,
    ignore_eos, prompt_rows, chat, start, matrix_file,
) -> Request:  # fmt: skip
    """The controls' values as a request; what is out of range is refused by ``Settings``."""
    if tree_file is not None:
        tree = templates.read(Path(tree_file))
    elif str(tree).strip() not in (*templates.NAMED, "auto") and not str(tree).strip().isdecimal():
        # A file of this machine is not for a visitor to name: it would have to be uploaded.
        raise SettingsError(f"There is no tree “{str(tree)[:60]}”: choose one of the list, or a number of nodes.")
    settings = Settings(
        drafter=drafter, tree=tree, k=k, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p,
        top_k=top_k, seed=seed, stop=tuple(s for s in (stop_strings or "").split("\n") if s),
        ignore_eos=bool(ignore_eos), prompt_rows=bool(prompt_rows),
    )  # fmt: skip
    matrix = Path(matrix_file) if matrix_file else None
    return Request(str(model or ""), prompt or "", settings, chat=bool(chat), hot=start == "hot", matrix=matrix)


def _endpoint(shelf: Shelf, limits: Limits):
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
    ) -> Iterator[str]:
        """Decode a prompt by Token Recycling; yields one JSON text a record: start, one per step, end."""
        try:
            request = _request(
                prompt, model, drafter, tree, None, k, max_new_tokens, temperature, top_p, top_k, seed, stop,
                ignore_eos, prompt_rows, chat, "cold", None,
            )  # fmt: skip
            yield from Workspace(shelf, limits).trace_records(request)
        except TokenRecyclingError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return run
