"""The examples of docs/api.md and the README, run as they are printed; and the doors for whoever
runs the server.
"""

import json
import re
import subprocess
from inspect import signature
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tests.support import tiny_models
from tests.support.page_runs import request
from tr_core import Settings
from ui.page import api, health
from ui.runs.loaded_models import LoadedModels
from ui.server.limits import Limits
from ui.tab.controls import CONTROLS, settings_of
from ui.tab.tab import Tab

ROOT = Path(__file__).resolve().parents[2]
API = (ROOT / "docs" / "api.md").read_text()
PRINTED = "http://127.0.0.1:7860"


def examples(language, text):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def here(app_url, monkeypatch, tmp_path):
    """Turns a printed example into one for the page of the tests."""
    monkeypatch.chdir(tmp_path)
    return lambda example: example.replace(PRINTED, app_url.rstrip("/"))


PYTHON = [
    e
    for text in (API, (ROOT / "README.md").read_text())
    for e in examples("python", text)
    if "Client(" in e
]


@pytest.mark.parametrize("example", PYTHON, ids=range(len(PYTHON)))
def test_the_examples_in_python_run_as_printed(here, example, capsys):
    names = {}
    exec(compile(here(example), "example", "exec"), names)
    told = capsys.readouterr().out
    assert names["client" if "client" in names else "job"]
    assert told.strip() or names["last"]["type"] == "end"
    for name in ("client", "job"):
        if hasattr(names.get(name), "close"):
            names[name].close()


def test_the_example_with_curl_runs_as_printed(here):
    (example,) = examples("sh", API)
    done = subprocess.run(
        ["bash", "-c", here(example)], capture_output=True, text=True, timeout=120
    )
    lines = [
        line.removeprefix("data: ")
        for line in done.stdout.splitlines()
        if line.startswith("data: ")
    ]
    records = [json.loads(json.loads(line)[0]) for line in lines if line.startswith('["')]
    assert [records[0]["type"], records[-1]["type"]] == ["start", "end"]
    assert records[0]["info"]["tree"] == "small-16"
    assert len(records[-1]["output_ids"]) == 16


def test_the_table_of_arguments_is_the_one_of_the_controls():
    """``python -m ui.page.api`` prints it."""
    assert api.table_of_arguments() in API
    endpoint = api.endpoint(LoadedModels(Limits()), Limits())
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", api.table_of_arguments(), re.MULTILINE)
    arguments = list(signature(endpoint).parameters)
    assert rows == [(str(number), name) for number, name in enumerate(arguments, start=1)]
    assert arguments[:6] == ["prompt", "model", "drafter", "tree", "k", "max_new_tokens"]


def test_a_setting_has_the_same_default_from_every_door():
    defaults = settings_of({control.key: control.default for control in CONTROLS})
    assert defaults == settings_of({}) == Settings()


def test_health_is_told_at_once_and_metrics_only_when_switched_on(app_url):
    with httpx.Client(base_url=app_url, trust_env=False) as client:
        told = client.get("/healthz").json()
        assert told["status"] == "ok"
        assert client.get("/metrics").status_code == 404


def test_what_is_counted_is_told_in_prometheus_format():
    limits = Limits(metrics=True)
    models = LoadedModels(limits, load=lambda source, progress: tiny_models.target("llama"))
    tab = Tab(models, limits)
    list(tab.run(request(max_new_tokens=40)))
    list(tab.step(request(prompt="")))
    text = TestClient(Starlette(routes=health.routes(models, metrics=True))).get("/metrics").text
    told = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    steps = len(tab.workspace.trace.steps)
    assert float(told["tr_steps_total"]) == steps
    assert float(told["tr_tokens_total"]) == 40
    assert float(told["tr_mean_accepted_tokens"]) == pytest.approx(40 / steps)
    assert float(told['tr_runs_total{door="page",drafter="token_recycling"}']) == 1
    assert float(told['tr_errors_total{kind="PromptError"}']) == 1
    assert (float(told["tr_queue_waiting"]), float(told["tr_runs_under_way"])) == (0, 0)
    assert float(told["tr_models_loaded"]) == 1
