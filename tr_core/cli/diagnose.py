"""``diagnose``: why so little of a recorded run was accepted. No torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from tr_core import files
from tr_core.cli import shared
from tr_core.trace import read_trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("trace", metavar="TRACE.json", help="a file that run --trace wrote")
    add("--steps", action="store_true", help="two sentences on every step")
    add("--csv", metavar="F", help="save a table with one line a step")
    add("--nodes-csv", metavar="F", help="save a table with one line a node")


def execute(args: argparse.Namespace) -> None:
    from tr_core.analysis import csv_tables, diagnosis_report
    from tr_core.analysis.diagnosis import diagnose

    shared.check_writable(args.csv, args.nodes_csv)
    trace = read_trace(Path(args.trace))
    diagnosis = diagnose(trace)
    if args.csv:
        files.write_text(args.csv, csv_tables.steps_csv(trace, diagnosis))
    if args.nodes_csv:
        files.write_text(args.nodes_csv, csv_tables.nodes_csv(trace))
    shared.show(
        args,
        diagnosis_report.as_json(trace, diagnosis),
        diagnosis_report.as_text(trace, diagnosis, each_step=args.steps),
    )
