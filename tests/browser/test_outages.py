"""Connections that break and servers that go away while somebody looks; and two servers behind one
client.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
from gradio_client import Client

from tests.support.app_page import SOON_MS, at_least, click
from tests.support.app_process import ROOT, wait_until_ready
from tr_core import Settings, load_target
from tr_core.models.catalog import source
from tr_core.trace import read_trace
from ui.tab.workspace import CHECKPOINT_EVERY

LONG_MS = 4 * SOON_MS  # the page is loaded anew meanwhile


class Server:
    """``python app.py`` on a free port."""

    def __init__(self, folder, **environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = folder / f"{self.port}.txt"
        self._environment = os.environ | {"HF_HUB_OFFLINE": "1"} | environment

    def start(self):
        with self.log.open("a") as out:
            self.process = subprocess.Popen(
                [sys.executable, "app.py", "--port", str(self.port)],
                cwd=ROOT, stdout=out, stderr=out, env=self._environment,
            )  # fmt: skip
        wait_until_ready(self.url, self.process, self.log)
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=20)


class Wire:
    """A connection to a server that can be cut: every stream through it breaks off, and no new one
    is let through.
    """

    def __init__(self, port):
        self.port, self.is_cut, self._open = port, False, []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}/"
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self):
        while True:
            try:
                here, _ = self._door.accept()
            except OSError:
                return  # closed
            self._open.append(here)
            try:
                if self.is_cut:
                    raise ConnectionRefusedError
                there = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                here.close()
                continue
            self._open.append(there)
            for way in ((here, there), (there, here)):
                self._threads.append(threading.Thread(target=self._pipe, args=way, daemon=True))
                self._threads[-1].start()

    def _pipe(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        self.is_cut = True
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self, port=None):
        """Let new streams through, to the same server or to another one."""
        self.port, self.is_cut = port or self.port, False

    def close(self):
        self.cut()
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)  # wakes up whoever waits at it
        for thread in self._threads:
            thread.join(20)
        for end in (self._door, *self._open):
            end.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all outages here; it has logged no fault when all is over."""
    made = Server(
        tmp_path_factory.mktemp("server"), TR_METRICS="1", TR_MAX_NEW_TOKENS="1000"
    ).start()
    yield made
    if made.process.poll() is None:
        made.kill()
    log = made.log.read_text()
    assert "Traceback" not in log, log[-4000:]
    assert '"level": "error"' not in log, log[-4000:]


@pytest.fixture
def wire(server):
    made = Wire(server.port)
    yield made
    made.close()


def figures(server):
    """What the server counts, without labels."""
    lines = httpx.get(f"{server.url}metrics", trust_env=False).text.splitlines()
    return {
        k: float(v) for k, v in (x.rsplit(" ", 1) for x in lines if x[0] != "#" and "{" not in x)
    }


def until_nothing_is_held(server):
    """The figures once no run is under way and none is kept awake; a run that nobody reads must end
    by itself.
    """
    for _ in range(200):
        found = figures(server)
        if not (found["tr_runs_under_way"] or found["tr_runs_awake"] or found["tr_queue_waiting"]):
            return found
        time.sleep(0.1)
    raise AssertionError(f"still held: {found}")


@pytest.mark.slow
def test_a_caller_who_goes_away_frees_the_machine(server):
    """The endpoint's stream breaks off after some records: its run ends with the step under way."""
    before = until_nothing_is_held(server)["tr_tokens_total"]
    asked = {
        "prompt": "once upon a time",
        "tree": "chain-4",
        "max_new_tokens": 1000,
        "ignore_eos": True,
    }
    api = f"{server.url}gradio_api/call/v2/run"
    with httpx.Client(trust_env=False, timeout=60) as client:
        place = client.post(api, json=asked).json()["event_id"]
        with client.stream("GET", f"{api.replace('/v2/run', '/run')}/{place}") as stream:
            lines = (line for line in stream.iter_lines() if "step" in line)
            next(lines), next(lines)
    made = until_nothing_is_held(server)["tr_tokens_total"] - before
    assert 0 < made < 900


def saved_run(page, folder):
    with page.expect_download(timeout=SOON_MS) as download:
        click(page, "Save this run")
    download.value.save_as(folder / "run.json")
    return read_trace(folder / "run.json")


