"""What every benchmark's report begins and ends with: tables of figures, the machine, and one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Table:
    """Some figures and what they are of.

    Attributes:
        title: of what.
        rows: name of a column → figure.
        note: what a reader must know to judge them, such as that weights are random.
    """

    title: str
    rows: list[dict[str, Any]]
    note: str = ""


def machine() -> dict[str, Any]:
    """Where and with what the figures were made."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        cpu = next(
            (
                x.split(":")[1].strip()
                for x in cpuinfo.read_text().splitlines()
                if "model name" in x
            ),
            cpu,
        )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "commit": commit,
    }


def show(title: str, rows: list[dict[str, Any]], **more: Any) -> None:
    """Print a markdown table of ``rows``, the machine, and all of it as JSON on the last line."""
    print(f"\n## {title}\n")
    print(" · ".join(f"{k} {v}" for k, v in machine().items() if v), "\n")
    table(rows)
    print(json.dumps({"title": title, "machine": machine(), "rows": rows, **more}))


def show_all(title: str, tables: list[Table], **more: Any) -> None:
    """Print all ``tables`` under one heading with the machine, and all of it as JSON on the last
    line.
    """
    print(f"\n## {title}\n")
    print(" · ".join(f"{k} {v}" for k, v in machine().items() if v))
    for part in tables:
        print(f"\n### {part.title}\n")
        if part.note:
            print(f"{part.note}\n")
        table(part.rows)
    named = [{"title": t.title, "note": t.note, "rows": t.rows} for t in tables]
    print(json.dumps({"title": title, "machine": machine(), "tables": named, **more}))


def table(rows: list[dict[str, Any]]) -> None:
    """Print ``rows`` as a markdown table; the columns are those of all rows, in the order they
    first occur.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        cells = (row.get(name, "") for name in columns)
        print(
            "| " + " | ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in cells) + " |"
        )
    print()


def options(description: str | None) -> argparse.ArgumentParser:
    """What the parts of ``all.py`` have in common on their command lines."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--dtypes", default="float32", help="one or more, with commas between")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--prompts", type=Path, default=ROOT / "assets" / "presets.json", help="presets or .jsonl"
    )
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--way",
        action="append",
        default=[],
        help="measure this way only; several times for several",
    )
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its own choice")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="seconds of CPU: for a busy machine, with --threads 1",
    )
    parser.add_argument(
        "--static", action="store_true", help="our static step too where nothing captures it: slow"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of little of everything, to try the script"
    )
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line, with ``--quick`` and ``--threads`` carried out."""
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.max_new_tokens = 1, 4
    if args.threads:
        torch.set_num_threads(args.threads)
    return args


def say(text: str) -> None:
    """Progress, on stderr: stdout is for results."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
