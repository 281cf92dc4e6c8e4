"""The command line: ``python -m tr_core run | compare | diagnose | compare-traces | …``.

Results go to stdout, one line of error to stderr. Exit status 2 is bad input, 1 a failure. Under
torchrun each layer of the model is cut over the processes; the first of them speaks and writes
files, the others only count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tr_core import files as saving
from tr_core.errors import ModelError, SettingsError, TokenRecyclingError
from tr_core.models import catalog, torchrun
from tr_core.settings import CAPTURES, Settings
from tr_core.trace import RunTrace
from tr_core.trees import templates

BAD_INPUT, FAILURE = 2, 1
ToHtml = Callable[[RunTrace | Sequence[RunTrace]], str]
LoadHtml = Callable[[], ToHtml]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, where argparse would print its usage before it."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str], load_html: LoadHtml | None = None) -> int:
    """Run one command and return its exit status.

    ``load_html`` gives the function that makes a web page of a run. It comes from outside, because
    pictures are no business of the engine; ``__main__`` hands it in.
    """
    try:
        args = _parser().parse_args(arguments, argparse.Namespace(load_html=load_html))
        if torchrun.rank() == 0:
            return args.command(args) or 0
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            return args.command(args) or 0
    except TokenRecyclingError as error:
        return _fail(error, BAD_INPUT)
    except OSError as error:
        return _fail(error, FAILURE)
    except KeyboardInterrupt:
        return _fail("interrupted", FAILURE)
    finally:
        torchrun.leave()


def _fail(error: object, status: int) -> int:
    # Bad input is bad in all processes, and one tells of it; a model or a file may fail in one of
    # them alone.
    if torchrun.rank() and not isinstance(error, ModelError | OSError):
        return status
    print("error: " + " ".join(str(error).split()), file=sys.stderr)
    return status


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m tr_core", description="Token Recycling: lossless speculative decoding."
    )
    commands = parser.add_subparsers(
        required=True,
        metavar="run | compare | diagnose | compare-traces | models | drafters | trees",
    )

    run = commands.add_parser("run", help="decode one prompt")
    run.set_defaults(command=_run)
    prompt = run.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--prompt", help="the prompt's text")
    prompt.add_argument("--prompt-file", metavar="F", help="a UTF-8 text file with the prompt")
    _add_model(run)
    _add_decoding(run)
    run.add_argument("--drafter", default="token_recycling", help="see the command drafters")
    start = run.add_mutually_exclusive_group()
    start.add_argument(
        "--cold", action="store_true", help="start with an empty matrix (the default)"
    )
    start.add_argument("--matrix-in", metavar="F", help="start with a saved matrix")
    run.add_argument("--matrix-out", metavar="F", help="save the matrix at the end (safetensors)")
    run.add_argument("--trace", metavar="F", help="save the run's trace (JSON)")
    run.add_argument("--html", metavar="F", help="save the run as one web page that works offline")
    run.add_argument(
        "--check", action="store_true", help="compare with transformers' own generate at the end"
    )
    run.add_argument(
        "--json", action="store_true", help="the last line of stdout is one JSON object"
    )

    compare = commands.add_parser(
        "compare", help="several drafters on the same prompts, against plain decoding"
    )
    compare.set_defaults(command=_compare)
    compare.add_argument(
        "--prompts", required=True, metavar="F", help='.jsonl: {"prompt": …} lines or Spec-Bench\'s'
    )
    compare.add_argument(
        "--drafters", default="token_recycling,prompt_lookup", help="names, parted by commas"
    )
    compare.add_argument(
        "--hot", action="store_true", help="keep what a drafter learned from prompt to prompt"
    )
    _add_model(compare)
    _add_decoding(compare)
    compare.add_argument(
        "--json", action="store_true", help="the last line of stdout is one JSON object"
    )

    diagnose = commands.add_parser("diagnose", help="why so little of a recorded run was accepted")
    diagnose.set_defaults(command=_diagnose)
    diagnose.add_argument("trace", metavar="TRACE.json", help="a file that run --trace wrote")
    diagnose.add_argument("--steps", action="store_true", help="two sentences on every step")
    diagnose.add_argument("--csv", metavar="F", help="save a table with one line a step")
    diagnose.add_argument("--nodes-csv", metavar="F", help="save a table with one line a node")
    diagnose.add_argument(
        "--json", action="store_true", help="the last line of stdout is one JSON object"
    )

    beside = commands.add_parser(
        "compare-traces", help="two to four recorded runs of one prompt, side by side"
    )
    beside.set_defaults(command=_compare_traces)
    beside.add_argument(
        "traces", nargs="+", metavar="TRACE.json", help="files that run --trace wrote"
    )
    beside.add_argument("--csv", metavar="F", help="save a table with one line a position and run")
    beside.add_argument(
        "--html", metavar="F", help="save the comparison as one web page that works offline"
    )
    beside.add_argument(
        "--json", action="store_true", help="the last line of stdout is one JSON object"
    )

    for name, command, summary in (
        ("models", _models, "models that come along or are known to work"),
        ("drafters", _drafters, "ways to make drafts"),
        ("trees", _trees, "named tree templates"),
    ):
        listing = commands.add_parser(name, help=summary)
        listing.set_defaults(command=command)
        listing.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", required=True, help="a bundled name, a local folder, or a Hub id"
    )
    parser.add_argument(
        "--dtype", default="auto", help="auto, fast (measured), float32, bfloat16 or float16"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--attention", default="auto", help="auto, sdpa or eager")
    parser.add_argument(
        "--device-map",
        metavar="HOW",
        help="split the layers: auto, balanced, sequential, or a JSON file (docs/scaling.md)",
    )
    parser.add_argument(
        "--chat", action="store_true", help="wrap the prompt in the tokenizer's chat template"
    )


def _add_decoding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-new-tokens", type=int, default=128, metavar="N")
    parser.add_argument(
        "--tree", default="auto", help="auto, a name, a number of nodes, or a JSON file"
    )
    parser.add_argument("--k", type=int, default=8, help="candidates a matrix row, 1 … 32")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 is greedy")
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--top-k", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end the output at this text"
    )
    parser.add_argument("--ignore-eos", action="store_true", help="go on after an end token")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="settle near-ties: plain decoding's ids in half precision",
    )
    parser.add_argument(
        "--capture", default="off", choices=CAPTURES, help="static steps, recorded as one graph"
    )
    parser.add_argument(
        "--no-prompt-rows", action="store_true", help="fill no matrix rows from the prompt"
    )


def _load_html(args: argparse.Namespace) -> ToHtml | None:
    if args.html is None:
        return None
    if args.load_html is None:
        raise SettingsError("--html works from the command line only: python -m tr_core run …")
    return args.load_html()


def _settings(args: argparse.Namespace, **more: Any) -> Settings:
    return Settings(
        tree=args.tree,
        k=args.k,
        max_new_tokens=args.max_new_tokens,
        temperature=args.temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        seed=args.seed,
        stop=tuple(args.stop),
        ignore_eos=args.ignore_eos,
        strict=args.strict,
        capture=args.capture,
        prompt_rows=not args.no_prompt_rows,
        **more,
    )


def _load(args: argparse.Namespace):
    # Loading libraries takes seconds: settings are checked before, so that bad input is told at
    # once.
    from transformers.utils import logging

    from tr_core.models.load_progress import line_on, no_progress
    from tr_core.models.loading import load_target

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return load_target(
        catalog.source(args.model),
        dtype=args.dtype,
        device=args.device,
        attention=args.attention,
        device_map=_device_map(args.device_map),
        tensor_parallel=torchrun.is_parallel(),
        progress=(
            line_on(sys.stderr) if sys.stderr.isatty() and not torchrun.rank() else no_progress
        ),
    )


def _device_map(how: str | None) -> str | dict[str, Any] | None:
    """The word as it is, or what a JSON file says."""
    if how is None or not how.endswith(".json"):
        return how
    try:
        return json.loads(Path(how).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"The device map “{how}” is no readable JSON file: {' '.join(str(error).split())}."
        ) from error


def _run(args: argparse.Namespace) -> None:
    from tr_core.cli import commands, prompts

    text = prompts.read_text(args.prompt_file) if args.prompt is None else args.prompt
    settings = _settings(args, drafter=args.drafter)
    for path in (args.trace, args.html, args.matrix_out):
        _check_writable(path)
    to_html = _load_html(args)
    target = _load(args)
    if torchrun.rank():
        args.matrix_out = args.trace = args.html = None

    def tell(result: dict[str, Any]) -> None:
        if args.json:
            print(json.dumps(result | {"model": args.model}), flush=True)
        else:
            print(
                f"\n{result['new_tokens']} tokens in {result['passes']} passes:"
                f" {result['mean_accepted_tokens']:.2f} a pass, {result['tokens_per_second']:.1f}"
                f" tokens/s, {result['stop_reason']}"
                + (f", equal to plain decoding: {result['identical']}" if args.check else "")
            )

    commands.run(
        target, text, settings, chat=args.chat, matrix_in=args.matrix_in, matrix_out=args.matrix_out,
        trace_out=args.trace, html_out=args.html, to_html=to_html, check=args.check,
        echo=None if args.json else sys.stdout, tell=tell,
    )  # fmt: skip


def _compare(args: argparse.Namespace) -> int | None:
    from tr_core.cli import commands, prompts

    listed = prompts.read_jsonl(args.prompts)
    names = [n.strip() for n in args.drafters.split(",") if n.strip()]
    if not names:
        raise SettingsError("--drafters names none: list at least one, parted by commas.")
    settings = [_settings(args, drafter=name, trace=False) for name in names]
    target = _load(args)
    progress = sys.stderr if sys.stderr.isatty() else None
    results = commands.compare(
        target, listed, settings, chat=args.chat, hot=args.hot, progress=progress
    )
    if args.json:
        print(json.dumps({"results": results}))
    else:
        print(f"{'drafter':<20}{'MAT':>7}{'tokens/s':>11}{'speed-up':>10}{'worst':>8}  identical")
        for row in results:
            print(
                f"{row['drafter']:<20}{row['mean_accepted_tokens']:>7.2f}{row['tokens_per_second']:>11.1f}{row['speedup']:>10.2f}{row['worst_speedup']:>8.2f}"
                f"  {row['identical']}"
            )
        for row in results:
            for d in row["divergences"]:
                print(f"{row['drafter']}, prompt {d['prompt']}: {_divergence_line(d)}")
    return None


def _divergence_line(d: dict[str, Any]) -> str:
    return (
        f"leaves plain decoding after {d['index']} tokens, {d['class']}: its two best logits are"
        f" {d['margin']:g} apart there, rounding can turn up to {d['tolerance']:g}"
    )


def _diagnose(args: argparse.Namespace) -> int | None:
    from tr_core.analysis import csv_tables as tables
    from tr_core.analysis import diagnosis_report as report
    from tr_core.analysis.diagnosis import diagnose
    from tr_core.trace import read_trace

    for path in (args.csv, args.nodes_csv):
        _check_writable(path)
    trace = read_trace(Path(args.trace))
    found = diagnose(trace)
    if args.csv:
        saving.write_text(args.csv, tables.steps_csv(trace, found))
    if args.nodes_csv:
        saving.write_text(args.nodes_csv, tables.nodes_csv(trace))
    if args.json:
        print(json.dumps(report.as_json(trace, found)))
    else:
        print(report.as_text(trace, found, each_step=args.steps))
    return None


def _compare_traces(args: argparse.Namespace) -> int | None:
    from tr_core.analysis import comparison_report as side_by_side
    from tr_core.analysis.alignment import align
    from tr_core.trace import read_trace

    for path in (args.csv, args.html):
        _check_writable(path)
    to_html = _load_html(args)
    traces = [read_trace(Path(path)) for path in args.traces]
    found = align(traces)
    if args.csv:
        saving.write_text(args.csv, side_by_side.positions_csv(traces, found))
    if to_html is not None:
        saving.write_text(args.html, to_html(traces))
    if args.json:
        print(json.dumps(side_by_side.as_json(traces, found)))
    else:
        print(side_by_side.as_text(traces, found))
    return None


def _check_writable(path: str | None) -> None:
    """ReportProgress of a folder that is not there before minutes of decoding, not after."""
    if path is not None and (Path(path).is_dir() or not Path(path).resolve().parent.is_dir()):
        raise SettingsError(
            f"“{path}” cannot be written: it is a folder, or its folder does not exist."
        )


def _models(args: argparse.Namespace) -> None:
    _list(
        args,
        "models",
        [{"name": e.name, "source": e.source, "summary": e.summary} for e in catalog.entries()],
    )


def _drafters(args: argparse.Namespace) -> None:
    from tr_core.drafters.registry import DRAFTERS

    _list(args, "drafters", [{"name": name, "summary": e.summary} for name, e in DRAFTERS.items()])


def _trees(args: argparse.Namespace) -> None:
    rows = [
        {
            "name": "auto",
            "nodes": None,
            "depth": None,
            "summary": "as many nodes as pay on this machine, measured; none if none do",
        }
    ]
    for name, (make, summary) in templates.NAMED.items():
        rows.append(
            {"name": name, "nodes": make().nodes, "depth": make().depth, "summary": summary}
        )
    _list(args, "trees", rows)


def _list(args: argparse.Namespace, title: str, rows: list[dict[str, Any]]) -> None:
    if args.json:
        print(json.dumps({title: rows}))
        return
    width = max(len(r["name"]) for r in rows) + 2
    for row in rows:
        print(f"{row['name']:<{width}}{row['summary']}")
