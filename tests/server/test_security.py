"""Hostile input at every door: one sentence or success, never a traceback; and nothing of the
server in or out.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.support import tiny_models
from tests.support.hostile import GOOD, anything, hostile_text, one_sentence
from tr_core import RunTrace
from tr_core.cli.main import main as command_line
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.registry import DRAFTERS
from tr_core.errors import TokenRecyclingError
from tr_core.trees import templates
from ui.page import api
from ui.runs.loaded_models import LoadedModels
from ui.server import log
from ui.server.limits import Limits
from ui.server.security_headers import Guard
from ui.tab import browser_state, links
from ui.tab.controls import KEYS, request_of
from ui.tab.tab import Tab

ROOT = Path(__file__).resolve().parents[2]
LIMITS = Limits(max_new_tokens=6, max_prompt_chars=300, local_paths=False)
MODELS = LoadedModels(LIMITS, load=lambda source, progress: tiny_models.target("llama"))

few = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def sentences(records):
    for text in records:
        content = json.loads(text)
        for record in content if isinstance(content, list) else [content]:
            if record["type"] == "error":
                one_sentence(record["sentence"])
                assert "went wrong on the server" not in record["sentence"]


@few
@given(st.dictionaries(st.sampled_from(KEYS), anything, max_size=3))
def test_the_page_takes_any_values_of_its_controls(values):
    try:
        request = request_of(GOOD | values)
    except TokenRecyclingError as error:
        one_sentence(str(error))
        return
    tab = Tab(MODELS, LIMITS)
    sentences(tab.step(request))
    tab.leave()


@few
@given(st.dictionaries(st.sampled_from(KEYS), anything, max_size=2), anything, anything)
def test_the_endpoint_takes_any_arguments(values, steps, checkpoint):
    try:
        request = request_of(GOOD | values | {"tree file": None, "matrix file": None})
        told = [
            json.loads(record)["type"]
            for record in api.records(MODELS, LIMITS, request, steps, checkpoint)
        ]
        assert set(told) <= {"start", "step", "end", "checkpoint"}
    except TokenRecyclingError as error:
        sentences([json.dumps({"type": "error", "sentence": str(error)})])


@few
@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace")))
def test_any_file_may_be_uploaded_as_run_tree_or_matrix(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("upload") / "file"
    file.write_bytes(content)
    sentences([Tab(MODELS, LIMITS).open([file])])
    for read in (
        lambda: templates.read(file),
        lambda: CandidateMatrix.load(file, fingerprint="x", vocab_size=10),
        lambda: RunTrace.from_json(content),
    ):
        with contextlib.suppress(TokenRecyclingError):
            read()
    file.unlink()


@few
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["child_counts", "paths", "x"]), x),
        max_leaves=12,
    )
)
def test_any_json_may_be_a_tree(content):
    with contextlib.suppress(TokenRecyclingError):
        templates.parse(json.dumps(content))


@few
@given(st.data())
@pytest.mark.slow
def test_a_run_changed_anywhere_is_opened_or_refused(tmp_path_factory, data):
    whole = json.loads((ROOT / "assets" / "examples" / "story.json").read_text())
    place = whole
    while True:
        key = data.draw(
            st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
        )
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(anything.filter(lambda x: x == x))
    file = tmp_path_factory.mktemp("changed") / "run.json"
    file.write_text(json.dumps(whole))
    sentences([Tab(MODELS, LIMITS).open([file])])
    file.unlink()


@few
@given(st.lists(st.tuples(st.sampled_from([*KEYS, "x"]), hostile_text), max_size=6))
def test_any_link_fills_in_what_fits_and_says_the_rest(pairs):
    values, sentence = links.from_query(pairs, LIMITS)
    assert set(values) <= set(KEYS)
    if sentence:
        assert "Traceback" not in sentence


@few
@given(anything)
def test_any_claim_is_read_or_counts_as_none(text):
    for kind in (browser_state.BrowserState, browser_state.SaveRequest):
        browser_state.read(text, kind)
        browser_state.read(json.dumps(text, default=str), kind)


@few
@given(st.lists(hostile_text.filter(lambda t: "\0" not in t and "\ud800" not in t), max_size=4),
       st.sampled_from(["run", "compare", "diagnose", "trees"]))  # fmt: skip
def test_the_command_line_ends_with_a_status_whatever_it_is_given(capsys, arguments, command):
    try:
        status = command_line([command, *arguments])
    except SystemExit as exit:  # argparse
        status = exit.code
    assert status in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_visitor_names_no_folder_and_no_file_of_the_server():
    for name in ("/etc", "../wt", "assets/models/pocket", str(ROOT), "~", "a" * 5000, "x\0y"):
        with pytest.raises(TokenRecyclingError, match="no model of the list"):
            MODELS.get(name)
    with pytest.raises(TokenRecyclingError, match="no tree"):
        request_of(GOOD | {"tree": "/etc/passwd"})


# — what is served —


def guarded(largest=1000, framed_by=""):
    page = "<html><script>let a = 1;</script><script src='/x.js'></script>{body}</html>"

    async def echo(request):
        return PlainTextResponse(str(len(await request.body())))

    routes = [
        Route("/", lambda request: HTMLResponse(page)),
        Route("/echo", echo, methods=["POST"]),
        Route("/gradio_api/file=x", lambda request: PlainTextResponse("open")),
    ]
    return TestClient(Guard(Starlette(routes=routes), framed_by, largest))


def test_only_the_scripts_of_the_page_itself_may_run():
    policy = guarded(framed_by="https://huggingface.co").get("/").headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    # printf 'let a = 1;' | openssl dgst -sha256 -binary | base64
    assert (
        rules["script-src"]
        == "'self' 'unsafe-eval' 'sha256-xY6QKfH9PRsQnLz56nj6MBwiK5oHg+im1Jkpdp1x/Ck='"
    )
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == "'self' https://huggingface.co"


def test_bodies_are_bounded_whether_their_length_is_told_or_not():
    client = guarded(largest=1000)
    assert client.post("/echo", content=b"a" * 1000).text == "1000"
    assert client.post("/echo", content=b"a" * 1001).status_code == 413
    assert client.post("/echo", content=b"a", headers={"content-length": "many"}).status_code == 413
    with contextlib.suppress(Exception):  # cut off in the middle
        assert client.post("/echo", content=(b"a" * 600 for _ in range(2))).status_code >= 400


@pytest.mark.parametrize(
    "path",
    ["file=https://example.com/x", "proxy=x", "vibe-edit", "monitoring", "deep_link", "runs"],
)
def test_doors_that_the_page_has_no_use_for_are_closed(path):
    assert guarded().get(f"/gradio_api/{path}").status_code == 404
    assert guarded().get("/gradio_api/file=x").text == "open"


def test_the_real_page_gives_no_file_of_the_server_away(app_url):
    with httpx.Client(base_url=app_url, trust_env=False) as client:
        headers = client.get("/").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        for path in (
            "file=/etc/passwd",
            f"file={ROOT}/app.py",
            "file=app.py",
            "file=../app.py",
            "file=ui/page/build.py",
            f"file={ROOT}/assets/models/pocket/config.json",
            "file=/proc/self/environ",
        ):
            assert client.get(f"/gradio_api/{path}").status_code in (403, 404), path
        for path in (
            "/tr/../app.py",
            "/tr/%2e%2e/app.py",
            "/tr/..%2f..%2fapp.py",
            "/tr//etc/passwd",
        ):
            assert client.get(path).status_code == 404
        uploaded = client.post("/gradio_api/upload", files={"files": ("../../evil.json", b"{}")})
        assert all(
            Path(place).resolve().is_relative_to(Path(place).parent.resolve())
            for place in uploaded.json()
        )
        assert not any(".." in Path(place).parts for place in uploaded.json())


@pytest.mark.slow
def test_any_event_gets_one_sentence_and_none_can_name_a_file_of_the_server():
    environment = os.environ | {
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    command = [sys.executable, "-m", "tests.support.page_events"]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert {
        "run",
        "on_step",
        "on_kept",
        "on_save",
        "on_save_comparison",
        "on_example",
        "on_load",
    } <= set(told["events"])
    assert len(told["files"]) == 2
    for status, text in told["files"]:
        assert status >= 400
        assert "root:" not in text


# — what is kept —


def test_secrets_are_in_no_log_line_and_no_trace(monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
    monkeypatch.setenv("SOME_API_KEY", "very-secret-value")
    formatted = log.JsonLines().format(
        log.logging.LogRecord(
            "tr", 20, "", 0, "took hf_abcdefghijklmnop and hf_qrstuvwxyz1234", (), None
        )
    )
    assert "hf_abc" not in formatted
    assert "hf_qrs" not in formatted
    assert "very-secret" not in log.without_secrets("very-secret-value")
    tab = Tab(MODELS, LIMITS)
    list(tab.run(request_of(GOOD)))
    told = tab.workspace.trace.to_json()
    assert not any(
        v in told
        for v in ("hf_abcdefghijklmnop", "very-secret-value", str(ROOT), socket.gethostname())
    )
    assert os.environ["HF_TOKEN"] not in capsys.readouterr().err


def test_prompts_are_logged_only_when_they_are_asked_for(monkeypatch):
    lines = []
    monkeypatch.setattr(log, "tell", lambda event, **told: lines.append(told))
    for limits in (LIMITS, Limits(log_prompts=True)):
        list(Tab(LoadedModels(limits, load=MODELS._load), limits).step(request_of(GOOD)))
    assert "prompt" not in lines[0]
    assert lines[1]["prompt"] == "the then"


def test_a_failure_is_logged_without_its_words():
    def fail():
        raise ValueError("once upon a private time")

    with pytest.raises(ValueError, match="private") as caught:
        fail()
    failed = (caught.type, caught.value, caught.tb)
    formatted = log.JsonLines().format(
        log.logging.LogRecord("tr", 40, "", 0, "a run failed", (), failed)
    )
    told = json.loads(formatted)
    assert (told["level"], told["error"]) == ("error", "ValueError")
    assert told["where"][0].startswith("test_security.py:")
    assert "private" not in formatted


SOURCES = [p for room in ("tr_core", "viz", "ui") for p in (ROOT / room).rglob("*.py")] + [
    ROOT / "app.py"
]


def test_no_pickle_no_remote_code_and_no_clock_that_jumps():
    for path in SOURCES:
        text = path.read_text()
        assert "import pickle" not in text, path
        assert "torch.load(" not in text, path
        assert "trust_remote_code=True" not in text, path
        # Durations come from clocks that never go back.
        assert "time.time()" not in text, path
    assert all(name in DRAFTERS for name in ("none", "token_recycling"))
