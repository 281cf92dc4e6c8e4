"""docs/notebook.ipynb runs from its first cell to its last, and lies in the repository without
outputs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]

# What Jupyter does with a cell, as far as plain Python needs it: the value of a last expression is
# shown.
RUNNER = """
import ast, json, sys
space, shown = {"__name__": "__main__"}, []
for cell in json.load(sys.stdin):
    tree = ast.parse(cell)
    last = tree.body.pop().value if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), space)
    value = None if last is None else eval(compile(ast.Expression(last), "cell", "eval"), space)
    if value is None:
        shown.append(None)
    else:
        shown.append([type(value).__name__, len(value.data), len(value.to_json())])
print("SHOWN" + json.dumps(shown))
"""


def test_it_is_kept_without_outputs():
    for cell in CELLS:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)
    assert NOTEBOOK.stat().st_size < 20_000
    assert not [line for line in CODE if line.lstrip().startswith(("%", "!"))], "plain Python only"


@pytest.mark.slow
def test_every_cell_runs():
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:tr_core", "-c", RUNNER],
        input=json.dumps(CODE), cwd=NOTEBOOK.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    *printed, last = done.stdout.splitlines()
    shown = json.loads(last.removeprefix("SHOWN"))
    # A cell that ends with a figure shows it; the others print, or show nothing.
    assert [value is not None for value in shown] == [cell.startswith("viz.") for cell in CODE]
    assert {kind for kind, *_ in filter(None, shown)} == {"Figure"}
    assert all(curves > 0 for _, curves, _ in filter(None, shown))
    text = "\n".join(printed)
    assert "72 tokens in 37 passes by token_recycling, tree paper" in text
    assert "All 3 texts are equal: 40 tokens." in text
    assert "9 Nothing could be drafted, because the row of “·do” had never been written" in text
