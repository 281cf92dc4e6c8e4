"""Tokens per pass and per second of drafters and trees, against plain decoding and transformers' ``generate``.

    python benchmarks/drafters.py --model pocket --max-new-tokens 128

All in one process, on the same prompts, times of the whole call, prefill included. ``speed-up`` is over our own plain
decoding, ``over generate`` over transformers' greedy ``generate``; ``worst`` is the lowest speed-up on one prompt.
Every output is compared with ``generate``'s, id by id.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import report

from tr_core import Session, Settings, catalog, load_target, prompts, reference

CASES = [
    ("none", "auto"),
    ("prompt_lookup", "small-8"),
    ("token_recycling", "chain-4"),
    ("token_recycling", "small-8"),
    ("token_recycling", "small-16"),
    ("token_recycling", "wide-32"),
    ("token_recycling", "paper"),
]


def read_prompts(path: Path) -> list[tuple[str, str]]:
    """(name, text) of the presets, or of a prompt file."""
    if path.suffix == ".json":
        return [(p["name"], p["prompt"]) for p in json.loads(path.read_text())]
    return [(p.name, p.text) for p in prompts.read_jsonl(path)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prompts", type=Path, default=report.ROOT / "assets" / "presets.json")
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--hot", action="store_true", help="keep the matrix from prompt to prompt")
    args = parser.parse_args()
    target = load_target(catalog.source(args.model), dtype=args.dtype, device=args.device)
    listed = [(name, target.vocabulary.encode(text)) for name, text in read_prompts(args.prompts)]
    plain = Settings(drafter="none", max_new_tokens=args.max_new_tokens, trace=False)

    expected, generate_seconds = [], []
    reference.plain_ids(target, listed[0][1], plain)  # the first call pays for what the others reuse
    for _, ids in listed:
        began = time.perf_counter()
        expected.append(reference.plain_ids(target, ids, plain))
        generate_seconds.append(time.perf_counter() - began)

    rows, base = [], None
    for drafter, tree in CASES:
        settings = Settings(drafter=drafter, tree=tree, max_new_tokens=args.max_new_tokens, trace=False)
        known, seconds, steps, identical = None, [], 0, True
        for (_, ids), wanted in zip(listed, expected, strict=True):
            began = time.perf_counter()
            session = Session(target, settings, drafter=known).start(ids)
            for _ in session.run():
                pass
            seconds.append(time.perf_counter() - began)
            steps += session.passes
            identical &= session.output_ids == wanted
            known = session.drafter if args.hot else None
        base = base or seconds
        tokens = sum(map(len, expected))
        rows.append(
            {
                "drafter": drafter,
                "tree": tree if drafter != "none" else "-",
                "tokens per pass": tokens / steps,
                "tokens/s": tokens / sum(seconds),
                "speed-up": sum(base) / sum(seconds),
                "worst": min(b / s for b, s in zip(base, seconds, strict=True)),
                "over generate": sum(generate_seconds) / sum(seconds),
                "identical": identical,
            }
        )
    start = "hot" if args.hot else "cold"
    report.show(f"{args.model}, {target.dtype}, {target.device}, {len(listed)} prompts, {start}, greedy", rows)


if __name__ == "__main__":
    main()
