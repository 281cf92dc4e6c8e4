"""What each of two processes does in test_split.py: the same, told to a file. ``python -m
tests.support.peer_worker MODEL OUT``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from tests.support import tiny_models as tiny
from tr_core import Session, Settings, load_target, token_recycling
from tr_core.cli.main import main
from tr_core.decoding.recording import record
from tr_core.models.hf_target import HFTarget

PROMPT = [5, 9, 33, 41, 5, 9, 33, 41, 17, 5, 9]

RUNS = {
    "greedy": {},
    "sampled": {"temperature": 0.8, "seed": 3},
    "strict": {"strict": True},
    "static": {"capture": "on"},
    "dynamic": {"drafter": "token_recycling_dynamic", "tree": "auto"},
}
GENERATE = {"max_new_tokens": 20, "eos_token_id": None, "repetition_penalty": 1.2}
OURS = {"custom_generate": token_recycling, "tree": "small-8"}


def decoded(target, **settings):
    settings = {"tree": "paper", "max_new_tokens": 30, "ignore_eos": True, **settings}
    return record(Session(target, Settings(**settings)).start(PROMPT))


def without_clock(trace):
    """Everything of a trace but where and how fast it ran."""
    told = json.loads(trace.to_json())
    for step in told["steps"]:
        del step["timing"]
    del told["info"]["device"], told["info"]["prefill_ms"], told["info"]["cost"]
    return told


def work(folder: str, out: str) -> dict:
    target = load_target(folder, tensor_parallel=True, attention="eager")
    rank = dist.get_rank()
    told = {
        name: without_clock(decoded(target.fork(), **settings)) for name, settings in RUNS.items()
    }
    measured = decoded(target.fork(), tree="auto")
    told |= {"auto": list(measured.output_ids), "cost": measured.info.cost}

    model, ids = target._loaded.model, torch.tensor([PROMPT])
    for name, more in {"plain": {}, "ours": OURS}.items():
        torch.manual_seed(7)
        told[name] = model.generate(ids, do_sample=True, **GENERATE, **more)[0].tolist()
    disagreeing(told, model, target, rank, ids)

    files = ["--trace", f"{out}/trace{rank}", "--matrix-out", f"{out}/rows{rank}"]
    words = [
        "run",
        "--model",
        folder,
        "--prompt",
        "the then",
        "--tree",
        "small-8",
        "--max-new-tokens",
        "9",
    ]
    with (
        contextlib.redirect_stdout(io.StringIO()) as spoken,
        contextlib.redirect_stderr(io.StringIO()) as complained,
    ):
        # It takes leave of the other process at its end, so whatever needs both must come before.
        told["status"] = main([*words, "--json", "--check", "--ignore-eos", *files])
        told["refused"] = main([*words, "--temperature", "-1"])
    told |= {
        "spoken": spoken.getvalue(),
        "complained": complained.getvalue(),
        "left": not dist.is_initialized(),
    }
    return told | {"processes": target._loaded.processes.size}


def disagreeing(told, model, target, rank, ids) -> None:
    """The second process gets noise for logits, other dice, and a clock that runs ahead."""
    forward, now = HFTarget._forward, time.time
    noise = torch.Generator().manual_seed(1)
    HFTarget._forward = lambda *a, **k: (
        forward(*a, **k) + rank * 50 * torch.randn(tiny.VOCAB, generator=noise)
    )
    told["noisy"] = list(decoded(target.fork()).output_ids)
    torch.manual_seed(rank)
    told["dice"] = model.generate(ids, do_sample=True, **GENERATE, **OURS)[0].tolist()
    time.time = lambda: now() + 1000 * rank
    told["late"] = len(model.generate(ids, max_time=100, **GENERATE, **OURS)[0])
    HFTarget._forward, time.time = forward, now


if __name__ == "__main__":
    told = json.dumps(work(*sys.argv[1:]))
    (Path(sys.argv[2]) / f"told{os.environ['RANK']}").write_text(told)
