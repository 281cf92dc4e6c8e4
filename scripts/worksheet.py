"""The lessons' worksheet as one HTML page to print: the toy's steps by pen, and their solutions.

``scripts/record_lessons.py`` draws it from the toy's trace, so that it always agrees with the tour.
"""

from __future__ import annotations

import html
from collections.abc import Mapping

from scripts.toy_story import HABITS, STORY, WORDS
from tr_core.trace import RunTrace, StepTrace
from viz.layout import tidy
from viz.lessons.facts import word, words

# From the first step with a tree to the first whose path reaches its last level.
STEPS = (4, 5, 6, 7)
CHIP = (92, 34)
PITCH = (172, 62)

STYLE = """
@page { size: auto; margin: 13mm 14mm; }
* { box-sizing: border-box; }
html { color-scheme: light; }
body { max-width: 182mm; margin: 6mm auto; color: #000; background: #fff; }
body { font: 11.5pt/1.4 "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }
h1 { margin: 0 0 2mm; font-size: 18pt; }
h2 { margin: 0 0 1mm; font-size: 12.5pt; }
p, ol { margin: 0 0 2.5mm; }
ol { padding-left: 6mm; }
li { margin-bottom: 1mm; }
section { break-after: page; }
section:last-of-type { break-after: auto; }
article { margin: 0 0 4mm; padding: 3mm 4mm; break-inside: avoid; }
article { border: 0.4mm solid #000; border-radius: 2mm; }
.sheet { display: flex; gap: 6mm; align-items: flex-start; margin-bottom: 4mm; }
.sheet svg { flex: 1 1 auto; max-width: 118mm; height: auto; }
table { border-collapse: collapse; font-size: 10.5pt; }
caption { padding-bottom: 1mm; font-size: 10pt; text-align: left; }
th, td { min-width: 15mm; height: 7.6mm; padding: 0 2mm; border: 0.25mm solid #000; }
th, td { text-align: left; white-space: nowrap; }
th { background: #eee; font-weight: 600; }
th { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
td.new { font-weight: 700; }
.cards { display: flex; gap: 10mm; align-items: flex-start; margin-bottom: 3mm; }
.story { padding: 2mm 3mm; border: 0.25mm solid #000; border-radius: 1.5mm; }
.blank { display: inline-block; min-width: 26mm; border-bottom: 0.3mm solid #000; }
.long { min-width: 62mm; }
svg text { font: 13px Arial, "DejaVu Sans", sans-serif; }
svg rect { fill: #fff; stroke: #000; stroke-width: 1.1; }
svg path { fill: none; stroke: #777; stroke-width: 1.1; }
svg .root { fill: #ddd; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
svg .kept { stroke-width: 3.2; }
svg .unseen { stroke-dasharray: 4 3; }
svg .says { font-size: 12px; font-style: italic; }
svg .rank { font-size: 10px; fill: #444; }
"""


def worksheet(trace: RunTrace) -> str:
    """The page: the rules, the steps to fill in, and the solutions on pages of their own."""
    matrix: dict[int, tuple[int, ...]] = {}
    tasks, solutions = [], []
    given = ""
    for step in trace.steps[: STEPS[-1]]:
        if step.index == STEPS[0]:
            given = _matrix(matrix, f"The matrix before step {step.index}")
        after = matrix | {row.token: row.after for row in step.rows}
        if step.index in STEPS:
            text = words(trace, (*trace.info.prompt_ids, *trace.output_ids)[: step.committed])
            tasks.append(_sheet(trace, step, text, None))
            solutions.append(_sheet(trace, step, text, (matrix, after)))
        matrix = after
    pages = [_rules(given), *_pairs("Step by step", tasks), *_pairs("Solutions", solutions)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Token Recycling by pen</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(f"<section>{page}</section>" for page in pages)
        + "\n</body>\n</html>\n"
    )


def _pairs(title: str, sheets: list[str]) -> list[str]:
    """Two sheets a page."""
    halves = range(0, len(sheets), 2)
    return [f"<h1>{title}</h1>" * (not at) + "".join(sheets[at : at + 2]) for at in halves]


