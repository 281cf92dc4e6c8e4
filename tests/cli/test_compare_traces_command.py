"""``python -m tr_core compare-traces``: tables, JSON, CSV, and the sentences that tell what was
found.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import viz
from tests.support import viz_runs
from tests.support.hand_lanes import OTHER, X, Y, Z, of_two, with_info
from tests.support.hand_runs import LETTERS, A, B, C, D, E, run, step
from tr_core.__main__ import load_html
from tr_core.analysis.alignment import align
from tr_core.analysis.comparison_report import COLUMNS, as_text, positions_csv, texts_sentence
from tr_core.cli import main as cli
from tr_core.errors import CompareError

ROOT = Path(__file__).parents[2]


def name(token):
    return LETTERS[token].upper()


def sentence(*traces):
    return texts_sentence(traces, align(traces), name)


def test_equal_texts_are_told():
    assert sentence(X, Y, Z) == "All 3 texts are equal: 6 tokens."
    assert sentence(X, Y) == "Both texts are equal: 6 tokens."


def test_a_shorter_text_is_told():
    short = of_two(X.steps[0])
    assert (
        sentence(X, short, Y) == "The texts are equal up to the end of the shortest, 3 tokens."
        " Ended there: token_recycling"
        " (2)."
    )


def test_the_first_difference_is_told_with_its_margins_and_whose_fault_it_is():
    parted = (
        "The texts are equal for 2 tokens, then they differ: {} wrote D (probability 0.750, the two"
        " best 0.625 apart); {} wrote E (probability 0.750, the two best 0.625 apart). "
    )
    assert (
        sentence(X, OTHER)
        == parted.format("token_recycling", "token_recycling (2)")
        + "With these settings the texts should be equal: this is a bug."
    )
    assert sentence(with_info(X), with_info(OTHER, settings={"temperature": 0.5})) == (
        parted.format("greedy", "temperature 0.5, seed 0")
        + "This is not an error: with different sampling the text may differ."
    )
    half = [with_info(t, dtype="bfloat16", tree=tree) for t, tree in ((X, "t 1"), (OTHER, "t 2"))]
    assert (
        "In bfloat16, rounding can flip a near-tie between the two best tokens. If this was no"
        " near-tie, it is a bug." in sentence(*half)
    )
    assert "with another model and another dtype the text may differ" in sentence(
        with_info(X), with_info(OTHER, model="m", dtype="float16")
    )


@pytest.fixture
def saved(tmp_path):
    """Files of X, Y and Z."""
    paths = [tmp_path / f"{letter}.json" for letter in "xyz"]
    for path, trace in zip(paths, (X, Y, Z), strict=True):
        path.write_text(trace.to_json(), encoding="utf-8")
    return [str(path) for path in paths]


def test_the_table_can_be_read(saved, capsys):
    assert cli.main(["compare-traces", *saved]) == 0
    head, x, y, z, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "tokens",
        "passes",
        "MAT",
        "tokens/s",
        "ms/step",
        "nodes",
        "drafted",
        "accepted",
        "lossless",
    ]
    assert x.split() == [
        "token_recycling",
        "6",
        "3",
        "2.00",
        "125.0",
        "16.0",
        "1.3",
        "4",
        "3",
        "not",
        "checked",
    ]
    assert y.split()[:4] == ["none", "6", "6", "1.00"]
    assert z.split()[:2] == ["token_recycling", "(2)"]
    assert "All 3 texts are equal: 6 tokens." in rest
    assert (
        "token_recycling had its largest lead after 2 tokens: 1 pass ahead of all others." in rest
    )
    assert rest[-2:] == [
        (
            "token_recycling, step 1: tokens 1 – 3 (“b” “c” “d”) in 1 pass; none 3, token_recycling"
            " (2) 2."
        ),
        (
            "token_recycling (2), step 3: tokens 4 – 6 (“e” “f” “a”) in 1 pass; token_recycling 2,"
            " none 3."
        ),
    ]


def test_json_tells_the_same(saved, capsys):
    assert cli.main(["compare-traces", *saved, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [r["name"] for r in told["runs"]] == ["token_recycling", "none", "token_recycling (2)"]
    assert told["runs"][0]["steps"][0] == {
        "step": 1,
        "first": 1,
        "last": 3,
        "accepted": 2,
        "passes": 1,
    }
    assert (told["verdict"], told["shared"], told["difference"]) == ("equal", 6, None)
    assert told["jumps"][0] == {
        "run": 0,
        "step": 1,
        "first": 1,
        "last": 3,
        "spent": [1, 3, 2],
        "gain": 1,
    }
    assert len(told["sentences"]) == 1 + len(told["jumps"])


def test_those_that_agree_are_told_where_not_all_do():
    traces = [X, OTHER, Y, Z]
    names = [lane.name for lane in align(traces).lanes]
    assert f"{names[0]}, {names[2]} and {names[3]} wrote the same text throughout." in as_text(
        traces, align(traces)
    )


def test_csv_has_a_line_a_position_and_run(saved, capsys, tmp_path):
    out = tmp_path / "c.csv"
    assert cli.main(["compare-traces", *saved, "--csv", str(out)]) == 0
    lines = list(csv.DictReader(io.StringIO(out.read_bytes().decode())))
    assert tuple(lines[0]) == COLUMNS
    assert [(x["position"], x["run"]) for x in lines[:4]] == [
        ("1", "1"),
        ("1", "2"),
        ("1", "3"),
        ("2", "1"),
    ]
    of_x = [x for x in lines if x["run"] == "1"]
    assert [json.loads(x["token_text"]) for x in of_x] == list("bcdefa")
    assert [x["source"] for x in of_x] == [
        "accepted",
        "accepted",
        "bonus",
        "bonus",
        "accepted",
        "bonus",
    ]
    assert [(x["step"], x["passes"]) for x in of_x] == [("1", "1")] * 3 + [("2", "2")] + [
        ("3", "3")
    ] * 2
    assert {x["same"] for x in lines} == {"True"}
    parted = list(csv.DictReader(io.StringIO(positions_csv([X, OTHER], align([X, OTHER])))))
    assert [x["same"] for x in parted][:6] == ["True"] * 4 + ["False"] * 2


def test_no_text_is_a_formula_to_a_spreadsheet():
    hostile = [with_info(t, model=m) for t, m in ((X, "=cmd|x"), (Y, "+1"))]
    hostile = [
        msgspec.structs.replace(t, pieces={B: "=1+1", C: "@x", D: "-2\n+3", E: "\t"})
        for t in hostile
    ]
    cells = [
        c for line in csv.reader(io.StringIO(positions_csv(hostile, align(hostile)))) for c in line
    ]
    assert not [
        cell for cell in cells if cell[:1] in ("=", "+", "@", "\t") or cell.startswith("-2")
    ]


def test_tokens_that_only_one_run_knows_are_named():
    other = msgspec.structs.replace(OTHER, pieces=OTHER.pieces | {E: " only here"})
    bare = msgspec.structs.replace(X, pieces={t: p for t, p in X.pieces.items() if t != E})
    assert "“·only·here”" in as_text([bare, other], align([bare, other]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda paths, _: paths[:1], "A comparison takes 2 to 4 runs, got 1."),
        (lambda paths, _: [*paths, *paths], "A comparison takes 2 to 4 runs, got 6."),
        (lambda paths, folder: [paths[0], str(folder / "none.json")], "cannot be read"),
        (
            lambda paths, folder: [paths[0], str(_write(folder, viz_runs.tiny_run().to_json()))],
            "another prompt",
        ),
        (lambda paths, folder: [paths[0], str(_write(folder, "{"))], "not a complete trace"),
        (
            lambda paths, folder: [*paths, "--csv", str(folder / "no" / "x.csv")],
            "cannot be written",
        ),
        (lambda paths, folder: [*paths, "--html", str(folder)], "cannot be written"),
    ],
)
def test_bad_input_is_one_line(saved, capsys, tmp_path, make, words):
    assert cli.main(["compare-traces", *make(saved, tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def _write(folder, text):
    path = folder / "odd.json"
    path.write_text(text, encoding="utf-8")
    return path


def test_as_a_process_it_needs_no_torch(saved):
    code = (
        "import sys; from tr_core.cli.main import main; main(sys.argv[1:]);"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "compare-traces", *saved]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_runs_without_a_token_are_no_fault():
    traces = [run([A]), run([A])]
    assert "Both texts are equal: 0 tokens." in as_text(traces, align(traces))
    assert positions_csv(traces, align(traces)).splitlines() == [",".join(COLUMNS)]
    one = [run([A]), run([A], step([], [B], root=A))]
    assert "0 tokens. Ended there: token_recycling." in as_text(one, align(one))


def test_curves_and_lanes_as_figures():
    figure = viz.passes_by_position([X, Y])
    assert [(line.name, tuple(line.x), tuple(line.y)) for line in figure.data] == [
        ("token_recycling", (0, 1, 2, 3, 4, 5, 6), (0, 1, 1, 1, 2, 3, 3)),
        ("none", (0, 1, 2, 3, 4, 5, 6), (0, 1, 2, 3, 4, 5, 6)),
    ]
    assert len({line.line.dash for line in figure.data}) == 2
    assert not figure.layout.shapes
    assert viz.passes_by_position([X, OTHER]).layout.shapes[0].x0 == 2, "the first difference"
    accepted, bonus = viz.steps_by_position([X, Z]).data
    assert list(zip(accepted.y, accepted.base, accepted.x, strict=True)) == [
        ("token_recycling", 0.5, 2), ("token_recycling", 4.5, 1),
        ("token_recycling (2)", 1.5, 1), ("token_recycling (2)", 3.5, 2),
    ]  # fmt: skip
    assert list(zip(bonus.base, bonus.x, strict=True)) == [
        (2.5, 1),
        (3.5, 1),
        (5.5, 1),
        (0.5, 1),
        (2.5, 1),
        (5.5, 1),
    ]
    assert accepted.hovertext[0] == "step 1: “b” “c”, accepted"
    assert accepted.marker.pattern.shape != bonus.marker.pattern.shape
    hostile = [with_info(t, model=m) for t, m in ((X, "<b>$x$"), (Y, "</b>"))]
    assert "<b" not in str(
        [f.to_dict() for f in (viz.steps_by_position(hostile), viz.passes_by_position(hostile))]
    )


def test_runs_travel_as_one_page(saved, tmp_path, capsys):
    out = tmp_path / "c.html"
    assert cli.main(["compare-traces", *saved, "--html", str(out)], load_html=load_html) == 0
    assert out.read_text(encoding="utf-8") == viz.to_html([X, Y, Z])
    with pytest.raises(CompareError, match="another prompt"):
        viz.to_html([X, viz_runs.tiny_run()])
