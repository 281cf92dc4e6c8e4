"""Token Recycling Explorer: ``python app.py`` opens the page on http://127.0.0.1:7860."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import threading
from pathlib import Path

os.environ.setdefault(
    "GRADIO_ANALYTICS_ENABLED", "False"
)  # offline means offline; read when gradio is imported

import gradio as gr
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import viz
from tr_core.drafters.recycling_plus.kernels import warm_up as first_use
from tr_core.errors import TokenRecyclingError
from ui.page import build as page
from ui.page import health
from ui.page.theme import theme
from ui.runs import zerogpu as zero
from ui.runs.loaded_models import LoadedModels
from ui.server import log
from ui.server.limits import Limits
from ui.server.security_headers import Guard

HEAD = "".join(f'<link rel="stylesheet" href="tr/{name}">' for name in viz.STYLES)


def main() -> int:
    """Serve the page until interrupted; returns the exit status."""
    parser = argparse.ArgumentParser(description="Token Recycling Explorer")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument(
        "--port", type=int, default=int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
    )
    parser.add_argument(
        "--model", help="the model to load first (default: the bundled one, or TR_MODEL)"
    )
    args = parser.parse_args()
    try:
        limits = Limits.from_environment()
    except TokenRecyclingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if args.model:
        limits = dataclasses.replace(limits, model=args.model)
    log.start()
    models = _models(limits)
    built = page.build(models, limits).queue(default_concurrency_limit=None)
    try:
        _launch(built, models, limits, args.host, args.port)
    except OSError as error:
        print(f"error: the page cannot be served on port {args.port}: {error}", file=sys.stderr)
        return 1
    return 0


def _launch(built: gr.Blocks, models: LoadedModels, limits: Limits, host: str, port: int) -> None:
    largest = limits.max_upload_mb * 1_000_000
    framed_by = "https://huggingface.co https://*.hf.space" if "SPACE_ID" in os.environ else ""
    built.launch(
        server_name=host,
        server_port=port,
        run_history=False,  # it stores every streamed record and slows the page down tenfold
        ssr_mode=False,
        theme=theme(),
        css_paths=Path(page.__file__).with_name("page.css"),
        head=HEAD,
        footer_links=["api"],
        app_kwargs={
            # Gradio's own routes come after.
            "routes": [
                Route("/tr/plotly.js", _plotly),
                Route("/tr/connection.js", _connection),
                Mount("/tr", StaticFiles(directory=viz.STATIC)),
                *health.routes(models, limits.metrics),
            ],
            "middleware": [Middleware(Guard, framed_by=framed_by, largest=largest + 1_000_000)],
        },
        max_file_size=largest,
        state_session_capacity=limits.max_runs,
        # One thread per waiting run, and some for Stop and other quick calls.
        max_threads=2 * limits.max_runs + 40,
    )


def _models(limits: Limits) -> LoadedModels:
    """The folders and ids of models.

    The first is loaded while the page opens. On ZeroGPU it is loaded before, since workers are
    forks.
    """
    if zero.is_here():
        models = LoadedModels(limits, load=zero.load)
        _load_first(models, limits.model)
        models.calls = zero.GpuCalls(models)
        return models
    models = LoadedModels(limits)
    threading.Thread(target=_load_first, args=(models, limits.model), daemon=True).start()
    return models


def _connection(_: Request) -> FileResponse:
    """It talks to the server, so it is apart from the explorer, which exported pages hold too."""
    return FileResponse(
        Path(page.__file__).with_name("connection.js"), media_type="text/javascript"
    )


def _plotly(_: Request) -> FileResponse:
    """The charts' library, from the installed package; requested when metrics are first opened."""
    return FileResponse(
        viz.PLOTLY, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"}
    )


def _load_first(models: LoadedModels, name: str) -> None:
    """Load while the page opens; on failure, the visitor who wants the model gets the error."""
    try:
        models.get(name)
    except TokenRecyclingError as error:
        print(f"warning: {error}", file=sys.stderr)
    first_use.prepare()


if __name__ == "__main__":
    sys.exit(main())
