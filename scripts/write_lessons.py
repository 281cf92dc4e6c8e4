"""Check all chapters of the tour and write it as one web page that needs no model and no network.

python scripts/write_lessons.py build/lessons.html
python scripts/write_lessons.py tour.html --lessons my-chapters
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import viz  # noqa: E402
from tr_core.errors import TokenRecyclingError  # noqa: E402
from viz.lessons.record import LESSONS  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Write the page; returns the exit status, 2 where a chapter does not fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT.html")
    parser.add_argument(
        "--lessons", type=Path, default=LESSONS, metavar="FOLDER", help="chapters, and their traces"
    )
    args = parser.parse_args(arguments)
    try:
        page = viz.lessons_to_html(args.lessons)
    except TokenRecyclingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(page, encoding="utf-8")
    except OSError as error:
        print(f"error: “{args.out}” cannot be written: {error.strerror}.", file=sys.stderr)
        return 2
    print(f"{args.out}: {len(page.encode()):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
