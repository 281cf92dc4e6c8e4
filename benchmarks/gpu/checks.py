"""Everything about static steps that only a GPU can tell, in one run of under nine minutes.

    python -m benchmarks.gpu.checks [--budget 500] [--parts bandwidth,lossless,…] [--results FOLDER]

No network and no files but this repository's. Models of real shapes have **random weights**: times
are those of the real ones, texts are not. Each part has its own share of the time, and one that
fails leaves the others alone. Progress goes to stderr; stdout gets markdown tables and, as its last
line, one JSON object. Without a GPU the same parts run at toy size on the CPU, so that the script
itself is tested; those figures mean nothing, and it says so.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import attention_variants as variants
from benchmarks.gpu import lossless as gpu_lossless
from benchmarks.gpu import models as gpu_models
from benchmarks.shared import report
from tr_core.attention.static_cache import bucket_for
from tr_core.decoding.static.run import StaticRun
from tr_core.trees import templates
from tr_core.trees.tree import TreeTemplate

CACHED = 512
# Seconds that a part may go on beyond its share, which it looks at between measurements only.
GRACE = 25
BUDGETS = (8, 16, 32, 48, 64)


@dataclass
class Bench:
    """One run of the checks: where, how large, how long, and what came out."""

    device: torch.device
    end: float
    real: bool
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    deadline: float = 0.0

    def left(self) -> float:
        """Seconds that the present part still has."""
        return self.deadline - time.monotonic()

    def add(self, table: str, **row: Any) -> None:
        self.tables.setdefault(table, []).append(row)
        say(
            f"  {table}: "
            + ", ".join(
                f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()
            )
        )

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Keep what fails inside to itself, and say so; what outstays its time by far is
        interrupted.
        """
        began = time.monotonic()
        signal.alarm(max(1, int(self.left()) + GRACE))
        try:
            yield
        except Exception as error:  # one part must not lose the results of the others
            self.notes.setdefault("failed", {})[name] = f"{type(error).__name__}: {error}"[:600]
            say(traceback.format_exc(limit=6))
        finally:
            signal.alarm(0)
        self.notes.setdefault("seconds", {})[name] = round(time.monotonic() - began, 1)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def interrupt(*_: Any) -> None:
    raise TimeoutError("out of time")


def milliseconds(
    bench: Bench,
    call: Callable[[], Any],
    *,
    rounds: int = 15,
    calls: int = 10,
    before: Callable[[], None] | None = None,
) -> float:
    """Median over ``rounds`` of one call's time, ``calls`` in a row; ``before`` runs, untimed,
    before each round.
    """
    if not bench.real:
        rounds, calls = 2, 1
    times = []
    for number in range(rounds + 2):
        if before is not None:
            before()
        if bench.device.type == "cpu":
            began = time.perf_counter()
            for _ in range(calls):
                call()
            elapsed = (time.perf_counter() - began) * 1e3
        else:
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            first.record()
            for _ in range(calls):
                call()
            last.record()
            torch.cuda.synchronize()
            elapsed = first.elapsed_time(last)
        if number >= 2:
            times.append(elapsed / calls)
    return statistics.median(times)


