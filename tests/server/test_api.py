"""The endpoint ``/run``, called as a script would: gradio's own client, records as JSON strings."""

import json

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tr_core import Settings, load_target
from tr_core.models.catalog import source

PROMPT = "once upon a time, there was a little"


@pytest.fixture(scope="module")
def client(app_url):
    client = Client(app_url, verbose=False, analytics_enabled=False)
    yield client
    client.close()


def call(client, **arguments):
    job = client.submit(**arguments, api_name="/run")
    records = [json.loads(record) for record in job]
    job.result()  # raises what the server refused; iterating alone ends silently
    return records


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.8, "top_p": 0.9, "seed": 4}])
def test_records_come_step_by_step_and_say_what_generate_says(client, sampling):
    start, *steps, end = call(
        client, prompt=PROMPT, model="pocket", tree="paper", max_new_tokens=20, **sampling
    )
    assert (start["type"], end["type"]) == ("start", "end")
    assert {s["type"] for s in steps} == {"step"}
    assert [s["step"]["index"] for s in steps] == list(range(1, end["steps"] + 1))
    emitted = [t for s in steps for t in s["step"]["emitted"]]
    target = load_target(source("pocket"))
    ids = target.vocabulary.encode(PROMPT)
    assert start["info"]["prompt_ids"] == ids
    assert (
        emitted
        == end["output_ids"]
        == target.plain_ids(ids, Settings(max_new_tokens=20, **sampling))
    )
    assert end["mean_accepted_tokens"] == pytest.approx(len(emitted) / end["steps"])


def test_only_the_endpoint_for_others_is_public(client):
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/run"]
    assert client.view_api(return_format="dict")["unnamed_endpoints"] == {}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"prompt": ""}, "empty"),
        ({"prompt": "a b " * 25_000}, "shorten it"),
        ({"model": "nobody/nothing-here"}, "nobody/nothing-here"),
        ({"max_new_tokens": 0}, "Max new tokens"),
        ({"max_new_tokens": -1}, "Max new tokens"),
        ({"max_new_tokens": 10**9}, "Max new tokens"),
        ({"max_new_tokens": 1001}, "at most 1,000"),
        ({"k": 0}, "k must be"),
        ({"k": "eight"}, "k must be"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 1, "top_p": 0}, "Top-p"),
        ({"drafter": "oracle"}, "no drafter"),
        ({"tree": "/etc/passwd"}, "no tree"),
        ({"tree": "small-16", "k": 2}, "needs k"),
        ({"chat": True}, "chat template"),
    ],
)
def test_bad_input_is_one_sentence(client, bad, words):
    with pytest.raises(AppError, match=words) as error:
        call(client, **{"prompt": PROMPT, "max_new_tokens": 5, **bad})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "prompt",
    ["\N{GRINNING FACE}\u202e<script>alert(1)</script>", "{{value}} ${value}", "a\0\x1b[0m"],
)
def test_any_text_is_a_prompt(client, prompt):
    *_, end = call(client, prompt=prompt, max_new_tokens=5)
    assert end["steps"] >= 1
