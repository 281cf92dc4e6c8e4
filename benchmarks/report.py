"""What every benchmark's report begins and ends with."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent


def machine() -> dict[str, Any]:
    """Where and with what the figures were made."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        cpu = next((x.split(":")[1].strip() for x in cpuinfo.read_text().splitlines() if "model name" in x), cpu)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
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


def table(rows: list[dict[str, Any]]) -> None:
    """Print ``rows`` as a markdown table; the columns are those of all rows, in the order they first occur."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        cells = (row.get(name, "") for name in columns)
        print("| " + " | ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in cells) + " |")
    print()
