"""What packed weights save on a CPU: passes over some tokens with the weights as they are stored,
and packed.

    python -m benchmarks.steps.packing [--dtypes float32,bfloat16]

The bundled model, and the shape of SmolLM2-135M with random weights, whose passes cost what the
real ones do. The two ways take turns, and the least time of each counts: what else the machine does
only ever adds.
"""

from __future__ import annotations

import argparse
import time

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from benchmarks.shared import report
from tr_core.models import catalog
from tr_core.models.hf_target import HFTarget
from tr_core.models.load_progress import silence_libraries
from tr_core.models.loading import build_target, examine
from tr_core.models.packed_weights import PackedLinear, packed
from tr_core.target import Draft
from tr_core.trees import templates

NODES = (0, 1, 2, 4, 8, 16, 32, 80)
CACHED = 200


def smollm_shape() -> PreTrainedModel:
    """The shape of HuggingFaceTB/SmolLM2-135M, its weights random."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    return AutoModelForCausalLM.from_config(config)


def least_ms(ways: dict[str, HFTarget], nodes: int, rounds: int) -> dict[str, float]:
    """Milliseconds of a pass over a root and ``nodes`` nodes behind ``CACHED`` tokens, by way."""
    template = templates.grown(nodes) if nodes else templates.chain(0)
    tokens = torch.arange(nodes + 1)
    draft = Draft(template, tokens, torch.ones(nodes + 1, dtype=torch.bool))
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for way, target in ways.items():
            began = time.perf_counter()
            target.score(draft)
            best[way] = min(best[way], time.perf_counter() - began)
            target.rewind(CACHED)
    return {way: 1e3 * seconds for way, seconds in best.items()}


def measured(name: str, model: PreTrainedModel, rounds: int) -> report.Table:
    """Both ways of one model, with what packing took."""
    model.eval().requires_grad_(False)
    began = time.perf_counter()
    runner = packed(model)
    took = time.perf_counter() - began
    found = examine(model)
    ways = {
        "as stored": build_target(model, found),
        "packed": build_target(model, found, runner=runner),
    }
    for target in ways.values():
        target.prefill(range(10, 10 + CACHED))
    rows = []
    for nodes in NODES:
        ms = least_ms(ways, nodes, rounds)
        rows.append(
            {"nodes": nodes} | {f"{way}, ms": round(value, 2) for way, value in ms.items()}
            | {"times as fast": round(ms["as stored"] / ms["packed"], 2)}
        )  # fmt: skip
    copies = (
        0
        if runner is model
        else sum(x.weight.nbytes for x in runner.modules() if isinstance(x, PackedLinear))
    )
    title = f"{name}, {str(model.dtype).removeprefix('torch.')}"
    return report.Table(title, rows, f"packed in {took:.2f} s, {copies / 2**20:.0f} MiB of copies")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    tables = []
    for name in args.dtypes.split(","):
        dtype = getattr(torch, name)
        with silence_libraries():
            pocket = AutoModelForCausalLM.from_pretrained(catalog.source("pocket"), dtype=dtype)
            tables.append(measured("pocket", pocket, args.rounds))
            tables.append(
                measured(
                    "the shape of SmolLM2-135M", smollm_shape().to(dtype), max(5, args.rounds // 6)
                )
            )
    report.show_all("Packed weights: a pass on a CPU", tables)


if __name__ == "__main__":
    main()
