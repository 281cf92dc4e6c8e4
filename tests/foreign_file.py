"""Started by test_security.py: asks the page to open a file of the server as if it were an upload."""

import json

import gradio as gr
from fastapi import FastAPI
from starlette.testclient import TestClient

from ui import page
from ui.limits import Limits
from ui.shelf import Shelf

if __name__ == "__main__":
    built = page.build(Shelf(Limits()), Limits())
    app = gr.mount_gradio_app(FastAPI(), built, path="/")
    built.has_launched = True  # before that Gradio checks no path
    client = TestClient(app, raise_server_exceptions=False)
    config = client.get("/config").json()
    kinds = {c["id"]: c["type"] for c in config["components"]}
    doors = [d for d in config["dependencies"] if "uploadbutton" in {kinds[i] for i in d["inputs"]} and d["backend_fn"]]
    answers = []
    for door in doors:
        data = [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]
        body = {"data": data, "fn_index": door["id"], "session_hash": "evil"}
        answer = client.post("/gradio_api/run/predict", json=body)
        answers.append([answer.status_code, answer.text])
    print(json.dumps(answers))
