"""``python app.py`` on a free port of this machine, for scripts that put it under load."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import psutil

from benchmarks.shared import report


class Served:
    """The page as a process of its own, until the ``with`` block ends.

    Attributes:
        url: of the page.
        config: of the page, as ``/config`` gives it.
        log: lines of its stderr.
    """

    def __enter__(self) -> Served:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        self.log: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port)], cwd=report.ROOT,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "TR_METRICS": "1"},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=lambda: self.log.extend(self._process.stderr), daemon=True).start()
        try:
            self._wait()
            self.config: dict[str, Any] = httpx.get(f"{self.url}config", trust_env=False).json()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    @property
    def memory(self) -> float:
        """MiB that the process has in memory."""
        return psutil.Process(self._process.pid).memory_info().rss / 2**20

    @property
    def faults(self) -> list[str]:
        """Lines of its log that tell of a bug."""
        return [
            line.strip() for line in self.log if "Traceback" in line or '"level": "error"' in line
        ]

    def metrics(self) -> dict[str, float]:
        """Counters without labels."""
        lines = httpx.get(f"{self.url}metrics", trust_env=False, timeout=60).text.splitlines()
        plain = (
            line.rsplit(" ", 1) for line in lines if line and line[0] != "#" and "{" not in line
        )
        return {name: float(value) for name, value in plain}

    def settle(self) -> None:
        """Wait, half a minute at most, until nothing is left of runs whose visitors have gone."""
        end = time.monotonic() + 30
        while time.monotonic() < end and any(
            self.metrics()[n] for n in ("tr_runs_under_way", "tr_runs_awake")
        ):
            time.sleep(0.5)

    def _wait(self) -> None:
        end = time.monotonic() + 180
        while time.monotonic() < end and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}healthz", trust_env=False).json()["models"]:
                    return
            except (httpx.HTTPError, json.JSONDecodeError):
                time.sleep(0.3)
        raise SystemExit("the page did not start: run python app.py to see why")
