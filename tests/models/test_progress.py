"""How far a model has come, in bytes, and that nobody has to wait for it: a Hub of our own on this
machine.
"""

import functools
import hashlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tests.support import tiny_models
from tr_core.errors import LoadStoppedError, ModelError
from tr_core.models import model_files
from tr_core.models.load_progress import DOWNLOADING, READING, Progress, line_on, tensor_sizes
from tr_core.models.loading import load_target
from ui.page import health
from ui.runs.loaded_models import LoadedModels
from ui.server.limits import Limits
from ui.tab.tab import Tab

COMMIT = "0123456789" * 4
ID = "someone/tiny"


class Hub(BaseHTTPRequestHandler):
    """What huggingface_hub asks a Hub for, about one model in ``folder``."""

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body):
        path = self.path.split("?")[0]
        files = {file.name: file.read_bytes() for file in self.server.folder.iterdir()}
        if path.startswith(f"/api/models/{ID}/revision"):
            told = {"id": ID, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            return self._send(json.dumps(told).encode(), body)
        if path.startswith(f"/api/models/{ID}/tree"):
            told = [
                {"type": "file", "path": n, "size": len(c), "oid": _oid(c)}
                for n, c in files.items()
            ]
            return self._send(json.dumps(told).encode(), body)
        content = files.get(path.rpartition("/")[2])
        if content is None:
            return self.send_error(404)
        cut = (
            len(content) // 2
            if body and self.server.cut and path.endswith(".safetensors")
            else None
        )
        return self._send(
            content, body, {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": COMMIT}, cut
        )

    def _send(self, content, body, more=(), cut=None):
        self.send_response(200)
        for name, value in {
            "Content-Length": len(content),
            "Content-Type": "application/json",
            **dict(more),
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        if body:
            self.wfile.write(content[:cut])

    def log_message(self, *_):
        pass


def _oid(content):
    return hashlib.sha1(content).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A whole model of some weight files."""
    folder = tmp_path_factory.mktemp("hub")
    tiny_models.model("llama").save_pretrained(folder, max_shard_size="40KB")
    tiny_models.byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """The Hub of this machine, with nothing downloaded so far."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.folder, server.cut = folder, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = {
        "endpoint": f"http://127.0.0.1:{server.server_port}",
        "cache_dir": tmp_path,
        "token": False,
    }
    monkeypatch.setattr(
        model_files,
        "snapshot_download",
        functools.partial(huggingface_hub.snapshot_download, **here),
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()


def test_a_download_and_the_reading_are_told_in_bytes(hub, folder):
    told = []
    assert load_target(ID, progress=told.append).vocab_size == tiny_models.VOCAB
    downloaded = [p for p in told if p.doing == DOWNLOADING]
    read = [p for p in told if p.doing == READING]
    assert told == downloaded + read
    weights = sorted(folder.glob("*.safetensors"))
    fetched = [*weights, *folder.glob("*.json")]
    config = (folder / "config.json").stat().st_size  # came first, to be looked at
    assert len(weights) > 2
    assert (downloaded[-1].done, downloaded[-1].whole) == (
        sum(f.stat().st_size for f in fetched) - config,
    ) * 2
    assert (read[0].done, {p.whole for p in read}) == (0, {sum(tensor_sizes(weights).values())})
    assert [p.done for p in read] == sorted(p.done for p in read)
    # Each parameter by its own size: all before the last is all but the norm, or whichever came
    # last.
    assert read[-2].whole - read[-2].done in tensor_sizes(weights).values()
    assert read[-1].done == read[-1].whole


@pytest.mark.parametrize("doing", [DOWNLOADING, READING])
def test_a_load_can_be_ended_at_either_stage_and_done_again(hub, doing):
    def enough(progress):
        if progress.doing == doing and progress.done:
            raise LoadStoppedError("enough")

    with pytest.raises(LoadStoppedError, match="enough"):
        load_target(ID, progress=enough)
    assert load_target(ID).vocab_size == tiny_models.VOCAB


def test_bytes_are_told_in_words(capsys):
    assert str(Progress(DOWNLOADING, 1_250_000, 270_000_000)) == "downloading, 1.2 of 270.0 MB"
    assert (
        str(Progress(READING, 1_250_000_000, 14_480_000_000))
        == "reading the weights, 1.25 of 14.48 GB"
    )
    line = io.StringIO()
    tell = line_on(line)
    tell(Progress(READING, 5 * 10**6, 10**7))
    tell(Progress(READING, 10**7, 10**7))
    words = "reading the weights, 5.0 of 10.0 MB"
    assert line.getvalue() == f"\r{words}\r{' ' * len(words)}\r"


class Slow:
    """A load that tells of its bytes when it is let."""

    def __init__(self):
        self.go, self.began, self.loads = threading.Semaphore(0), threading.Event(), 0

    def __call__(self, source, progress):
        self.loads += 1
        for done in range(1, 3):
            progress(Progress(DOWNLOADING, done * 10**6, 2 * 10**6))
            self.began.set()
            assert self.go.acquire(timeout=20)
        return tiny_models.target("llama")


def loading(tab):
    from tests.support.page_runs import request

    records = tab.step(request())
    for record in records:
        told = json.loads(record)
        assert told["type"] == "loading"
        if "MB" in told["doing"]:
            return records, told["doing"]
    raise AssertionError("never told")


def test_the_page_tells_the_bytes_and_a_load_nobody_waits_for_ends(monkeypatch):
    monkeypatch.setattr("ui.tab.workspace.TELL_SECONDS", 0.01)
    slow = Slow()
    models = LoadedModels(Limits(), load=slow)
    first, second = Tab(models, Limits()), Tab(models, Limits())
    (one, words), (other, _) = loading(first), loading(second)
    assert words == "downloading, 1.0 of 2.0 MB"
    ((name, coming),) = models.coming
    assert (name, coming.waiting, coming.progress.done) == ("tiny", 2, 10**6)
    site = TestClient(Starlette(routes=health.routes(models, metrics=False)))
    (told,) = site.get("/healthz").json()["loading"]
    assert told | {"seconds": 0} == {
        "model": "tiny", "doing": "downloading", "done": 10**6, "whole": 2 * 10**6, "seconds": 0,
    }  # fmt: skip
    first.stop()
    assert list(one) == []
    assert (coming.waiting, coming.stopped) == (1, False)
    second.leave()
    other.close()
    assert (coming.stopped, models.coming) == (True, [])
    slow.go.release()
    with pytest.raises(LoadStoppedError):
        coming.done.result(20)
    slow.go.release(2)
    assert models.get("tiny").vocab_size == tiny_models.VOCAB
    assert slow.loads == 2


def test_a_download_that_breaks_off_is_told_in_a_sentence_and_goes_on_later(
    hub, monkeypatch, capfd
):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.cut = True
    with pytest.raises(ModelError, match=r"^“someone/tiny” could not be downloaded: [^\n]*\.$"):
        load_target(ID)
    assert capfd.readouterr().err == ""
    hub.cut = False
    assert load_target(ID).vocab_size == tiny_models.VOCAB
