"""The command line as scripts see it: JSON on the last line, one line of error, exit status 2 for
bad input.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import tiny_models
from tr_core import RunTrace
from tr_core.__main__ import load_html
from tr_core.cli import main as cli
from tr_core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny_models.model("llama").save_pretrained(path)
    tiny_models.byte_tokenizer().save_pretrained(path)
    return str(path)


def run_json(capsys, *arguments):
    assert cli.main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def refusal(capsys, *arguments):
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("drafter", ["token_recycling", "prompt_lookup", "none"])
@pytest.mark.parametrize("extra", [[], ["--temperature", "0.9", "--top-p", "0.8", "--seed", "3"]])
def test_run_writes_what_generate_writes(capsys, folder, drafter, extra):
    result = run_json(
        capsys,
        "run",
        "--model",
        folder,
        "--prompt",
        "the then",
        "--max-new-tokens",
        "24",
        "--ignore-eos",
        "--drafter",
        drafter,
        *extra,
    )
    target = tiny_models.target("llama")
    sampled = Settings(temperature=0.9, top_p=0.8, seed=3) if extra else Settings()
    settings = Settings(**{**vars(sampled), "max_new_tokens": 24, "ignore_eos": True})
    assert result["output_ids"] == target.plain_ids(target.vocabulary.encode("the then"), settings)
    assert result["text"] == target.vocabulary.decode(result["output_ids"])
    assert result["new_tokens"] == 24
    assert result["mean_accepted_tokens"] == pytest.approx(24 / result["steps"], abs=1e-4)
    assert (result["drafter"], result["dtype"], result["device"]) == (drafter, "float32", "cpu")
    assert result["stop_reason"] == "max_new_tokens"
    assert result["prompt_tokens"] == len(target.vocabulary.encode("the then"))
    assert drafter != "none" or result["steps"] == 24


def test_a_matrix_is_saved_and_makes_a_hot_start(capsys, folder, tmp_path):
    matrix, trace = str(tmp_path / "m.safetensors"), tmp_path / "t.json"
    # A named tree: what auto chooses depends on the machine's clock.
    common = [
        "run",
        "--model",
        folder,
        "--prompt",
        "the",
        "--max-new-tokens",
        "20",
        "--ignore-eos",
        "--tree",
        "small-8",
    ]
    cold = run_json(capsys, *common, "--matrix-out", matrix)
    hot = run_json(capsys, *common, "--matrix-in", matrix, "--trace", str(trace), "--check")
    assert hot["output_ids"] == cold["output_ids"]
    assert hot["steps"] < cold["steps"]
    assert hot["identical"] is True
    saved = RunTrace.from_json(trace.read_text())
    assert list(saved.output_ids) == hot["output_ids"]
    assert saved.reference_identical is True
    assert folder not in trace.read_text()  # the name of the folder, not where it lies


def test_a_run_becomes_a_web_page(capsys, folder, tmp_path):
    page = tmp_path / "run.html"
    common = [
        "run",
        "--model",
        folder,
        "--prompt",
        "the then",
        "--max-new-tokens",
        "5",
        "--ignore-eos",
    ]
    assert cli.main([*common, "--html", str(page)], load_html) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "“the then”" in page.read_text(encoding="utf-8")
    capsys.readouterr()
    assert "cannot be written" in refusal(
        capsys, *common, "--html", str(tmp_path / "no" / "run.html")
    )
    assert "from the command line only" in refusal(capsys, *common, "--html", str(page))
    page.unlink()
    page.symlink_to("/dev/full")
    assert cli.main([*common, "--html", str(page), "--json"], load_html) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_a_prompt_file_and_a_tree_file(capsys, folder, tmp_path):
    (tmp_path / "prompt.txt").write_text("the then")
    (tmp_path / "tree.json").write_text('{"child_counts": [[2], [1, 0]], "name": "mine"}')
    result = run_json(
        capsys, "run", "--model", folder, "--prompt-file", str(tmp_path / "prompt.txt"),
        "--tree", str(tmp_path / "tree.json"), "--max-new-tokens", "5",
    )  # fmt: skip
    assert result["tree"] == "mine"


def test_run_streams_the_text_and_a_summary(capsys, folder):
    assert (
        cli.main(
            ["run", "--model", folder, "--prompt", "the", "--max-new-tokens", "5", "--ignore-eos"]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "5 tokens in" in out.splitlines()[-1]


def test_compare_reads_both_file_formats(capsys, folder, tmp_path):
    prompts = tmp_path / "p.jsonl"
    prompts.write_text(
        '{"prompt": "the then"}\n\n{"question_id": 7, "category": "x", "turns": ["then", "more"]}\n'
    )
    results = run_json(
        capsys,
        "compare",
        "--model",
        folder,
        "--prompts",
        str(prompts),
        "--drafters",
        "token_recycling,none",
        "--max-new-tokens",
        "12",
        "--tree",
        "small-8",
        "--ignore-eos",
    )["results"]
    assert [r["drafter"] for r in results] == ["token_recycling", "none"]
    assert all(r["identical"] for r in results)
    assert all((r["tokens_to_first_divergence"], r["divergences"]) == (None, []) for r in results)
    assert results[1]["mean_accepted_tokens"] == 1.0
    assert all(0 < r["worst_speedup"] <= r["speedup"] for r in results)


@pytest.mark.parametrize("command", ["models", "drafters", "trees"])
def test_the_lists(capsys, command):
    assert cli.main([command]) == 0
    shown = capsys.readouterr().out
    listed = run_json(capsys, command)[command]
    assert [line.split()[0] for line in shown.splitlines()] == [row["name"] for row in listed]


def test_bad_input_is_told_in_one_line(capsys, folder, tmp_path):
    common = ["run", "--model", folder, "--prompt", "the"]
    for bad, words in [
        (["--k", "0"], "k must be"),
        (["--k", "many"], "invalid int"),
        (["--max-new-tokens", "-1"], "Max new tokens"),
        (["--max-new-tokens", "1000000000"], "Max new tokens"),
        (["--temperature", "nan"], "temperature"),
        (["--temperature", "-1"], "temperature"),
        (["--top-p", "0", "--temperature", "1"], "Top-p"),
        (["--top-p", "0.5"], "only matter when sampling"),
        (["--tree", "oak"], "is no tree"),
        (["--tree", "paper", "--k", "4"], "needs k"),
        (["--drafter", "oracle"], "no drafter"),
        (["--device", "warp"], "device"),
        (["--dtype", "float8"], "dtype"),
        (["--matrix-in", str(tmp_path / "none")], "not a readable matrix"),
        (["--matrix-out", str(tmp_path / "m"), "--drafter", "none"], "no matrix to save"),
        (["--trace", str(tmp_path / "no" / "t.json")], "cannot be written"),
        (["--frobnicate"], "unrecognized"),
    ]:
        assert words in refusal(capsys, *common, *bad)
    assert "empty" in refusal(capsys, "run", "--model", folder, "--prompt", "")
    assert "shorten it by" in refusal(capsys, "run", "--model", folder, "--prompt", "the " * 25_000)
    assert "required" in refusal(capsys, "run", "--model", folder)
    assert "prompt file" in refusal(
        capsys, "run", "--model", folder, "--prompt-file", str(tmp_path / "none")
    )
    assert "no-such" in refusal(
        capsys, "run", "--model", str(tmp_path / "no-such"), "--prompt", "the"
    )
    for text, words in [
        ("", "no prompt in"),
        ("{", "Line 1"),
        ('{"x": 1}', "Line 1"),
        ('{"turns": []}', "Line 1"),
    ]:
        (tmp_path / "p.jsonl").write_text(text)
        line = refusal(capsys, "compare", "--model", folder, "--prompts", str(tmp_path / "p.jsonl"))
        assert words in line


@pytest.mark.parametrize(
    "prompt", ["\N{GRINNING FACE}", "<script>", "{{x}} ${y}", "\u202eabc", "a\0b\x1b[31m"]
)
def test_any_text_is_a_prompt(capsys, folder, prompt):
    # The tiny tokenizer lacks most characters; those that remain, if any, are decoded.
    status = cli.main(
        ["run", "--model", folder, "--prompt", prompt, "--max-new-tokens", "3", "--json"]
    )
    captured = capsys.readouterr()
    assert status == 0 or (status == 2 and "empty" in captured.err)


def test_as_a_process_it_exits_2_with_one_line(folder):
    done = subprocess.run(
        [sys.executable, "-m", "tr_core", "run", "--model", folder, "--prompt", "the", "--k", "0"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
