"""All that can be measured on this machine, in one process: ``make bench``.

    python -m benchmarks.all                           # the bundled model, float32, bfloat16
    python -m benchmarks.all --prompts prompts.jsonl   # also a file of Spec-Bench
    python -m benchmarks.all --quick                   # tries the scripts in seconds

Prints a markdown table for each part, with the machine, the versions and the commit above them, and
everything as one JSON object on the last line. The parts are scripts of their own; GPU shapes are
``benchmarks.gpu.checks``.
"""

from __future__ import annotations

from benchmarks.drafting import drafters
from benchmarks.shared import report
from benchmarks.steps import steps, trace_tax

PARTS = {"speed": drafters.tables, "steps": steps.tables, "trace": trace_tax.tables}


def main() -> None:
    parser = report.options(__doc__)
    parser.set_defaults(dtypes="float32,bfloat16")
    parser.add_argument(
        "--parts", default=",".join(PARTS), help="some of them, with commas between"
    )
    args = report.parsed(parser)
    if args.quick:
        args.dtypes = args.dtypes.split(",")[0]
    wanted = args.parts.split(",")
    if unknown := set(wanted) - PARTS.keys():
        parser.error(
            f"there is no part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}"
        )
    found = []
    for name in wanted:
        report.say(name)
        found += PARTS[name](args)
    report.show_all(f"Benchmarks, {args.model}", found)


if __name__ == "__main__":
    main()
