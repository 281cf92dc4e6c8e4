"""The explorer as a process of its own, started once for all tests that need it."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = (
        "1"  # one core each, and what they start: before anything imports torch
    )

import socket
import subprocess
import sys

import pytest

from tests.support.app_page import tabs  # noqa: F401 - the fixture
from tests.support.app_process import ROOT, wait_until_ready
from tests.support.browser import browser  # noqa: F401 - the fixture, one Chromium for all tests
from tests.support.explorer_tab import address, open_page, page  # noqa: F401 - the fixtures

# Fixtures that start other processes or build a package.
SLOW_FIXTURES = {"app_url", "two", "installed"}
# The one family that ``make quick`` decodes with; ``make test`` takes all.
QUICK_FAMILY = "llama"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what drives a browser, and what is slow: other processes, and all families but one.

    Tests with a browser come first: one worker takes them, the other the rest, and who is done
    first takes from the other.
    """
    for item in items:
        family = item.callspec.params.get("family") if hasattr(item, "callspec") else None
        if "browser" in item.fixturenames:
            item.add_marker("browser")
        if SLOW_FIXTURES & set(item.fixturenames) or family not in (None, QUICK_FAMILY):
            item.add_marker("slow")
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


@pytest.fixture(scope="session")
def app_url(tmp_path_factory):
    """URL of ``python app.py`` with the bundled model, offline as on a plane."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("app") / "log.txt"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TR_MAX_NEW_TOKENS": "1000"}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port)],
            cwd=ROOT,
            stdout=out,
            stderr=out,
            env=environment,
        )
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_until_ready(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]
