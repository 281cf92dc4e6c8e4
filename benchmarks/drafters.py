"""Tokens per pass and per second of drafters and trees, against plain decoding and transformers' ``generate``.

    python benchmarks/drafters.py --model pocket --max-new-tokens 128

All in one process, on the same prompts, times of the whole call, prefill included; the better of ``--rounds`` rounds
in which all cases take turns, since whatever else the machine does only adds time. ``speed-up`` is over our own plain
decoding, ``over generate`` over transformers' greedy ``generate``; ``worst`` is the lowest speed-up on one prompt.
Every output is compared with ``generate``'s, id by id.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
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
    ("token_recycling", "auto"),
]


def read_prompts(path: Path) -> list[tuple[str, str]]:
    """(name, text) of the presets, or of a prompt file."""
    if path.suffix == ".json":
        return [(p["name"], p["prompt"]) for p in json.loads(path.read_text())]
    return [(p.name, p.text) for p in prompts.read_jsonl(path)]


def timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def keep_best(best: dict[object, list[float]], case: object, seconds: list[float]) -> None:
    best[case] = list(map(min, best.get(case, seconds), seconds))


def runs_of(target, listed, case: tuple[str, str], args: argparse.Namespace) -> Iterator[Callable[[], Session]]:
    """One call per prompt, each of which decodes it; with ``--hot`` they share one drafter."""
    settings = Settings(drafter=case[0], tree=case[1], max_new_tokens=args.max_new_tokens, trace=False)
    known = Session(target, settings).drafter if args.hot else None
    for _, ids in listed:

        def run(ids: list[int] = ids) -> Session:
            session = Session(target, settings, drafter=known).start(ids)
            for _ in session.run():
                pass
            return session

        yield run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prompts", type=Path, default=report.ROOT / "assets" / "presets.json")
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hot", action="store_true", help="keep the matrix from prompt to prompt")
    args = parser.parse_args()
    target = load_target(catalog.source(args.model), dtype=args.dtype, device=args.device)
    listed = [(name, target.vocabulary.encode(text)) for name, text in read_prompts(args.prompts)]
    plain = Settings(drafter="none", max_new_tokens=args.max_new_tokens, trace=False)

    expected = [reference.plain_ids(target, ids, plain) for _, ids in listed]
    best: dict[object, list[float]] = {}
    for _ in range(args.rounds):
        keep_best(best, "generate", [timed(lambda i=ids: reference.plain_ids(target, i, plain)) for _, ids in listed])
        for case in CASES:
            keep_best(best, case, [timed(run) for run in runs_of(target, listed, case, args)])

    rows = []
    for drafter, tree in CASES:
        sessions = []
        for run in runs_of(target, listed, (drafter, tree), args):
            sessions.append(run())
        identical = [s.output_ids for s in sessions] == expected
        steps, seconds, base = sum(s.passes for s in sessions), best[drafter, tree], best[CASES[0]]
        tokens = sum(map(len, expected))
        rows.append(
            {
                "drafter": drafter,
                "tree": tree if drafter != "none" else "-",
                "tokens per pass": tokens / steps,
                "tokens/s": tokens / sum(seconds),
                "speed-up": sum(base) / sum(seconds),
                "worst": min(b / s for b, s in zip(base, seconds, strict=True)),
                "over generate": sum(best["generate"]) / sum(seconds),
                "identical": identical,
            }
        )
    start = "hot" if args.hot else "cold"
    report.show(f"{args.model}, {target.dtype}, {target.device}, {len(listed)} prompts, {start}, greedy", rows)


if __name__ == "__main__":
    main()
