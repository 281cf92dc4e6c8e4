"""What a step costs and where its time goes: t(N), its parts, memory, growth with the prompt and
the vocabulary.

    python -m benchmarks.steps.steps

Medians over rounds in which the sizes take turns. A tiny model of random weights stands in where
the model's own positions are too few, and the note beside the figures says so.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from benchmarks.shared import report
from tr_core import Session, Settings, load_target
from tr_core.decoding.top_k import top
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.models import catalog
from tr_core.models.hf_target import HFTarget
from tr_core.models.loading import silence_libraries, wrap
from tr_core.target import Draft
from tr_core.trees import templates
from tr_core.trees.tree import TreeTemplate

SIZES = (0, 2, 4, 8, 16, 32, 48, 64, 80)
PROMPT = 256
PROMPTS = (128, 512, 2048, 8192)
VOCABULARIES = (32_000, 64_000, 128_000, 152_000, 256_000)
LARGEST = 152_000
K = 8


def shape(nodes: int) -> TreeTemplate:
    return templates.grown(nodes) if nodes else templates.chain(0)


def timed(call: Callable[[], object], clock: Callable[[], float]) -> float:
    """Milliseconds of one call, the device waited for."""
    began = clock()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (clock() - began) * 1e3


def noisy_drafter(vocab_size: int, device: torch.device) -> TokenRecycling:
    """One that knows a row for every token, at random: drafts are full, and hardly ever right."""
    matrix = CandidateMatrix(vocab_size, K, device)
    noise = torch.Generator().manual_seed(0)
    matrix.rows.copy_(
        torch.randint(vocab_size, matrix.rows.shape, generator=noise, dtype=torch.int32)
    )
    return TokenRecycling(matrix)


def stepping(target: HFTarget, length: int, trace: bool = False) -> Session:
    """A session behind a prompt of ``length`` tokens, the template to be set from step to step."""
    noise = torch.Generator().manual_seed(1)
    prompt = torch.randint(2, target.vocab_size, (length,), generator=noise).tolist()
    settings = Settings(
        tree=shape(0), max_new_tokens=100_000, ignore_eos=True, trace=trace, prompt_rows=False
    )
    return Session(
        target.fork(), settings, drafter=noisy_drafter(target.vocab_size, target.device)
    ).start(prompt)


def curve(target: HFTarget, args: argparse.Namespace) -> report.Table:
    """t(N) at 256 cached tokens, and where the steps' time goes, which a trace tells."""
    rounds = 1 if args.quick else 12 * args.rounds
    session = stepping(target, PROMPT, trace=True)
    spent: dict[int, list[tuple[float, ...]]] = {n: [] for n in SIZES}
    for number in range(rounds + 1):
        for nodes in SIZES:
            session.use(shape(nodes))
            began = args.clock()
            timing = session.step().timing
            whole = (args.clock() - began) * 1e3
            if number:  # the first round pays for what the others reuse
                spent[nodes].append(
                    (
                        whole,
                        timing.draft_ms,
                        timing.forward_ms,
                        timing.verify_ms,
                        timing.update_ms,
                        whole - timing.total_ms,
                    )
                )
    # Keeping is measured by itself: within a step it is part of verifying.
    rows = []
    for nodes, samples in spent.items():
        whole, draft, forward, verify, update, host = (
            median(column) for column in zip(*samples, strict=True)
        )
        compact = compaction(target, nodes, rounds, args.clock)
        rows.append(
            {
                "nodes": nodes,
                "step ms": whole,
                "t(N) / t(0)": whole / median(s[0] for s in spent[0]),
                "draft": draft,
                "forward": forward,
                "verify": max(0.0, verify - compact),
                "compact": compact,
                "update": update,
                "host": host,
                "forward %": f"{forward / whole:.0%}",
            }
        )
    note = (
        f"ms, medians of {rounds}, from {PROMPT} cached tokens on, trace on; host is what no other"
        " part tells of."
    )
    return report.Table(
        f"A step by its draft nodes: {args.model}, {target.dtype}, {target.device}", rows, note
    )


