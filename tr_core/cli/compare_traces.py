"""``compare-traces``: two to four recorded runs of one prompt, side by side. No torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from tr_core import files
from tr_core.cli import shared
from tr_core.trace import read_trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("traces", nargs="+", metavar="TRACE.json", help="files that run --trace wrote")
    add("--csv", metavar="F", help="save a table with one line a position and run")
    add("--html", metavar="F", help="save the comparison as one web page that works offline")


def execute(args: argparse.Namespace) -> None:
    from tr_core.analysis import comparison_report
    from tr_core.analysis.alignment import align

    shared.check_writable(args.csv, args.html)
    to_html = shared.load_html(args)
    traces = [read_trace(Path(path)) for path in args.traces]
    alignment = align(traces)
    if args.csv:
        files.write_text(args.csv, comparison_report.positions_csv(traces, alignment))
    if to_html is not None:
        files.write_text(args.html, to_html(traces))
    shared.show(
        args,
        comparison_report.as_json(traces, alignment),
        comparison_report.as_text(traces, alignment),
    )
