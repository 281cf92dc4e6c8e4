"""What recording costs: the time of steps with the trace on, over the same steps with it off.

    python -m benchmarks.steps.trace_tax   # the bundled model, a random 15 M Llama
    python -m benchmarks.steps.trace_tax --cpu-time --threads 1    # on a busy machine

Both runs make the same steps, so each step is timed many times, a step with a trace beside the same
step without one, and its least time counts: what else the machine does only ever adds. ``tax`` is
the share that recording adds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedTokenizerBase

from benchmarks.shared import report
from tr_core import Session, Settings, load_target
from tr_core.models import catalog
from tr_core.models.hf_target import HFTarget
from tr_core.models.loading import silence_libraries, wrap

TREES = ("small-8", "small-16", "paper")
PROMPT = (
    "once upon a time, there was a little girl named lily. one day, lily took her red kite to the"
    " park."
)


def random_llama(like: HFTarget, tokenizer: PreTrainedTokenizerBase) -> HFTarget:
    """The shape of stories15M (github.com/karpathy/llama2.c): 288 wide, 6 layers, 32,000 tokens."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=288,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=6,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=like.dtype).to(like.device)
    return wrap(model, tokenizer, "random 15M")


def least_seconds(
    target: HFTarget,
    tree: str,
    ids: list[int],
    args: argparse.Namespace,
    clock: Callable[[], float],
) -> dict[bool, float]:
    """Seconds of all steps without and with a trace, each step's the least of the rounds."""
    best: dict[bool, list[float]] = {False: [], True: []}
    for number in range(args.rounds):
        sessions = {
            trace: (
                Session(
                    target.fork(),
                    Settings(
                        tree=tree, max_new_tokens=args.max_new_tokens, ignore_eos=True, trace=trace
                    ),
                ).start(ids)
            )
            for trace in best
        }
        step = 0
        while sessions[False].stop_reason is None:
            # Side by side, so that both meet the same machine; who goes first changes from step to
            # step.
            for trace in (False, True) if (step + number) % 2 else (True, False):
                began = clock()
                sessions[trace].step()
                elapsed = clock() - began
                if step == len(best[trace]):
                    best[trace].append(elapsed)
                best[trace][step] = min(best[trace][step], elapsed)
            step += 1
    return {trace: sum(times) for trace, times in best.items()}


def tables(args: argparse.Namespace) -> list[report.Table]:
    """One table a dtype, the bundled model and the random one in it."""
    clock = time.process_time if args.cpu_time else time.perf_counter
    found = []
    for dtype in args.dtypes.split(","):
        known = load_target(catalog.source(args.model), dtype=dtype, device=args.device)
        ids = known.vocabulary.encode(PROMPT)
        with silence_libraries():
            random = random_llama(known, AutoTokenizer.from_pretrained(catalog.source(args.model)))
        rows = []
        for target in (known, random):
            for tree in TREES[:1] if args.quick else TREES:
                report.say(f"  trace tax, {dtype}, {Path(target.name).name}, {tree}")
                spent = least_seconds(target, tree, ids, args, clock)
                tax = f"{spent[True] / spent[False] - 1:.1%}"
                told = {
                    f"ms {word}": 1e3 * spent[trace]
                    for trace, word in ((False, "off"), (True, "on"))
                }
                rows.append({"model": Path(target.name).name, "tree": tree, **told, "tax": tax})
        found.append(
            report.Table(
                f"What a trace costs: {known.dtype}, {known.device}, {args.rounds} rounds", rows
            )
        )
    return found


def main() -> None:
    parser = report.options(__doc__)
    parser.set_defaults(max_new_tokens=48, rounds=15)
    args = report.parsed(parser)
    report.show_all("What a trace costs", tables(args))


if __name__ == "__main__":
    main()
