"""The page and the picture of ``ablation.py``, written from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.shared import report

Row = dict[str, Any]
INK = {
    "static": "#7d8590",
    "best-first, stored probabilities": "#d98324",
    "recycling_plus": "#16a394",
}
WIDTH, HEIGHT, LEFT, TOP = 640, 330, 46, 18

HEAD = """# What each part of recycling_plus gives

Written by `python -m benchmarks.drafting.ablation --data FOLDER --write docs`; do not edit.
It takes half an hour on an idle core.
The command's own words say what cold, hot, MAT and ± mean, how prompts are split, and how passes
are counted.
"""


def write(
    folder: Path, title: str, rows: Sequence[Row], domains: Sequence[str], swept: Sequence[str]
) -> None:
    """Write ``ablation.md`` and ``ablation.svg``."""
    machine = report.machine()
    parts = [HEAD, f"{title}. torch {machine['torch']}, commit {machine['commit']}.\n"]
    parts.append("![tokens per pass by budget](ablation.svg)\n")
    for start in ("cold", "hot"):
        mine = [r for r in rows if r["start"] == start]
        parts.append(f"## {start.capitalize()}\n")
        parts.append(
            _table(
                ["draft", "MAT at 16", "÷ paper at 80", "MAT at 80", "÷ paper at 80"], _parts(mine)
            )
        )
        parts.append("By budget:\n")
        parts.append(_by_budget(mine, swept))
        parts.append("By domain, at 80 nodes:\n")
        eighty = [r for r in mine if r["nodes"] == 80]
        parts.append(
            _table(
                ["draft", *domains],
                [[r["draft"], *(f"{r[d]:.2f}" for d in domains)] for r in eighty],
            )
        )
    (folder / "ablation.md").write_text("\n".join(parts), encoding="utf-8")
    (folder / "ablation.svg").write_text(picture(rows, swept), encoding="utf-8")


def picture(rows: Sequence[Row], swept: Sequence[str]) -> str:
    """MAT by budget as SVG: a line a drafter, cold dashed, hot solid."""
    budgets = sorted({r["nodes"] for r in rows})
    top = max(r["MAT"] for r in rows if r["draft"] in swept) * 1.05
    across = {
        n: LEFT + (WIDTH - LEFT - 180) * i / max(len(budgets) - 1, 1) for i, n in enumerate(budgets)
    }

    def up(mat: float) -> float:
        return TOP + (HEIGHT - TOP - 40) * (1 - (mat - 1) / (top - 1))

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="system-ui, sans-serif" font-size="12" fill="#7d8590">'
    ]
    for mat in range(1, int(top) + 1):
        out.append(
            f'<path d="M{LEFT} {up(mat):.1f}H{WIDTH - 180}" stroke="#7d8590" stroke-opacity=".25"/>'
        )
        out.append(f'<text x="{LEFT - 8}" y="{up(mat) + 4:.1f}" text-anchor="end">{mat}</text>')
    for nodes, x in across.items():
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - 22}" text-anchor="middle">{nodes}</text>')
    middle = (LEFT + WIDTH - 180) / 2
    out.append(
        f'<text x="{middle:.0f}" y="{HEIGHT - 5}" text-anchor="middle">nodes; tokens a pass'
        " upwards</text>"
    )
    for line, (name, start) in enumerate((n, s) for n in swept for s in ("hot", "cold")):
        points = sorted(
            (r["nodes"], r["MAT"]) for r in rows if (r["draft"], r["start"]) == (name, start)
        )
        way = " ".join(f"{across[n]:.1f},{up(mat):.1f}" for n, mat in points)
        style = f'fill="none" stroke="{INK.get(name, "#7d8590")}" stroke-width="2"'
        dashes = ' stroke-dasharray="5 4"' if start == "cold" else ""
        out.append(f'<polyline points="{way}" {style}{dashes}/>')
        y = TOP + 14 + 18 * line
        out.append(f'<path d="M{WIDTH - 170} {y - 4}h22" {style}{dashes}/>')
        out.append(f'<text x="{WIDTH - 142}" y="{y}">{name.split(",")[0]}, {start}</text>')
    return "\n".join([*out, "</svg>\n"])


def _parts(rows: Sequence[Row]) -> list[list[str]]:
    lines = []
    for name in dict.fromkeys(r["draft"] for r in rows):
        at = {r["nodes"]: r for r in rows if r["draft"] == name}
        cells = [name]
        for nodes in (16, 80):
            cells += [
                f"{at[nodes]['MAT']:.2f} ± {at[nodes]['±']:.2f}",
                f"{at[nodes]['÷ paper']:.2f}",
            ]
        lines.append(cells)
    return lines


def _by_budget(rows: Sequence[Row], swept: Sequence[str]) -> str:
    budgets = sorted({r["nodes"] for r in rows if r["draft"] in swept})
    mats = {(r["draft"], r["nodes"]): f"{r['MAT']:.2f}" for r in rows}
    return _table(
        ["draft", *map(str, budgets)],
        [[n, *(mats.get((n, b), "") for b in budgets)] for n in swept],
    )


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return (
        "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines)) + "\n"
    )
