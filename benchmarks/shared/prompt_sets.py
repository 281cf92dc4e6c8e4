"""Prompts that benchmarks share, and ways to continue one: ours and transformers' own.

    python -m benchmarks.shared.prompt_sets prompts.jsonl --data FOLDER

writes the prompts that the project's figures are told of: the presets, 10 MBPP questions and 10
GSM8K questions from the end of the training file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import CompileConfig

from benchmarks.shared import report
from tr_core import Session, Settings
from tr_core.cli import prompts
from tr_core.decoding.static.graphs import can_capture
from tr_core.drafters.base import Drafter
from tr_core.drafters.registry import DRAFTERS
from tr_core.models.hf_target import HFTarget

PRESETS = report.ROOT / "assets" / "presets.json"
# As transformers' documentation and Saxena's own figures have it.
LOOKUP_TOKENS = 10
# Fixed trees of token recycling, to hold auto against.
TREES = ("chain-4", "small-8", "small-16", "wide-32", "paper")

# Drafters whose rows are worth carrying over from prompt to prompt.
HOT = ("token_recycling", "recycling_plus")


def read(path: Path) -> list[tuple[str, str]]:
    """(name, text) of the presets, or of a prompt file: Spec-Bench's lines, or ``{"prompt": …}``
    lines.

    Raises:
        PromptError: the file holds none.
    """
    if path.suffix == ".json":
        return [(p["name"], p["prompt"]) for p in json.loads(path.read_text())]
    return [(p.name, p.text) for p in prompts.read_jsonl(path)]


def make(path: Path, data: Path, each: int = 10) -> None:
    """Write a prompt file: the presets, then ``each`` MBPP and GSM8K questions of the folder
    ``data``.
    """
    texts = [p["prompt"] for p in json.loads(PRESETS.read_text())]
    mbpp = (data / "mbpp_questions.jsonl").read_text().splitlines()[:each]
    gsm8k = (data / "gsm8k_train.jsonl").read_text().splitlines()[-each:]
    texts += [json.loads(line)["turns"][0] for line in mbpp]
    texts += [f"Question: {json.loads(line)['question']}\nAnswer:" for line in gsm8k]
    path.write_text("".join(json.dumps({"prompt": t}) + "\n" for t in texts))


def ours(
    target: HFTarget, ids: list[int], knowing: Drafter | None = None, **settings: Any
) -> Session:
    """A session run to its end, without a trace; ``knowing``: a drafter that has seen other
    prompts.
    """
    session = Session(target, Settings(trace=False, **settings), drafter=knowing).start(ids)
    for _ in session.run():
        pass
    return session


def theirs(target: HFTarget, ids: list[int], limit: int, **more: Any) -> list[int]:
    """New ids of ``model.generate``, greedy, with ``more`` of its arguments."""
    prompt = torch.tensor([ids], device=target.device)
    with torch.inference_mode():
        output = target._loaded.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=limit,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=sorted(target.eos_ids) or None,
            **more,
        )
    return output[0, len(ids) :].tolist()


# What runs for a prompt: (new ids, forward passes after the prefill; None if nobody counted).
Way = Callable[[HFTarget, list[int], int], tuple[list[int], int | None]]


def _session(**settings: Any) -> Way:
    def run(target: HFTarget, ids: list[int], limit: int) -> tuple[list[int], int]:
        session = ours(target, ids, max_new_tokens=limit, **settings)
        return session.output_ids, session.passes

    return run


def _hot(**settings: Any) -> Way:
    """One drafter through all prompts that this way is called with."""
    kept: list[Drafter] = []

    def run(target: HFTarget, ids: list[int], limit: int) -> tuple[list[int], int]:
        session = ours(target, ids, *kept, max_new_tokens=limit, **settings)
        kept[:] = [session.drafter]
        return session.output_ids, session.passes

    return run


def _generate(**more: Any) -> Way:
    return lambda target, ids, limit: (theirs(target, ids, limit, **more), None)


def ways(device: torch.device, static: bool = False) -> dict[str, Way]:
    """Name → way, plain decoding of ours first; every drafter of the registry is among them.

    A way that is called hot remembers the prompts it was called with: take new ways for a new
    round.

    Args:
        device: of the model: what only a device with graphs does well is left out on others.
        static: our static step too where nothing captures it.
    """
    found: dict[str, Way] = {
        "none": _session(drafter="none"),
        "generate": _generate(),
        "generate, prompt look-up": _generate(prompt_lookup_num_tokens=LOOKUP_TOKENS),
    }
    if can_capture(device):
        compiled = CompileConfig(fullgraph=True, mode="reduce-overhead")
        found["generate, static cache, compiled"] = _generate(
            cache_implementation="static", compile_config=compiled, disable_compile=False
        )
    if can_capture(device) or static:
        found["none, static step"] = _session(drafter="none", capture="on")
    for name, entry in DRAFTERS.items():
        if entry.drafts:
            found[f"{name}, auto"] = _session(drafter=name)
        if entry.uses_tree and (can_capture(device) or static):
            found[f"{name}, auto, static step"] = _session(drafter=name, capture="on")
    for name in HOT:
        found[f"{name}, auto, hot"] = _hot(drafter=name)
    found["prompt_lookup, 8 nodes"] = _session(drafter="prompt_lookup", tree="8")
    for tree in TREES:
        found[f"token_recycling, {tree}"] = _session(drafter="token_recycling", tree=tree)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of the texts")
    args = parser.parse_args()
    make(args.file, args.data)


if __name__ == "__main__":
    main()
