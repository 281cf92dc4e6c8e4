"""Servers that go away while somebody looks, in a real browser; and two servers behind one client."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from app_page import SOON_MS, at_least, click
from conftest import ROOT, _wait
from gradio_client import Client

from tr_core import Settings, load_target, reference
from tr_core.catalog import source

LONG_MS = 4 * SOON_MS  # a server of its own has to start meanwhile


class Server:
    """``python app.py`` on a port that stays the same when it is started again."""

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
        _wait(self.url, self.process, self.log)
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=20)


@pytest.fixture
def servers(tmp_path):
    """Starts servers; afterwards none is left, and none has logged a fault."""
    made = []

    def start(**environment):
        made.append(Server(tmp_path, **environment))
        return made[-1].start()

    yield start
    for server in made:
        if server.process.poll() is None:
            server.kill()
        log = server.log.read_text()
        assert "Traceback" not in log, log[-4000:]
        assert '"level": "error"' not in log, log[-4000:]


@pytest.mark.browser
def test_a_killed_server_takes_nothing_from_the_screen_and_the_run_goes_on(servers, browser):
    server = servers()
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    try:
        page.goto(server.url)
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
        server.start()
        page.get_by_text("is there again").wait_for(timeout=LONG_MS)
        assert page.locator("#tr-explorer").get_attribute("data-steps") == str(steps)
        assert page.get_by_label("New tokens", exact=True).input_value() == "150"
        click(page, "Step")
        page.wait_for_selector(f"#tr-explorer[data-steps='{steps + 1}']", timeout=LONG_MS)
        click(page, "Run")
        page.get_by_text("lossless ✓").wait_for(timeout=LONG_MS)
    finally:
        page.close()


def test_two_servers_behind_one_client_make_one_run(servers):
    clients = [Client(servers().url, verbose=False, analytics_enabled=False) for _ in range(2)]
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
    ids = reference.plain_ids(
        target, target.vocabulary.encode(asked["prompt"]), Settings(max_new_tokens=40, **sampling)
    )
    assert last["output_ids"] == [token for step in steps for token in step["emitted"]] == ids
