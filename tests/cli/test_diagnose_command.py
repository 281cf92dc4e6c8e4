"""``python -m tr_core diagnose``: tables, JSON and CSV, and what they are made of."""

from __future__ import annotations

import copy
import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.support import viz_runs
from tests.support.hand_runs import A, B, C, D, E, run, step
from tr_core.analysis import bytes_read as traffic
from tr_core.analysis import diagnosis_report as report
from tr_core.analysis import metrics
from tr_core.analysis.csv_tables import NODE_COLUMNS, STEP_COLUMNS, nodes_csv, steps_csv
from tr_core.analysis.diagnosis import REASONS, diagnose
from tr_core.analysis.row_history import RowHistory
from tr_core.cli import main as cli

ROOT = Path(__file__).parents[2]


@pytest.fixture
def saved(tmp_path):
    trace = viz_runs.toy_run(30, stop_reason="max_new_tokens", cut=1)
    path = tmp_path / "run.json"
    path.write_text(trace.to_json(), encoding="utf-8")
    return trace, path


def test_json_keeps_the_contract(saved, capsys):
    trace, path = saved
    assert cli.main(["diagnose", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["steps"] == 30
    assert list(told["reasons"]) == list(REASONS)
    assert sum(told["reasons"].values()) == told["steps"] == len(told["details"])
    assert sum(told["not_in_row"].values()) == told["reasons"]["not_in_row"]
    assert (
        told["new_tokens"]
        == len(trace.output_ids)
        == sum(c["total"] for c in told["by_class"].values())
    )
    assert all(len(line["sentences"]) == 2 for line in told["details"])
    assert told["what_ifs"][0]["passes"] == 30
    assert told["bytes"] == []


def test_the_table_can_be_read(saved, capsys):
    _, path = saved
    assert cli.main(["diagnose", str(path)]) == 0
    out = capsys.readouterr().out
    assert "why paths ended" in out
    assert "one more node: [" in out
    assert "cannot be replayed" in out
    assert cli.main(["diagnose", str(path), "--steps"]) == 0
    longer = capsys.readouterr().out
    assert longer.endswith(out)
    assert longer.startswith("    1  ")


def test_a_table_of_every_drafter_and_of_nothing(tmp_path, capsys):
    plain = run([A], step([], [B], root=A), drafter="none")
    for trace in (plain, run([A])):
        path = tmp_path / "t.json"
        path.write_text(trace.to_json())
        for extra in ([], ["--json"], ["--steps"]):
            assert cli.main(["diagnose", str(path), *extra]) == 0
    assert "records no rows" in capsys.readouterr().out


def test_csv_files_hold_what_the_trace_holds(saved, tmp_path, capsys):
    trace, path = saved
    steps, nodes = tmp_path / "steps.csv", tmp_path / "nodes.csv"
    assert cli.main(["diagnose", str(path), "--csv", str(steps), "--nodes-csv", str(nodes)]) == 0
    lines = list(csv.DictReader(io.StringIO(steps.read_bytes().decode())))
    assert tuple(lines[0]) == STEP_COLUMNS
    assert [int(line["step"]) for line in lines] == [s.index for s in trace.steps]
    assert [line["reason"] for line in lines] == [d.reason for d in diagnose(trace).steps]
    texts = ["".join(trace.pieces[t] for t in s.emitted) for s in trace.steps]
    assert [json.loads(line["emitted_text"] or '""') for line in lines] == texts
    assert sum(float(line["forward_ms"]) for line in lines) == pytest.approx(
        sum(s.timing.forward_ms for s in trace.steps)
    )
    lines = list(csv.DictReader(io.StringIO(nodes.read_bytes().decode())))
    assert tuple(lines[0]) == NODE_COLUMNS
    assert [int(line["token"]) for line in lines] == [t for s in trace.steps for t in s.tokens]
    assert [line["status"] for line in lines] == [s for one in trace.steps for s in one.statuses]
    assert [json.loads(line["token_text"]) for line in lines] == [
        trace.pieces[t] for s in trace.steps for t in s.tokens
    ]


def test_no_text_is_a_formula_to_a_spreadsheet():
    trace = run([A], step([(0, 0, B)], [B, C], {A: ((B, C), (B, C))}, root=A))
    trace = msgspec.structs.replace(trace, pieces={A: "=1+1", B: "@x", C: "-2\n+3"})
    for text in (steps_csv(trace, diagnose(trace)), nodes_csv(trace)):
        cells = [cell for line in csv.reader(io.StringIO(text)) for cell in line]
        assert not [
            cell for cell in cells if cell[:1] in ("=", "+", "@", "\t") or cell.startswith("-2")
        ]


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "not a complete trace"), ('{"schema": 9}', "newer"), (None, "cannot be read")],
)
def test_bad_files_are_told_in_one_line(tmp_path, capsys, content, words):
    path = tmp_path / "t.json"
    if content is not None:
        path.write_text(content)
    assert cli.main(["diagnose", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_a_csv_that_cannot_be_written_is_told_first(saved, capsys, tmp_path):
    _, path = saved
    assert cli.main(["diagnose", str(path), "--csv", str(tmp_path / "no" / "x.csv")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_as_a_process_it_needs_no_torch(saved):
    code = (
        "import sys; from tr_core.cli.main import main; main(sys.argv[1:]);"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    _, path = saved
    done = subprocess.run(
        [sys.executable, "-c", code, "diagnose", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


# a ─┬─ b ── d     the model: a → b → e; then e alone, its row unseen
#    └─ c
SMALL = run(
    [A],
    step(
        [(0, 0, B), (0, 1, C), (1, 0, D)],
        [B, E, A, A],
        {A: ((B, C), (B, D)), B: ((), (E, D))},
        root=A,
    ),
    step(
        [(0, 0, A), (0, 1, A), (1, 0, A)], [A, A, A, A], {E: ((), (A, B))}, root=E, unseen=[1, 2, 3]
    ),
    step(
        [(0, 0, B), (0, 1, D), (1, 0, E)],
        [B, E, A, C],
        {A: ((B, D), (B, D)), B: ((E, D), (D, E))},
        root=A,
    ),
)


def test_acceptance_by_depth_rank_and_position():
    table = metrics.by_depth_and_rank(SMALL.steps)
    assert {place: (s.total, s.accepted) for place, s in table.items()} == {
        (1, 0): (2, 2), (1, 1): (2, 0), (2, 0): (2, 1),
    }  # fmt: skip
    assert {rank: s.rate for rank, s in metrics.by_rank(SMALL.steps).items()} == {
        0: 3 / 4,
        1: 0.0,
    }
    # Emitted: b e | a | b e c, of which b; none; b e were drafted.
    spans = metrics.by_position(SMALL, parts=2)
    assert [(s.first, s.last, s.accepted, s.passes) for s in spans] == [
        (1, 3, 1, 2.0),
        (4, 6, 2, pytest.approx(1.0)),
    ]
    assert spans[1].mean_accepted_tokens == pytest.approx(3.0)
    assert [s.last - s.first + 1 for s in metrics.by_position(SMALL, parts=99)] == [1] * 6
    assert metrics.by_position(run([A])) == []
    assert metrics.sliding_mat(SMALL.steps, window=2) == [(1, 2.0), (2, 1.5), (3, 2.0)]


@pytest.mark.parametrize(
    ("piece", "before", "kind"),
    [
        (" the", "x", "word start"),
        ("ing", " go", "continuation"),
        ("The", "", "word start"),
        ("The", "\n", "word start"),
        ("é", "caf", "continuation"),
        (" 36", "a", "digit"),
        ("9", "3", "digit"),
        ("½", "", "digit"),
        (".", "a", "punctuation"),
        (' "', ",", "punctuation"),
        ("<<", "", "punctuation"),
        (" ", "a", "white space"),
        ("\n\n", ".", "white space"),
        ("", "a", "other"),
        ("\x00", "a", "other"),
        ("日本", "a", "continuation"),
    ],
)
def test_token_classes(piece, before, kind):
    assert metrics.token_class(piece, before) == kind


def test_bytes_that_are_no_text_are_of_class_other():
    trace = msgspec.structs.replace(
        SMALL, partial_bytes={E: "e2"}, pieces=SMALL.pieces | {E: "<0xE2>"}
    )
    shares = metrics.by_class(trace)
    assert (shares["other"].total, shares["other"].accepted) == (2, 1)
    assert sum(s.total for s in shares.values()) == 6


def test_the_table_tells_where_drafts_were_accepted_and_how_it_went_on():
    lines = [line.split() for line in report.as_text(SMALL, diagnose(SMALL)).splitlines()]
    assert lines[1][-4:] == [
        "draft",
        "acceptance",
        "rate",
        "50.0%",
    ], "3 of the 9 nodes held no token"
    at = lines.index(["depth", "1", "2"])
    assert lines[at + 1] == ["67%", "33%"]
    at = lines.index(["rank", "0", "1"])
    assert lines[at + 1] == ["75%", "0%"]
    at = lines.index(["output", "tokens", "MAT", "drafted"])
    # b e | a | b e c, a line a token: those of a step share its one pass.
    assert [line[3:] for line in lines[at + 1 : at + 7]] == [
        ["2.00", "100%"],
        ["2.00", "0%"],
        ["1.00", "0%"],
        ["3.00", "100%"],
        ["3.00", "100%"],
        ["3.00", "0%"],
    ]
    at = lines.index(["up", "to", "step", "MAT", "rows", "filled", "age", "of", "rows", "used"])
    assert lines[at + 1 : at + 4] == [
        ["1", "2.00", "1", "1.0", "steps"],
        ["2", "1.50", "2", "–"],
        ["3", "2.00", "2", "2.0", "steps"],
    ]


def test_fill_and_age_of_the_matrix_over_time():
    first, second, third = RowHistory(SMALL).over_time()
    # Step 1 drafts from the rows of a and b; b's is told to be new, as these rows were made by
    # hand.
    assert (first.rows_seen, first.new, first.rewritten, first.changed, first.age) == (
        1,
        1,
        1,
        1,
        1,
    )
    assert (second.rows_seen, second.fill, second.age) == (2, 0.2, None)
    assert (third.rows_seen, third.rewritten, third.changed, third.age) == (2, 2, 1, 2)
    lives = RowHistory(SMALL).lives()
    assert [(r.token, r.writes, r.changed, r.evicted, r.first, r.last, r.age) for r in lives] == [
        (A, 2, 1, 1, 1, 3, 0), (B, 2, 1, 0, 1, 3, 0), (E, 1, 0, 0, 2, 2, 1),
    ]  # fmt: skip
    assert RowHistory(run([A], step([], [B], root=A), drafter="none")).over_time() == []


def test_rows_are_known_before_their_first_mention_and_not_if_never_mentioned():
    history = RowHistory(SMALL)
    assert [history.row(A, n) for n in range(3)] == [(B, C), (B, D), (B, D)]
    assert [history.row(E, n) for n in range(3)] == [(), (), (A, B)]
    assert history.row(9, 2) is None


def test_bytes_read_by_a_step():
    assert traffic.readings(SMALL) == []
    info = msgspec.structs.replace(SMALL.info, weight_bytes=1000, cache_bytes_per_token=10)
    first, second, _ = traffic.readings(msgspec.structs.replace(SMALL, info=info))
    # One token is committed: the root. The tree has three nodes more. Two plain passes see one,
    # then two tokens.
    assert (first.plain, first.tree, first.emitted, first.plain_for_all) == (
        1010,
        1040,
        2,
        1010 + 1020,
    )
    assert (second.plain, second.tree, second.plain_for_all) == (1030, 1060, 1030)


def test_a_model_tells_its_bytes():
    from tests.support import tiny_models
    from tr_core import Session, Settings
    from tr_core.decoding.recording import describe
    from tr_core.models import memory

    target = tiny_models.target("llama")
    session = Session(target, Settings(max_new_tokens=2)).start([1, 2, 3])
    info = describe(session)
    model = copy.deepcopy(tiny_models.model("llama"))
    heads = (
        model.config.num_key_value_heads
        * model.config.hidden_size
        // model.config.num_attention_heads
    )
    assert info.cache_bytes_per_token == 2 * 4 * model.config.num_hidden_layers * heads
    embedding = model.get_input_embeddings().weight
    everything = sum(p.numel() for p in model.parameters())
    assert info.weight_bytes == 4 * (everything - embedding.numel())
    # An embedding that is the output layer too is read whole, and is there once.
    model.lm_head.weight = embedding
    assert memory.weight_bytes(model) == info.weight_bytes
    everything = sum(p.numel() for p in model.parameters())
    assert info.weight_bytes == 4 * everything
