"""``--tree auto`` against our plain decoding, transformers' ``generate`` and its prompt look-up, on the same prompts.

    python benchmarks/budget.py --prompts prompts.jsonl

All in one process, greedy, cold, times of the whole call, prefill included. The four take turns on each prompt, in
another order every round, and the best of their rounds counts: what else the machine does only ever adds time.
``total`` is the sum of times against the sum of times, ``worst`` the lowest ratio on one prompt.

``--make prompts.jsonl --data FOLDER`` writes the prompts that the project's figure is told of: the presets, 10 MBPP
questions and 10 GSM8K questions from the end of the training file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import report
import torch
from drafters import read_prompts

from tr_core import Session, Settings, catalog, load_target
from tr_core.hf_target import HFTarget

PRESETS = report.ROOT / "assets" / "presets.json"
AGAINST = {"plain": "our plain decoding", "generate": "generate", "lookup": "generate + prompt_lookup_num_tokens=10"}


def make_prompts(path: Path, data: Path, each: int = 10) -> None:
    """Write the prompt file: presets, then ``each`` MBPP and GSM8K questions of the folder ``data``."""
    texts = [p["prompt"] for p in json.loads(PRESETS.read_text())]
    mbpp = (data / "mbpp_questions.jsonl").read_text().splitlines()[:each]
    gsm8k = (data / "gsm8k_train.jsonl").read_text().splitlines()[-each:]
    texts += [json.loads(line)["turns"][0] for line in mbpp]
    texts += [f"Question: {json.loads(line)['question']}\nAnswer:" for line in gsm8k]
    path.write_text("".join(json.dumps({"prompt": t}) + "\n" for t in texts))


def ways(target: HFTarget, ids: list[int], limit: int) -> dict[str, Callable[[], list[int]]]:
    """The four ways to continue ``ids``, each a call that returns the new ids."""
    model = target._loaded.model
    prompt = torch.tensor([ids], device=target.device)
    common = {
        "max_new_tokens": limit, "do_sample": False, "pad_token_id": 0, "attention_mask": torch.ones_like(prompt),
        "eos_token_id": sorted(target.eos_ids) or None,
    }  # fmt: skip

    def ours(drafter: str) -> list[int]:
        session = Session(target, Settings(drafter=drafter, max_new_tokens=limit, trace=False)).start(ids)
        for _ in session.run():
            pass
        return session.output_ids

    def theirs(**more: int) -> list[int]:
        with torch.inference_mode():
            return model.generate(prompt, **common, **more)[0, len(ids) :].tolist()

    return {
        "auto": lambda: ours("token_recycling"),
        "plain": lambda: ours("none"),
        "generate": theirs,
        "lookup": lambda: theirs(prompt_lookup_num_tokens=10),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prompts", type=Path, default=PRESETS)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its own choice")
    parser.add_argument("--cpu-time", action="store_true", help="seconds of CPU: for a busy machine, with --threads 1")
    parser.add_argument("--make", type=Path, help="write the prompt file here and stop")
    parser.add_argument("--data", type=Path, help="folder of the texts for --make")
    args = parser.parse_args()
    if args.make:
        make_prompts(args.make, args.data)
        return
    if args.threads:
        torch.set_num_threads(args.threads)
    clock = time.process_time if args.cpu_time else time.perf_counter
    rows, curves = [], {}
    for dtype in args.dtypes.split(","):
        target = load_target(catalog.source(args.model), dtype=dtype, device=args.device)
        listed = [target.vocabulary.encode(text) for _, text in read_prompts(args.prompts)]
        curves[dtype] = target.cost_curve(Settings(trace=False)).rounded()
        for run in ways(target, listed[0], 16).values():
            run()  # the first call pays for what the others reuse

        best = {name: [float("inf")] * len(listed) for name in ("auto", *AGAINST)}
        outputs: dict[str, list[list[int]]] = {name: [[]] * len(listed) for name in best}
        for number in range(args.rounds):
            for place, ids in enumerate(listed):
                calls = list(ways(target, ids, args.max_new_tokens).items())
                turn = (number + place) % len(calls)
                for name, run in calls[turn:] + calls[:turn]:
                    began = clock()
                    outputs[name][place] = run()
                    best[name][place] = min(best[name][place], clock() - began)
        tokens = {name: sum(map(len, o)) for name, o in outputs.items()}
        for name, text in AGAINST.items():
            # Per token, since near-ties of half precision can end an output elsewhere.
            ratios = [
                (t / len(theirs)) / (a / len(ours))
                for t, a, theirs, ours in zip(best[name], best["auto"], outputs[name], outputs["auto"], strict=True)
            ]
            rows.append(
                {
                    "dtype": dtype,
                    "auto against": text,
                    "total": sum(best[name]) / tokens[name] / (sum(best["auto"]) / tokens["auto"]),
                    "worst": min(ratios),
                    "on prompt": ratios.index(min(ratios)),
                    "auto tokens/s": tokens["auto"] / sum(best["auto"]),
                    "its tokens/s": tokens[name] / sum(best[name]),
                    "identical": sum(a == b for a, b in zip(outputs[name], outputs["auto"], strict=True)) / len(listed),
                }
            )
    report.show(f"{args.model}, tree auto, {len(listed)} prompts, cold, greedy", rows, cost_ms=curves)


if __name__ == "__main__":
    main()
