"""Started by test_security.py: sends every event of the page as a browser that means harm.

Events are handled as Gradio handles them: what comes in goes through its components first. It runs
in its own process, since a page that is built here leaves event loops open.
"""

import asyncio
import json

import gradio as gr
from fastapi import FastAPI
from gradio.state_holder import SessionState
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.testclient import TestClient

from tests.support import tiny_models
from tests.support.hostile import GOOD, anything, one_sentence
from ui.page import build as page
from ui.runs.loaded_models import LoadedModels
from ui.server.limits import Limits
from ui.tab.controls import KEYS

LIMITS = Limits(max_new_tokens=6, max_prompt_chars=300, local_paths=False)
SETTINGS = [*GOOD.values()]
WISH = json.dumps(
    {"what": "json", "runs": ["abc"], "handed": True, "records": [{"run": "abc", "start": {}}]}
)


class Tab:
    """One tab of a page of its own."""

    def __init__(self):
        self.page, self.tabs = None, None

        def tabs(*arguments):
            self.tabs = made(*arguments)
            return self.tabs

        made, page.Tabs = page.Tabs, tabs
        try:
            self.page = page.build(
                LoadedModels(LIMITS, load=lambda source, progress: tiny_models.target("llama")),
                LIMITS,
            )
        finally:
            page.Tabs = made
        self.events = {}
        for event in self.page.fns.values():
            if event.fn is not None:
                self.events.setdefault(event.name, event)

    def good(self, event):
        """What an honest browser sends."""
        known = {
            "on_step": [*SETTINGS, ""],
            "on_run": [*SETTINGS, ""],
            "on_compare": [["k 4"], *SETTINGS],
            "on_link": SETTINGS,
            "on_save": [WISH],
            "on_preset": [None],
            "on_open": [None],
            "run": [*SETTINGS[:14], 1, ""],
        }
        return known.get(event.name) or ["the then"] * len(event.inputs)

    def send(self, event, values, told=None, query=b""):
        """What comes back: values, or a sentence."""
        asked = Request(
            {"type": "http", "query_string": query, "headers": [], "path": "/", "method": "POST"}
        )
        request = gr.Request(asked, session_hash="tab")

        async def handle():
            given, iterator = [], None
            while True:
                got = await self.page.process_api(
                    event,
                    values,
                    SessionState(self.page),
                    request,
                    iterator,
                    event_data=gr.EventData(None, told),
                )
                given += got["data"]
                iterator = got["iterator"]
                if not got["is_generating"]:
                    return given

        try:
            return asyncio.run(handle())
        except gr.Error as error:
            one_sentence(error.message)
            if error.print_exception:
                raise AssertionError("Gradio would log this, and with it what came in") from error
            return []

    def records(self, values):
        for value in values:
            if isinstance(value, str) and value.startswith(("{", "[{")):
                content = json.loads(value)
                yield from content if isinstance(content, list) else [content]


TAB = Tab()
few = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
told = anything | st.dictionaries(
    st.sampled_from(["example", "run", "shown", "runs", "format", "more"]),
    anything | st.sampled_from(["story", "html", "csv", ["abc", "abd"], [["abc"]], True]),
)
# The others take nothing, and are meant to forget.
EVENTS = sorted(TAB.events.keys() - {"on_reset", "on_leave"})


@few
@given(st.data(), st.sampled_from(EVENTS))
def any_event_takes_anything(data, name):
    """One sentence or nothing, and no run is lost."""
    tab, event = TAB, TAB.events[name]
    tab.send(tab.events["on_step"], [*SETTINGS, ""])
    before = tab.tabs.get("tab").workspace.own_name
    values = list(tab.good(event))
    # A few at a time: a event that refuses the first would never come to the second.
    places = st.lists(st.sampled_from(range(len(values))), max_size=2) if values else st.just([])
    for place in data.draw(places):
        values[place] = data.draw(anything)
    if data.draw(st.integers(0, 9)) == 0:
        values = data.draw(st.sampled_from([values[:-1], [*values, None], [*values, {}]]))
    query = data.draw(
        st.sampled_from([b"", b"k=%00&tokens=x", b"prompt=%ff%fe&tree=..%2f", b"&&==%"])
    )
    records = list(tab.records(tab.send(event, values, data.draw(told), query)))
    for record in records:
        if record["type"] == "error":
            one_sentence(record["sentence"])
            assert "went wrong on the server" not in record["sentence"]
    begun = [record["run"] for record in records if record["type"] == "start" and "run" in record]
    assert tab.tabs.get("tab").workspace.own_name == (begun[-1] if begun else before)


@few
@given(st.data())
def any_request_to_save_is_met_or_refused(data):
    names = st.lists(st.sampled_from(["abc", "saved-1", "..", "a" * 99]) | anything, max_size=5)
    wish = data.draw(
        st.fixed_dictionaries(
            {
                "what": st.sampled_from(
                    ["json", "html", "matrix", "comparison csv", "comparison x"]
                ),
                "runs": names,
            },
            optional={
                "steps": anything,
                "handed": st.booleans(),
                "records": st.lists(anything),
                "checkpoint": anything,
                "more": anything,
            },
        )
    )
    given = TAB.send(TAB.events["on_save"], [json.dumps(wish)])
    assert not given or given[1] in ("", json.dumps(wish))


def what_an_outage_left_stands_where_it_stood():
    """A prompt too long to be run, too: the box held it before. A link's is refused."""
    load, long = TAB.events["on_load"], "x" * 7000
    filled = dict(zip(KEYS, TAB.send(load, [f"prompt={long}&k=4"]), strict=False))
    assert (filled["prompt"], filled["k"]) == (long, 4)
    refused = TAB.send(load, [""], query=f"prompt={long}&k=4".encode())
    assert refused[0] == {"__type__": "update"}
    assert "The link is too long" in refused[-1]


def files_of_the_server():
    """Status and text where an event names one as its upload: a chosen file, and a dropped one."""
    app = gr.mount_gradio_app(FastAPI(), TAB.page, path="/")
    TAB.page.has_launched = True  # before that Gradio checks no path
    client = TestClient(app, raise_server_exceptions=False)
    config = client.get("/config").json()
    kinds = {c["id"]: c["type"] for c in config["components"]}
    events = [
        d
        for d in config["dependencies"]
        if "uploadbutton" in {kinds[i] for i in d["inputs"]} and d["backend_fn"]
    ]
    for event in events:
        data = [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]
        body = {"data": data, "fn_index": event["id"], "session_hash": "evil"}
        answer = client.post("/gradio_api/run/predict", json=body)
        yield answer.status_code, answer.text


if __name__ == "__main__":
    any_event_takes_anything()
    any_request_to_save_is_met_or_refused()
    what_an_outage_left_stands_where_it_stood()
    print(json.dumps({"events": EVENTS, "files": list(files_of_the_server())}))
