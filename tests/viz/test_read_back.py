"""A run that a browser hands back is the run that it received; anything else that it may hand in
is refused or harmless.
"""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import viz
from tests.support import tiny_models, viz_runs
from tr_core import Session, Settings
from tr_core.decoding.recording import record
from tr_core.drafters.registry import DRAFTERS
from tr_core.errors import TokenRecyclingError, TraceError
from ui.page.controls import PRESETS
from ui.tab import examples

TITLES = [p["name"] for p in json.loads(PRESETS.read_text(encoding="utf-8"))]


def to_the_microsecond(trace):
    def timed(step):
        parts = {f: round(getattr(step.timing, f), 3) for f in step.timing.__struct_fields__}
        return msgspec.structs.replace(step, timing=msgspec.structs.replace(step.timing, **parts))

    return msgspec.structs.replace(trace, steps=tuple(map(timed, trace.steps)))


def read_back(trace, name="abc"):
    read = viz.read_run(viz.run_record(trace, name))
    assert read[0] == name
    return read[1]


@pytest.mark.parametrize("drafter", DRAFTERS)
def test_a_run_comes_back_as_it_was_sent(drafter):
    target = tiny_models.target("llama")
    wish = Settings(drafter=drafter, max_new_tokens=20, ignore_eos=True, temperature=0.7, seed=2)
    prompt = target.vocabulary.encode("the then 🦜 the other")
    trace = record(Session(target, wish).start(prompt))
    assert trace.partial_bytes
    assert read_back(trace) == to_the_microsecond(trace)


def test_recorded_examples_come_back_too():
    for example in examples.recorded(TITLES).values():
        trace = example.read()
        assert read_back(trace) == to_the_microsecond(trace)


def test_a_run_that_was_never_ended_has_the_text_of_its_tokens():
    trace = viz_runs.toy_run(5)
    whole = json.loads(viz.run_record(trace, "a"))
    del whole["end"]
    read = viz.read_run(json.dumps(whole))[1]
    assert read.output_ids == trace.output_ids
    assert read.text == " friend= said one*🦜"


RECORD = viz.run_record(viz_runs.toy_run(3), "abc")
ODD = st.sampled_from(
    [-1, 2**70, 1e300, "x" * 9, [], {}, [[]], {"1": []}, {"x": ["a"]}, {"1": ["", "", "", "zz"]}]
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_record_changed_anywhere_is_taken_or_refused_in_one_sentence(data):
    whole = part = json.loads(RECORD)
    while True:
        key = data.draw(
            st.sampled_from(sorted(part) if isinstance(part, dict) else range(len(part)))
        )
        inner = part[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        part = inner
    if data.draw(st.booleans()):
        part[key] = data.draw(
            ODD | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
        )
    else:
        del part[key]
    refused = ""
    try:
        name, trace = viz.read_run(json.dumps(whole))
        viz.run_record(trace, name)
        viz.analysis_record(trace, name)
    except TokenRecyclingError as error:
        refused = str(error)
    assert "\n" not in refused


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"run": "a"}', b"\xff\xfe", "[" * 100_000]
)
def test_what_is_no_record_is_refused(text):
    with pytest.raises(TraceError, match="What the page has kept of this run is damaged"):
        viz.read_run(text)