def test_a_connection_that_breaks_in_the_middle_leaves_the_record_and_the_run_goes_on(
    server, wire, browser
):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    try:
        page.goto(wire.url)
        page.wait_for_selector("#tr-explorer", timeout=SOON_MS)
        page.get_by_label("New tokens", exact=True).fill("150")
        click(page, "Run")
        at_least(page, 10)
        wire.cut()
        page.get_by_text("The connection to the server is lost").wait_for(timeout=SOON_MS)
        until_nothing_is_held(server)
        steps = int(page.locator("#tr-explorer").get_attribute("data-steps"))
        assert steps >= 10
        wire.mend()
        page.get_by_text("The server is back").wait_for(timeout=LONG_MS)
        assert page.locator("#tr-explorer").get_attribute("data-steps") == str(steps)
        click(page, "Step")
        page.wait_for_selector(f"#tr-explorer[data-steps='{steps + 1}']", timeout=LONG_MS)
        click(page, "Run")
        page.get_by_text("lossless ✓").wait_for(timeout=LONG_MS)
    finally:
        page.close()


def test_two_servers_behind_one_client_make_one_run(server, app_url):
    clients = [Client(url, verbose=False, analytics_enabled=False) for url in (server.url, app_url)]
    sampling = {"temperature": 0.8, "top_p": 0.9, "seed": 4}
    asked = {"prompt": "once upon a time", "tree": "small-16", "max_new_tokens": 40, **sampling}
    steps, place = [], ""
    for turn in range(20):
        job = clients[turn % 2].submit(**asked, steps=4, checkpoint=place, api_name="/run")
        *records, last = [json.loads(record) for record in job]
        steps += [record["step"] for record in records if record["type"] == "step"]
        if last["type"] == "end":
            break
        place = json.dumps(last["checkpoint"])
    for client in clients:
        client.close()
    assert turn > 2
    assert [step["index"] for step in steps] == list(range(1, len(steps) + 1))
    target = load_target(source("pocket"))
    ids = target.plain_ids(
        target.vocabulary.encode(asked["prompt"]), Settings(max_new_tokens=40, **sampling)
    )
    assert last["output_ids"] == [token for step in steps for token in step["emitted"]] == ids


def test_a_killed_server_takes_nothing_from_the_screen_and_another_one_goes_on(
    server, wire, app_url, browser, tmp_path
):
    """The last one here. To the page a server that was started anew is another one: it knows
    nothing of the run.
    """
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    try:
        page.goto(wire.url)
        page.wait_for_selector("#tr-explorer", timeout=SOON_MS)
        page.get_by_label("New tokens", exact=True).fill("150")
        click(page, "Run")
        at_least(page, 10)
        server.kill()
        page.get_by_text("The connection to the server is lost").wait_for(timeout=SOON_MS)
        steps = int(page.locator("#tr-explorer").get_attribute("data-steps"))
        assert steps >= 10
        click(page, "First")  # all that came is there to be walked through
        page.wait_for_selector("#tr-explorer[data-step='1']")
        prompt = page.get_by_label("Prompt", exact=True)
        before = prompt.input_value()
        prompt.fill(later := "typed while nobody answers 🙂\n" * 400)
        wire.mend(httpx.URL(app_url).port)
        page.get_by_text("The server is back").wait_for(timeout=LONG_MS)
        assert page.locator("#tr-explorer").get_attribute("data-steps") == str(steps)
        assert page.get_by_label("New tokens", exact=True).input_value() == "150"
        assert prompt.input_value() == later
        prompt.fill(before)
        page.get_by_role("button", name="Save and open").click()
        kept = saved_run(page, tmp_path)  # by a server that never had it
        assert len(kept.steps) == steps
        click(page, "Step")
        page.wait_for_selector(f"#tr-explorer[data-steps='{steps + 1}']", timeout=LONG_MS)
        click(page, "Run")
        page.get_by_text("lossless ✓").wait_for(timeout=LONG_MS)
        whole = saved_run(page, tmp_path)
        assert whole.steps[: CHECKPOINT_EVERY - 1] == kept.steps[: CHECKPOINT_EVERY - 1]
        assert len(whole.steps) == int(page.locator("#tr-explorer").get_attribute("data-steps"))
        assert (len(whole.output_ids), whole.info, whole.reference_identical) == (
            150,
            kept.info,
            True,
        )
    finally:
        page.close()
