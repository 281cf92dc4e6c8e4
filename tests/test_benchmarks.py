"""The one command that measures everything, at its smallest: that every part is there, not what it
says.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = (
    "Speed: ",
    "A step by its draft nodes: ",
    "Memory: ",
    "Growth with the prompt: ",
    "Growth with the vocabulary: ",
    "The matrix of a wide vocabulary: ",
    "What a trace costs: ",
)


@pytest.mark.slow
def test_the_quick_form_has_every_part_and_ends_with_one_json_object(tmp_path):
    # Spec-Bench's form, as its files have it.
    prompts = tmp_path / "question.jsonl"
    prompts.write_text(
        '{"question_id": 7, "category": "qa", "turns": ["once upon a time", "and then?"]}\n'
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.all",
            "--quick",
            "--threads",
            "1",
            "--prompts",
            str(prompts),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *_, last = done.stdout.strip().splitlines()
    result = json.loads(last)
    assert result["machine"].keys() >= {
        "cpu",
        "threads",
        "gpu",
        "python",
        "torch",
        "transformers",
        "commit",
    }
    titles = [part["title"] for part in result["tables"]]
    assert [next(p for p in PARTS if t.startswith(p)) for t in titles] == list(PARTS)
    assert all(f"### {title}\n" in done.stdout for title in titles)
    assert all(part["rows"] for part in result["tables"])

    speed, steps, *_ = (part["rows"] for part in result["tables"])
    ways = {row["way"]: row for row in speed}
    assert {
        "none",
        "generate",
        "generate, prompt look-up",
        "token_recycling, auto",
        "token_recycling, paper",
    } <= set(ways)
    assert all(row["same"] == "1 of 1" for row in speed)
    assert ways["none"]["tokens per pass"] == ways["none"]["speed-up"] == 1.0
    assert "skipped" in result["tables"][0]["note"] or result["machine"]["gpu"]
    parts = ("draft", "forward", "verify", "compact", "update", "host")
    assert all(row[part] >= 0 for row in steps for part in parts)
    (wide,) = result["tables"][5]["rows"]
    assert (wide["vocabulary"], wide["MiB"] <= 5) == (152_000, True)
