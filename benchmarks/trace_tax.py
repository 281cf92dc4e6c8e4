"""What recording costs: the time of steps with the trace on, over the same steps with it off.

    python benchmarks/trace_tax.py --model pocket
    python benchmarks/trace_tax.py --random          # a 15 M Llama with random weights, 32,000 tokens

Both runs make the same steps, so each step is timed many times, runs with and without a trace taking turns, and its
least time counts: what else the machine does only ever adds. ``tax`` is the share that recording adds to a step.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import report
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedTokenizerBase

from tr_core import Session, Settings, catalog, load_target
from tr_core.hf_target import HFTarget
from tr_core.loading import wrap

TREES = ("small-8", "small-16", "paper")
PROMPT = "once upon a time, there was a little girl named lily. one day, lily took her red kite to the park."


def random_llama(like: HFTarget, tokenizer: PreTrainedTokenizerBase) -> HFTarget:
    """The shape of stories15M (github.com/karpathy/llama2.c): 288 wide, 6 layers, 32,000 tokens."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32_000, hidden_size=288, intermediate_size=768, num_hidden_layers=6, num_attention_heads=6,
        max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, dtype=like.dtype).to(like.device)
    return wrap(model, tokenizer, "random 15M")


def step_seconds(target: HFTarget, settings: Settings, ids: list[int], best: list[float]) -> list[float]:
    """The lower of ``best`` and the seconds of each step of this run."""
    session = Session(target, settings).start(ids)
    seconds = []
    while session.stop_reason is None:
        began = time.perf_counter()
        session.step()
        seconds.append(time.perf_counter() - began)
    return [min(pair) for pair in zip(seconds, best or seconds, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--random", action="store_true", help="a random 15 M Llama on the model's device")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--max-new-tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    target = load_target(catalog.source(args.model), dtype=args.dtype, device=args.device)
    ids = target.vocabulary.encode(PROMPT)
    if args.random:
        target = random_llama(target, AutoTokenizer.from_pretrained(catalog.source(args.model)))
    rows = []
    for tree in TREES:
        best: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(args.rounds):
            for trace, known in best.items():
                settings = Settings(tree=tree, max_new_tokens=args.max_new_tokens, ignore_eos=True, trace=trace)
                best[trace] = step_seconds(target, settings, ids, known)
        off, on = (1e3 * sum(best[trace]) / len(best[trace]) for trace in (False, True))
        rows.append({"tree": tree, "ms/step off": off, "ms/step on": on, "tax %": 100 * (on / off - 1)})
    report.show(f"{target.name}, {target.dtype}, {target.device}, {args.rounds} rounds", rows)


if __name__ == "__main__":
    main()
