"""Routes for operators: ``/healthz``, and ``/metrics`` if switched on. No gradio here."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import tr_core
from ui.runs.loaded_models import LoadedModels
from ui.server.metrics import CONTENT_TYPE


def routes(models: LoadedModels, metrics: bool) -> list[Route]:
    """The routes; both answer at once, however busy the accelerator is."""

    async def healthz(request: Request) -> Response:
        loading = [
            {
                "model": name,
                "doing": c.doing,
                "seconds": round(c.seconds),
                **(asdict(c.progress) if c.progress else {}),
            }
            for name, c in models.coming
        ]
        status = {
            "status": "ok",
            "version": tr_core.__version__,
            "models": models.loaded,
            "loading": loading,
        }
        return JSONResponse(status, headers={"Cache-Control": "no-store"})

    async def metrics_text(request: Request) -> Response:
        return Response(models.metrics.text(), media_type=CONTENT_TYPE)

    routes = [Route("/healthz", healthz)]
    return [*routes, Route("/metrics", metrics_text)] if metrics else routes