def compaction(target: HFTarget, nodes: int, rounds: int, clock: Callable[[], float]) -> float:
    """Median ms of keeping the root and, where there are two nodes, the second one, whose rows must
    move.
    """
    fork = target.fork()
    fork.prefill([2] * PROMPT)
    count = nodes + 1
    tokens = torch.full((count,), 2, dtype=torch.int64, device=target.device)
    draft = Draft(shape(nodes), tokens, torch.ones(count, dtype=torch.bool, device=target.device))
    times = []
    for _ in range(rounds):
        fork.score(draft)
        times.append(timed(lambda: fork.keep((0, 2) if nodes >= 2 else (0,)), clock))
        fork.rewind(PROMPT)
    return median(times)


def memory(target: HFTarget, args: argparse.Namespace) -> report.Table:
    """Bytes of what decoding holds, and the peak of this process so far."""
    session = stepping(target, PROMPT)
    matrix = session.drafter.matrix
    per_token = session.target.cache_bytes_per_token
    rows = [
        {"what": "weights that a pass reads", "MiB": target.weight_bytes / 2**20},
        {
            "what": f"keys and values, 1,000 tokens ({per_token:,} bytes each)",
            "MiB": 1000 * per_token / 2**20,
        },
        {"what": f"matrix, {matrix.vocab_size:,} × {matrix.k}", "MiB": matrix.nbytes / 2**20},
        {"what": "peak of this process, torch and all", "MiB": peak_mib()},
    ]
    if torch.cuda.is_available():
        rows.append({"what": "peak of the GPU", "MiB": torch.cuda.max_memory_allocated() / 2**20})
    return report.Table(f"Memory: {args.model}, {target.dtype}, {target.device}", rows)


def peak_mib() -> float:
    """Peak of this process's memory; Linux counts KiB, macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def random_target(
    args: argparse.Namespace, vocab_size: int, positions: int, device: torch.device
) -> HFTarget:
    """A Llama of two layers, 64 wide, random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
    )
    with silence_libraries():
        tokenizer = AutoTokenizer.from_pretrained(catalog.source(args.model))
        model = AutoModelForCausalLM.from_config(config).to(device)
    return wrap(model, tokenizer, "random, 64 wide, 2 layers")


def starting(
    target: HFTarget, prompt: list[int], rows_too: bool, clock: Callable[[], float]
) -> float:
    """Milliseconds of a prefill, with or without the prompt's rows."""
    session = Session(target.fork(), Settings(tree="small-8", prompt_rows=rows_too))
    return timed(lambda: session.start(prompt), clock)


def growth(target: HFTarget, args: argparse.Namespace) -> report.Table:
    """Prefill and step by the length of the prompt."""
    rows = []
    lengths = PROMPTS[:2] if args.quick else PROMPTS
    rounds = 1 if args.quick else 4 * args.rounds
    for length in lengths:
        stand_in = length + 200 > target.max_length
        mine = (
            random_target(args, target.vocab_size, 2 * length, target.device)
            if stand_in
            else target
        )
        noise = torch.Generator().manual_seed(1)
        prompt = torch.randint(2, mine.vocab_size, (length,), generator=noise).tolist()
        started = {
            rows_too: median(
                starting(mine, prompt, rows_too, args.clock) for _ in range(1 if args.quick else 3)
            )
            for rows_too in (False, True)
        }
        session = stepping(mine, length)
        spent: dict[int, list[float]] = {0: [], 8: [], 16: []}
        for number in range(rounds + 1):
            for nodes, times in spent.items():
                session.use(shape(nodes))
                elapsed = timed(session.step, args.clock)
                if number:
                    times.append(elapsed)
        rows.append(
            {
                "prompt": length,
                "model": Path(mine.name).name,
                "prefill ms": started[False],
                "with rows ms": started[True],
                **{f"t({n}) ms": median(t) for n, t in spent.items()},
            }
        )
    note = (
        f"Random tokens. Beyond {target.max_length:,} positions a tiny model with **random"
        " weights** stands in."
    )
    return report.Table(
        f"Growth with the prompt: {args.model}, {target.dtype}, {target.device}", rows, note
    )