def bandwidth(bench: Bench) -> None:
    """Bytes a second that the memory gives: a copy, counting reads and writes, and a sum, which
    only reads.
    """
    size = 2**31 if bench.real else 2**20
    source = torch.randint(0, 100, (size // 4,), dtype=torch.int32, device=bench.device)
    target = torch.empty_like(source)
    copied = 2 * size / milliseconds(bench, lambda: target.copy_(source), calls=3) / 1e6
    read = size / milliseconds(bench, lambda: source.view(torch.float32).sum(), calls=3) / 1e6
    bench.notes["bandwidth_gb_s"] = max(copied, read)
    bench.add("memory bandwidth, GB/s", copy=copied, read=read)


def attention(bench: Bench) -> None:
    """Variants of attention at the shape of one layer of a 7B, with 512 to 8,192 rows cached, in
    captured graphs.
    """
    visible = torch.tensor(templates.paper().ancestor_mask, device=bench.device)
    dtype = torch.bfloat16 if bench.real else torch.float32
    lengths = (512, 2048, 8192) if bench.real else (200,)
    for nodes, tree in ((81, visible), (1, visible[:1, :1])):
        for length in lengths:
            bucket = bucket_for(length + nodes)
            p = variants.problem(
                tree, length, bucket, (28, 4) if bench.real else (4, 2), 128, dtype
            )
            right = variants.exact(p)
            for name, make in variants.VARIANTS.items():
                if bench.left() < 0:
                    return
                row = {"tokens": nodes, "cached": length, "bucket": bucket, "variant": name}
                try:
                    with torch.inference_mode():
                        call = make(p)
                        wrong = float((call().float() - right).norm() / right.norm())
                        played = gpu_models.captured(call, bench.device)
                        bench.add(
                            "attention",
                            **row,
                            us=milliseconds(bench, played) * 1e3,
                            error=f"{wrong:.1e}",
                        )
                except Exception as error:  # a variant that a device cannot do is a finding
                    bench.add(
                        "attention",
                        **row,
                        us="-",
                        error=f"{type(error).__name__}: {str(error)[:60]}",
                    )


def steps(bench: Bench, shape: str) -> None:
    """t(N), eager and captured, for one shape; where the time goes; memory."""
    began = time.monotonic()
    sized = gpu_models.Sized(shape if bench.real else "toy", bench.device)
    say(
        f"  {sized.title}: {sized.parameters / 1e9:.2f} G parameters after"
        f" {time.monotonic() - began:.0f} s"
    )
    paper, alone = templates.paper(), templates.chain(0)
    table = f"steps, {sized.title}"
    ratio = {"shape": sized.title}

    eager = sized.eager(CACHED)
    for template in (alone, paper):
        size = template.nodes + 1
        bench.add(
            table,
            how="eager transformers, sdpa, mask given",
            tokens=size,
            ms=milliseconds(bench, eager(template)),
        )
    ratio["eager 81"] = bench.tables[table][-1]["ms"]

    kinds = (
        ["grouped", "own", "split-2", "split-4", "split-8"]
        if bench.real
        else ["grouped", "split-2"]
    )
    times: dict[str, tuple[float, float]] = {}
    for kind in kinds:
        if bench.left() < 0 and times:
            break
        run = sized.static(CACHED, kind)
        one, tree = (static_ms(bench, sized, run, template) for template in (alone, paper))
        times[kind] = (one, tree)
        bench.add(table, how=run.how, tokens=1, ms=one)
        bench.add(table, how=run.how, tokens=81, ms=tree)
    kind = min(times, key=lambda name: times[name][1])
    one, tree = times[kind]
    floor = sized.bytes_read(CACHED) / bench.notes.get("bandwidth_gb_s", float("nan")) / 1e6
    ratio |= {
        "attention": kind,
        "t(1)": one,
        "t(81)": tree,
        "t(81)/t(1)": tree / one,
        "eager 81 / t(81)": ratio["eager 81"] / tree,
        "floor ms": floor,
        "floor/t(1)": floor / one,
    }
    bench.add("targets", **ratio)
    run = sized.static(CACHED, kind)
    for nodes in BUDGETS:
        ms = static_ms(bench, sized, run, templates.grown(nodes))
        bench.add(table, how=f"{run.how}, grown tree", tokens=nodes + 1, ms=ms)
    bench.add("memory", shape=sized.title, **sized.memory(run))
    where_time_goes(bench, sized)
    if bench.left() > (90 if bench.real else 0):
        compiled(bench, sized, kind, table)


def static_ms(
    bench: Bench, sized: gpu_models.Sized, run: StaticRun, template: TreeTemplate
) -> float:
    """Milliseconds of a recorded step on the device."""
    return milliseconds(bench, run.recorded(template), before=lambda: sized.back(run, CACHED))


def where_time_goes(bench: Bench, sized: gpu_models.Sized) -> None:
    """The forward pass alone, recorded too, against the whole step, and against a session's step
    with its host part.
    """
    run = sized.static(CACHED, "grouped")
    for template in (templates.chain(0), templates.paper()):
        sized.back(run, CACHED)
        forward = milliseconds(
            bench, sized.forward_only(run, template), before=lambda: sized.back(run, CACHED)
        )
        whole = static_ms(bench, sized, run, template)
        off, on = (sized.session(template, CACHED, trace, bench.real) for trace in (False, True))
        bench.add(
            f"where a step's time goes, {sized.title}, grouped attention",
            tokens=template.nodes + 1,
            **{
                "forward ms": forward,
                "step ms": whole,
                "session ms": off,
                "session ms, traced": on,
            },
            **{
                "outside, device": f"{(whole - forward) / whole:.1%}",
                "outside, all": f"{1 - forward / off:.1%}",
            },
        )


def compiled(bench: Bench, sized: gpu_models.Sized, kind: str, table: str) -> None:
    """The same step through torch.compile, then captured."""
    found = {}
    for template in (templates.chain(0), templates.paper() if bench.real else templates.grown(4)):
        began = time.monotonic()
        run = sized.static(CACHED, kind, template, capture="compile")
        seconds = time.monotonic() - began
        ms = milliseconds(
            bench, run.recorded(template), before=lambda run=run: sized.back(run, CACHED)
        )
        found[template.nodes] = ms
        bench.add(table, how=run.how, tokens=template.nodes + 1, ms=ms, preparing_s=seconds)
        if bench.left() < seconds:
            return
    one, tree = found.values()
    floor = bench.tables["targets"][-1]["floor ms"]
    row = {
        "shape": sized.title,
        "attention": f"{kind}, compiled",
        "t(1)": one,
        "t(81)": tree,
        "t(81)/t(1)": tree / one,
    }
    bench.add("targets", **row, **{"floor ms": floor, "floor/t(1)": floor / one})


# Name, share of the time, what it does. The shares add up to one.
PARTS: list[tuple[str, float, Callable[[Bench], None]]] = [
    ("bandwidth", 0.02, bandwidth),
    ("7B", 0.36, lambda bench: steps(bench, "7B")),
    ("0.5B", 0.17, lambda bench: steps(bench, "0.5B")),
    ("lossless", 0.18, lambda bench: gpu_lossless.check(bench)),
    ("attention", 0.12, attention),
    ("1.5B", 0.15, lambda bench: steps(bench, "1.5B")),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=float, default=500, help="seconds for everything")
    parser.add_argument("--parts", default=",".join(name for name, _, _ in PARTS))
    parser.add_argument(
        "--results",
        type=Path,
        help="folder for the tables and the JSON, as gpu_checks.md and .json",
    )
    args = parser.parse_args()
    signal.signal(signal.SIGALRM, interrupt)
    real = torch.cuda.is_available()
    device = torch.device("cuda" if real else "cpu")
    began = time.monotonic()
    bench = Bench(device, began + args.budget, real)
    wanted = [part for part in PARTS if part[0] in args.parts.split(",")]
    total = sum(share for _, share, _ in wanted)
    spare = 0.0
    for name, share, check in wanted:
        allowed = args.budget * share / total + spare
        say(f"{name}: up to {allowed:.0f} s, {time.monotonic() - began:.0f} s gone")
        bench.deadline = min(time.monotonic() + allowed, bench.end)
        if bench.left() < 1:
            bench.notes.setdefault("failed", {})[name] = "skipped: no time left"
            continue
        with bench.part(name):
            check(bench)
        spare = max(0.0, bench.left())  # what a part leaves goes to the next one
        if real:
            torch.cuda.empty_cache()
    heading = (
        "GPU checks (random weights)"
        if real
        else "No GPU here: toy sizes on the CPU, figures without meaning"
    )
    print(f"\n## {heading}\n")
    print(" · ".join(f"{k} {v}" for k, v in report.machine().items() if v))
    for title, rows in bench.tables.items():
        print(f"\n### {title}\n")
        report.table(rows)
    for name, reason in bench.notes.get("failed", {}).items():
        print(f"- **{name}**: {reason}")
    result = {"title": heading, "machine": report.machine(), "tables": bench.tables, **bench.notes}
    if args.results is not None:
        args.results.mkdir(parents=True, exist_ok=True)
        (args.results / "gpu_checks.json").write_text(json.dumps(result, indent=1, default=str))
    print(json.dumps(result, default=str))


if __name__ == "__main__":
    main()
