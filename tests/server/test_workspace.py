"""One visitor's run without a browser: what each button yields."""

import json
import threading
from pathlib import Path

import pytest

from tests.support.page_runs import loaded_models, read, request, types
from tr_core.drafters import registry
from tr_core.errors import MatrixError, TraceError
from ui.server.limits import Limits
from ui.tab import examples
from ui.tab.browser_state import SaveRequest
from ui.tab.tab import Tab


@pytest.fixture
def tab():
    limits = Limits(max_new_tokens=50, max_prompt_chars=100)
    return Tab(loaded_models(limits), limits)


def test_each_step_is_one_engine_step_and_the_last_is_checked(tab):
    assert types(tab.step(request())) == ["start", "step"]
    assert types(tab.step(request())) == ["step"]
    *_, end, checked = read(tab.run(request()))
    assert (end["identical"], checked["identical"]) == (None, True)
    assert len(tab.workspace.trace.output_ids) == 12
    assert tab.workspace.trace.reference_identical is True


def test_after_the_end_step_says_so_and_run_starts_again(tab):
    list(tab.run(request()))
    assert "has ended" in json.loads(next(tab.step(request())))["sentence"]
    assert types(tab.run(request()))[:2] == ["start", "step"]


def test_stop_ends_a_run_after_its_step_and_run_goes_on(tab):
    records = tab.run(request())
    assert types([next(records), next(records)]) == ["start", "step"]
    tab.stop()
    assert types(records) == ["end"]
    made = len(tab.workspace.trace.steps)
    assert types(tab.run(request()))[0] == "step"
    assert tab.workspace.trace.steps[made].index == made + 1


def test_a_second_run_in_one_tab_is_refused_while_the_first_goes_on(tab):
    records = tab.run(request())
    next(records)
    assert "press Stop first" in json.loads(next(tab.step(request())))["sentence"]
    records.close()  # a closed tab
    assert types(tab.step(request())) == ["step"]


def test_bad_input_leaves_the_run_in_place(tab):
    list(tab.step(request()))
    for bad, words in [
        (request(prompt=""), "empty"),
        (request(prompt="x" * 101), "101 characters"),
        (request(max_new_tokens=51), "at most 50"),
        (request(chat=True), "chat template"),
        (request(hot=True, drafter="none", matrix=Path("m")), "saved matrix"),
        (request(matrix=Path("/nowhere/m")), "not a readable matrix"),
    ]:
        (record,) = tab.step(bad)
        assert words in json.loads(record)["sentence"]
        assert len(tab.workspace.trace.steps) == 1
    assert types(tab.step(request())) == ["step"]


def test_hot_keeps_what_was_learned_and_reset_forgets_it(tab):
    list(tab.run(request()))
    cold = len(tab.workspace.trace.steps)
    list(tab.run(request(hot=True)))
    assert len(tab.workspace.trace.steps) < cold
    tab.reset()
    assert tab.workspace.trace is None
    list(tab.run(request(hot=True)))
    assert len(tab.workspace.trace.steps) == cold


def test_an_example_needs_no_model_and_step_begins_a_run_of_its_own(tab):
    story = examples.named("Story: a lost kite")
    for there in (None, loaded_models(Limits())):
        shown = Tab(there, Limits())
        run, view = json.loads(shown.open_example(story))
        assert (run["type"], run["name"]) == ("run", "Story: a lost kite")
        assert (view["type"], view["phase"]) == ("view", "accept")
        assert shown.workspace.trace == story.read()
    list(tab.step(request()))
    tab.open_example(story)
    assert types(tab.step(request())) == ["start", "step"]
    assert len(tab.workspace.trace.steps) == 1


def test_a_run_under_way_ends_when_another_is_opened(tab):
    records = tab.run(request())
    assert types([next(records), next(records)]) == ["start", "step"]
    tab.open_example(examples.named("Story: a lost kite"))
    assert types(records) == ["end"]
    assert types(tab.step(request())) == ["start", "step"]


def test_runs_and_matrices_are_saved_and_opened(tab, tmp_path):
    with pytest.raises(TraceError, match="no run to save"):
        tab.saving.save(SaveRequest("json"), tmp_path)
    with pytest.raises(MatrixError, match="no matrix to save"):
        tab.saving.save(SaveRequest("matrix"), tmp_path)
    list(tab.run(request()))
    cold = len(tab.workspace.trace.steps)
    saved = Path(tab.saving.save(SaveRequest("json"), tmp_path))
    assert types([tab.open([saved])]) == ["run"]
    matrix = Path(tab.saving.save(SaveRequest("matrix"), tmp_path))
    list(tab.run(request(matrix=matrix)))
    assert len(tab.workspace.trace.steps) < cold
    saved.write_text(saved.read_text()[:1000])
    assert "not a complete trace" in json.loads(tab.open([saved]))["sentence"]


def test_a_drafter_that_is_compiled_first_is_told_of_and_can_be_stopped(tab, monkeypatch):
    """A visitor of the first quarter of a minute reads what he waits for, and may stop."""
    ready = threading.Event()
    monkeypatch.setattr(
        registry.DRAFTERS["recycling_plus"], "prepare", staticmethod(lambda: ready.wait(20))
    )
    monkeypatch.setattr("ui.tab.workspace.TELL_SECONDS", 0.01)
    wanted = request(drafter="recycling_plus", tree="8")

    def until_compiling(records):
        return next(
            r
            for r in map(json.loads, records)
            if r["type"] == "loading" and "compiling" in r["doing"]
        )

    stopped = tab.step(wanted)
    assert until_compiling(stopped)["model"] == "recycling_plus"
    tab.stop()
    assert list(stopped) == []
    records = tab.step(wanted)
    until_compiling(records)
    ready.set()
    assert read(records)[0]["type"] == "start"
