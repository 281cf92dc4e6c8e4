"""An open tab of the page as its server sees it, without a browser: Gradio's own protocol, on this
machine only.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import httpx
from gradio_client.utils import apply_diff

from ui.tab.controls import KEYS


class Refused(Exception):
    """The page has answered with a sentence instead of steps."""


class Tab:
    """One tab: its session, its heartbeat, and the run that it shows.

    Args:
        url: of the page, on 127.0.0.1.
        config: of the page, as ``/config`` gives it.
    """

    def __init__(self, url: str, config: dict[str, Any]) -> None:
        if httpx.URL(url).host != "127.0.0.1":
            raise ValueError("only a page on 127.0.0.1 is put under load")
        self._url = url.rstrip("/") + "/gradio_api"
        self._http = httpx.Client(timeout=120, trust_env=False)
        self._functions = {
            name: _function(config, name) for name in ("Step", "Run", "Stop", "Reset")
        }
        self._values = [_default(config, place) for place in self._functions["Run"]["inputs"]]
        self._explorer = self._functions["Run"]["outputs"][0]
        self.open()

    def open(self) -> None:
        """Load the page: a session, and the stream by which the server knows that it is still
        there.
        """
        self._session = secrets.token_hex(6)
        self.run, self.steps, self.checkpoint, self.identical = "", {}, "", None
        self._beat = self._http.stream(
            "GET", f"{self._url}/heartbeat/{self._session}", timeout=None
        )
        self._beat.__enter__()

    def close(self) -> None:
        """Close the tab, with whatever goes on."""
        self._beat.__exit__(None, None, None)

    def reload(self) -> None:
        self.close()
        self.open()

    def quit(self) -> None:
        self.close()
        self._http.close()

    def click(
        self, button: str, prompt: str, new_tokens: int, *, until: int | None = None
    ) -> list[int]:
        """Press Step or Run; the ids on the screen when the server is done, or when ``until`` steps
        are.

        Raises:
            Refused: a sentence came.
        """
        values = list(self._values)
        values[KEYS.index("prompt")], values[KEYS.index("tokens")] = prompt, new_tokens
        claim = {"run": self.run, "steps": len(self.steps), "checkpoint": ""} if self.run else ""
        values[-1] = json.dumps(claim) if claim else ""
        for record in self._records(self._functions[button], values):
            self._take(record)
            if until is not None and len(self.steps) >= until:
                break
        return [token for step in self.steps.values() for token in step["emitted"]]

    def stop(self) -> None:
        """Press Stop, which answers at once."""
        function = self._functions["Stop"]["id"]
        body = {"data": [], "fn_index": function, "session_hash": self._session}
        self._http.post(f"{self._url}/run/predict", json=body).raise_for_status()

    def reset(self) -> None:
        body = {
            "data": [],
            "fn_index": self._functions["Reset"]["id"],
            "session_hash": self._session,
        }
        self._http.post(f"{self._url}/run/predict", json=body).raise_for_status()
        self.run, self.steps = "", {}

    def _take(self, record: dict[str, Any]) -> None:
        kind = record["type"]
        if kind == "error":
            raise Refused(record["sentence"])
        if kind == "start":
            self.run, self.steps, self.identical = record["run"], {}, None
        elif kind == "step" and record["run"] == self.run:
            self.steps[record["index"]] = record
        elif kind == "end":
            self.identical = record["identical"]
            if record["stop"] is not None and record["identical"] is not None:
                self.run = ""  # over: the next click begins a new one

    def _records(self, function: dict[str, Any], values: list[Any]) -> Iterator[dict[str, Any]]:
        body = {
            "data": values,
            "fn_index": function["id"],
            "session_hash": self._session,
            "trigger_id": None,
        }
        joined = self._http.post(f"{self._url}/queue/join", json=body)
        joined.raise_for_status()
        event = joined.json()["event_id"]
        output: Any = None
        with self._http.stream(
            "GET", f"{self._url}/queue/data", params={"session_hash": self._session}
        ) as stream:
            for line in stream.iter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if message.get("event_id") not in (event, None):
                    continue
                kind = message["msg"]
                if kind in ("process_generating", "process_completed"):
                    if not message.get("success", True):
                        raise RuntimeError(f"the page failed: {message}")
                    data = message["output"].get("data")
                    if kind == "process_generating" and data:
                        output = apply_diff(output, data[0]) if output is not None else data[0]
                        content = json.loads(output)
                        yield from content if isinstance(content, list) else [content]
                    if kind == "process_completed":
                        return
                if kind in ("unexpected_error", "server_stopped"):
                    raise RuntimeError(f"the page failed: {message}")


def _function(config: dict[str, Any], button: str) -> dict[str, Any]:
    """What the button of this name does first on the server."""
    wanted = {
        c["id"]
        for c in config["components"]
        if c["type"] == "button" and c["props"].get("value") == button
    }
    return next(
        d
        for d in config["dependencies"]
        if d["backend_fn"]
        and any(target in wanted and event == "click" for target, event in d["targets"])
    )


def _default(config: dict[str, Any], component: int) -> Any:
    return next(c["props"].get("value") for c in config["components"] if c["id"] == component)


def in_threads(count: int, work: Any) -> list[threading.Thread]:
    """``work(0)`` … ``work(count − 1)``, each in a thread of its own, started."""
    threads = [
        threading.Thread(target=work, args=(number,), daemon=True) for number in range(count)
    ]
    for thread in threads:
        thread.start()
    return threads