def vocabulary(target: HFTarget, args: argparse.Namespace) -> report.Table:
    """What the matrix costs by the width of the vocabulary: no model is in it but the logits'
    width.
    """
    rows = []
    sizes = VOCABULARIES[:2] if args.quick else VOCABULARIES
    rounds = 2 if args.quick else 10 * args.rounds
    template = shape(16)
    for width in sizes:
        drafter = noisy_drafter(width, target.device)
        noise = torch.Generator(target.device).manual_seed(0)
        logits = torch.rand(template.nodes + 1, width, generator=noise, device=target.device)
        spent: dict[str, list[float]] = {"propose": [], "rank": [], "observe": []}
        for _ in range(rounds):
            spent["propose"].append(timed(lambda d=drafter: d.propose([5], template), args.clock))
            draft = drafter.propose([5], template)
            spent["rank"].append(timed(lambda x=logits: top(x, K), args.clock))
            candidates = top(logits, K)[1]
            spent["observe"].append(
                timed(lambda d=drafter, r=draft, c=candidates: d.observe(r, c), args.clock)
            )
        told = {f"{name} µs": 1e3 * median(times) for name, times in spent.items()}
        rows.append({"vocabulary": width, **told, "matrix MiB": drafter.matrix.nbytes / 2**20})
    note = "16 nodes, random rows and logits, no model; rank is the top 8 of 17 rows of logits."
    return report.Table(f"Growth with the vocabulary: {target.device}", rows, note)


def matrix(target: HFTarget, args: argparse.Namespace) -> report.Table:
    """Reset, save and load of a wide matrix."""
    known = noisy_drafter(LARGEST, target.device).matrix
    spent: dict[str, list[float]] = {"reset": [], "save": [], "load": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "matrix.safetensors"
        for _ in range(args.rounds):
            rows = known.rows.clone()
            spent["save"].append(timed(lambda: known.save(path, "any"), args.clock))
            spent["load"].append(
                timed(
                    lambda: CandidateMatrix.load(
                        path, fingerprint="any", vocab_size=LARGEST, device=target.device
                    ),
                    args.clock,
                )
            )
            spent["reset"].append(timed(known.clear, args.clock))
            known.rows.copy_(rows)
        size = path.stat().st_size
    told = {f"{name} ms": median(times) for name, times in spent.items()}
    row = {"vocabulary": LARGEST, "MiB": known.nbytes / 2**20, "file MiB": size / 2**20, **told}
    return report.Table(f"The matrix of a wide vocabulary: {target.device}", [row])


PARTS: dict[str, Callable[[HFTarget, argparse.Namespace], report.Table]] = {
    "curve": curve,
    "memory": memory,
    "prompt": growth,
    "vocabulary": vocabulary,
    "matrix": matrix,
}


def tables(args: argparse.Namespace) -> list[report.Table]:
    """All parts; what does not depend on the dtype is done for the first one only."""
    args.clock = time.process_time if args.cpu_time else time.perf_counter
    found = []
    for number, dtype in enumerate(args.dtypes.split(",")):
        target = load_target(catalog.source(args.model), dtype=dtype, device=args.device)
        for name, part in PARTS.items():
            if number and name in ("vocabulary", "matrix"):
                continue
            report.say(f"  {name}, {dtype}")
            found.append(part(target, args))
    return found


def main() -> None:
    args = report.parsed(report.options(__doc__))
    report.show_all("Steps", tables(args))


if __name__ == "__main__":
    main()
