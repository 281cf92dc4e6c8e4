"""What the page asks for and what it reads, without a browser."""

import json

from tests.support import tiny_models
from tr_core import Settings
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import Request


def loaded_models(limits):
    """The server's models: one, a tiny Llama."""
    return LoadedModels(limits, load=lambda source, progress: tiny_models.target("llama"))


def request(prompt="the then", **changes):
    settings = {"tree": "small-8", "max_new_tokens": 12, "ignore_eos": True}
    more = {k: changes.pop(k) for k in ("hot", "matrix", "chat") if k in changes}
    return Request("tiny", prompt, Settings(**{**settings, **changes}), **more)


def read(records):
    """The records of a stream, without checkpoints and waiting (which a busy machine adds)."""
    contents = [json.loads(text) for text in records]
    flat = [
        r for content in contents for r in (content if isinstance(content, list) else [content])
    ]
    return [r for r in flat if r["type"] not in ("checkpoint", "loading")]


def types(records):
    return [r["type"] for r in read(records)]