def _rules(given: str) -> str:
    habits = "".join(
        f"<tr><th>{w}</th>{''.join(f'<td>{h}</td>' for h in HABITS[w])}</tr>" for w in WORDS
    )
    return f"""<h1>Token Recycling by pen</h1>
<p>One of you plays the <b>model</b> and answers by the two cards below; the others draft, check
and recycle.</p>
<div class="cards"><div>
<p><b>Card 1: the story</b>, which the model knows by heart</p>
<p class="story">{" ".join(STORY)}</p>
<p><b>What the model says after a word.</b> Read the text so far, then the path through the tree
down to that word. Is this the beginning of the story? Then say the story's next word first, then
the habits of the last word. If not, say only the habits. Say no word twice; the first two
count.</p>
</div>
<table><caption><b>Card 2: habits</b></caption>{habits}</table>
</div>
<h2>Each step</h2>
<ol>
<li><b>Draft.</b> The last word of the text is the root. Below a word, write the words of its row,
rank 0 and rank 1, as many as there are places. A row that is still empty leaves its places
empty.</li>
<li><b>Verify.</b> Ask the model what it says after the root and after each word of the tree.
Write its first word after the arrow →, and remember both.</li>
<li><b>Accept.</b> Start at the root. As long as a word to the right equals the arrow before it,
go there and tick it. The arrow at the end of the path is the bonus. Append the ticked words and
the bonus to the text.</li>
<li><b>Recycle.</b> For every word of the tree, ticked or not, write the model's two words into
the row of that word. Overwrite what was there. If a word is in the tree more than once, its last
place counts: go level by level, from top to bottom.</li>
</ol>
<div class="cards">{given}
<p>Three steps are done. Each wrote one word, because there were no rows to draft from. The text
so far is “{" ".join(STORY[: STEPS[0]])}”. Go on with step {STEPS[0]} on the next page. Each step
starts from the matrix of the step before.</p>
</div>"""


def _sheet(
    trace: RunTrace,
    step: StepTrace,
    text: str,
    matrices: tuple[Mapping[int, tuple[int, ...]], Mapping[int, tuple[int, ...]]] | None,
) -> str:
    """One step to fill in; solved if the matrices before and after it are given."""
    blank = '<span class="blank"></span>'
    if matrices is None:
        start = '<span class="blank long"></span>' if step.index > STEPS[0] else text
        accepted = bonus = written = blank
        table = _matrix(None, "The matrix after this step")
    else:
        start, accepted, written = (
            text,
            words(trace, tuple(step.tokens[n] for n in step.path)),
            words(trace, step.emitted),
        )
        bonus = "none" if step.bonus is None else word(trace, step.bonus)
        before, after = matrices
        table = _matrix(after, "After this step; changed rows bold", before)
    return f"""<article><h2>Step {step.index}</h2><p>Text so far: {start}</p>
<div class="sheet">{_tree(trace, step, matrices is not None)}{table}</div>
<p>Accepted: {accepted or "nothing"} &emsp; Bonus: {bonus} &emsp;
Written by this pass: {written}</p>
</article>"""


def _matrix(
    rows: Mapping[int, tuple[int, ...]] | None,
    title: str,
    before: Mapping[int, tuple[int, ...]] | None = None,
) -> str:
    """All six rows; empty ones to fill in if ``rows`` is None."""
    lines = []
    for token, name in enumerate(WORDS):
        row = (rows or {}).get(token, ())
        changed = before is not None and before.get(token, ()) != row
        cells = [WORDS[t] for t in row] or ["", ""]
        tds = "".join(f"<td{_new(changed)}>{cell}</td>" for cell in cells)
        lines.append(f"<tr><th>{name}</th>{tds}</tr>")
    heads = "<tr><th>row of</th><th>rank 0</th><th>rank 1</th></tr>"
    return f"<table><caption><b>{html.escape(title)}</b></caption>{heads}{''.join(lines)}</table>"


def _new(changed: bool) -> str:
    return ' class="new"' if changed else ""


def _tree(trace: RunTrace, step: StepTrace, solved: bool) -> str:
    layout = tidy(step.parents, step.ranks)
    corners = [
        (c * PITCH[0] + 2, r * PITCH[1] + 4)
        for c, r in zip(layout.columns, layout.rows, strict=True)
    ]
    shapes = []
    for node, (x, y) in enumerate(corners):
        unseen, kept = node in step.unseen, node in step.path
        name = "" if unseen or not solved else word(trace, step.tokens[node])
        says = "" if unseen or not solved else word(trace, step.choices[node])
        if node:
            px, py = corners[step.parents[node]]
            start, middle, turn = px + CHIP[0] + 44, y + CHIP[1] / 2, x - 22
            shapes.append(f'<path d="M{start} {py + CHIP[1] / 2}H{turn}V{middle}H{x}"/>')
            shapes.append(
                f'<text class="rank" x="{x - 10}" y="{middle - 4}">{step.ranks[node]}</text>'
            )
        kind = (
            "root"
            if node == 0
            else "kept"
            if solved and kept
            else "unseen"
            if solved and unseen
            else ""
        )
        mark = "✓ " if solved and kept else ""
        shapes.append(
            f'<rect class="{kind}" x="{x}" y="{y}" width="{CHIP[0]}" height="{CHIP[1]}" rx="17"/>'
        )
        shapes.append(
            f'<text x="{x + CHIP[0] / 2}" y="{y + 22}"'
            f' text-anchor="middle">{mark}{html.escape(name)}</text>'
        )
        if not (solved and unseen):
            shapes.append(
                f'<text class="says" x="{x + CHIP[0] + 4}" y="{y + 22}">→'
                f" {html.escape(says)}</text>"
            )
    width = (len(layout.counts) - 1) * PITCH[0] + CHIP[0] + 60
    height = layout.height * PITCH[1] + 6
    title = f"The tree of step {step.index}"
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="{title}">'
        f"{''.join(shapes)}</svg>"
    )
