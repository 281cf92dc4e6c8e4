"""Many visitors on one machine, and runs that outlive their server: all without a browser."""

import functools
import itertools
import json
import threading
import time
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.numpy import load_file

import viz
from tests.support import page_runs, tiny_models
from tr_core.errors import MemoryShortError, ModelError, TraceError
from tr_core.models.hf_target import HFTarget
from tr_core.trace import read_trace
from ui.runs.loaded_models import LoadedModels
from ui.server.limits import Limits
from ui.tab import browser_state
from ui.tab.browser_state import BrowserState, SaveRequest
from ui.tab.tab import IDLE_SECONDS, Tab, Tabs
from ui.tab.workspace import CHECKPOINT_EVERY

LIMITS = Limits(max_new_tokens=60, max_prompt_tokens=12, turn_steps=3)
request = functools.partial(page_runs.request, max_new_tokens=40)


def server(limits=LIMITS):
    """Models of its own, as another process has it."""
    return LoadedModels(limits, load=lambda source, progress: tiny_models.target("llama"))


def flat(records):
    for text in records:
        content = json.loads(text)
        yield from content if isinstance(content, list) else [content]


class Browser:
    """What the explorer keeps of a run, and says of it."""

    def __init__(self):
        self.run, self.start, self.steps, self.checkpoint, self.wanted = "", {}, {}, "", False
        self.end, self.words = None, []

    def read(self, records):
        for record in flat(records):
            if record["type"] == "start" and record["run"] != self.run:
                self.run, self.start, self.steps = record["run"], record, {}
            if record["type"] == "step":
                self.steps.setdefault(record["index"], record)
            if record["type"] == "end":
                self.end = record
            if record["type"] == "checkpoint":
                self.checkpoint = record["text"]
            self.wanted = record["type"] == "forgotten" or (
                self.wanted and record["type"] != "step"
            )
            self.words.append(record["type"])
            self.last = record
        return self

    def claim(self):
        kept = {"checkpoint": self.checkpoint, "record": self.record()} if self.wanted else {}
        state = {"run": self.run, "steps": len(self.steps), **kept}
        return browser_state.read(json.dumps(state), BrowserState)

    def record(self):
        return {
            "run": self.run,
            "start": self.start,
            "steps": list(self.steps.values()),
            "end": self.end,
        }

    def wish(self, what, *others, **more):
        """To save the run on its screen, or several."""
        runs = [b.run for b in (self, *others)]
        return browser_state.read(
            json.dumps({"what": what, "runs": runs, "steps": len(self.steps)} | more), SaveRequest
        )

    def handed(self, what, *others):
        """The same for a server that has asked for what is kept of them."""
        records = [b.record() for b in (self, *others)]
        return self.wish(what, *others, handed=True, records=records, checkpoint=self.checkpoint)

    def ids(self):
        assert list(self.steps) == list(range(1, len(self.steps) + 1))
        return [token for step in self.steps.values() for token in step["emitted"]]


@pytest.mark.parametrize(
    "changes", [{}, {"temperature": 0.9, "seed": 3}, {"drafter": "prompt_lookup"}]
)
def test_another_server_goes_on_with_the_run_of_the_screen(tmp_path, changes):
    wish = request(**changes)
    whole = Browser().read(Tab(server(), LIMITS).run(wish))
    browser = Browser()
    one, two = Tab(server(), LIMITS), Tab(server(), LIMITS)
    for _ in range(
        CHECKPOINT_EVERY + 2
    ):  # the last checkpoint is two steps old when the server goes away
        browser.read(one.step(wish, browser.claim() if browser.run else None))
    seen = len(browser.steps)
    browser.read(two.step(wish, browser.claim()))
    assert (browser.words[-1], len(browser.steps)) == ("forgotten", seen)
    browser.read(two.step(wish, browser.claim()))
    assert len(browser.steps) == seen + 1
    browser.read(two.run(wish, browser.claim()))
    assert browser.ids() == whole.ids()
    assert browser.last["identical"] is True
    told = json.loads(two.workspace.analysis())
    assert (told["run"], told["steps"]) == (browser.run, len(browser.steps)), (
        "the panels tell of all steps"
    )
    trace = read_trace(Path(two.saving.save(browser.wish("json"), tmp_path)))
    assert list(trace.output_ids) == whole.ids()
    assert [step.index for step in trace.steps] == list(browser.steps)
    assert (
        json.loads(viz.run_record(trace, browser.run))["start"]["prompt"] == browser.start["prompt"]
    )


def test_a_run_that_the_server_does_not_have_is_saved_from_what_the_browser_kept(tmp_path):
    one, two = Tab(server(), LIMITS), Tab(server(), LIMITS)
    browser, beside = Browser().read(one.run(request())), Browser()
    beside.read(Tab(server(), LIMITS).run(request(tree="chain-4")))
    for what in ("json", "html", "steps.csv", "nodes.csv", "matrix"):
        fresh = Tab(server(), LIMITS)
        assert fresh.saving.save(browser.wish(what), tmp_path) is None, "it asks for it"
        there, here = Path(fresh.saving.save(browser.handed(what), tmp_path)), tmp_path / what
        there.rename(here)
        original = Path(one.saving.save(browser.wish(what), tmp_path))
        if what == "json":
            mine, theirs = read_trace(here), read_trace(original)
            assert (mine.text, mine.info) == (theirs.text, theirs.info)
        elif what == "matrix":
            assert load_file(here)["rows"].tolist() == load_file(original)["rows"].tolist()
        elif what == "nodes.csv":
            assert here.read_text() == original.read_text()
    assert two.saving.save(browser.wish("comparison csv", beside), tmp_path) is None
    both = two.saving.save(browser.handed("comparison csv", beside), tmp_path)
    assert len(Path(both).read_text().splitlines()) == 1 + 2 * 40
    assert two.saving.save(browser.wish("html"), tmp_path), "what was handed over once is kept"


def test_a_page_that_has_lost_a_step_goes_on_and_says_what_cannot_be_saved(tmp_path):
    wish, browser = request(max_new_tokens=20), Browser()
    one, other = Tab(server(), LIMITS), Tab(server(), LIMITS)
    for _ in range(CHECKPOINT_EVERY):
        browser.read(one.step(wish))
    browser.start.pop("tokenizer")
    browser.read(other.run(wish, browser.claim()))
    browser.read(other.run(wish, browser.claim()))
    assert browser.last["identical"] is True
    assert other.workspace.analysis() is None, (
        "nothing is told of a run as a whole that is not here as a whole"
    )
    assert other.saving.save(browser.wish("json"), tmp_path) is None
    with pytest.raises(TraceError, match="damaged"):
        other.saving.save(browser.handed("json"), tmp_path)
    with pytest.raises(TraceError, match="run it again to save it"):
        other.saving.save(browser.wish("json", handed=True), tmp_path)


def test_a_run_taken_over_begins_anew_if_the_visitor_changed_the_prompt():
    browser = Browser()
    browser.read(Tab(server(), LIMITS).step(request()))
    other = Tab(server(), LIMITS)
    browser.read(other.step(request("then the"), browser.claim()))
    before = browser.run
    browser.read(other.step(request("then the"), browser.claim()))
    assert browser.run != before
    assert len(browser.steps) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"run": "<script>", "steps": 1}', '{"run": "a", "steps": -1}', 7, None]
)
def test_what_is_no_claim_counts_as_none(text):
    assert browser_state.read(text, BrowserState) is None


def test_a_checkpoint_beyond_the_limits_is_refused():
    long = request(max_new_tokens=61)
    generous = Limits(max_new_tokens=100)
    browser = Browser().read(Tab(server(generous), generous).step(long))
    browser.wanted = True
    (refused,) = flat(Tab(server(), LIMITS).step(long, browser.claim()))
    assert "at most 60 are allowed" in refused["sentence"]


@pytest.mark.parametrize("drafter", ["token_recycling", "lookahead_trie", "ngram_matrix", "fused"])
def test_idle_runs_sleep_and_wake_with_nothing_changed(drafter):
    limits = Limits(runs_awake=0)
    models = server(limits)
    one, two = Tab(models, limits), Tab(models, limits)
    wish = request(drafter=drafter, max_new_tokens=20)
    whole = Browser().read(Tab(server(), LIMITS).run(wish))
    browsers = Browser(), Browser()
    for _ in range(4):  # each wakes up and puts the other one to sleep
        browsers[0].read(one.step(wish))
        browsers[1].read(two.step(request("other the", max_new_tokens=30)))
        assert len(models.awake) == 1
    browsers[0].read(one.run(wish))
    assert browsers[0].ids() == whole.ids()


@pytest.fixture
def make_tabs():
    made = []

    def make(models, **more):
        made.append(Tabs(models, LIMITS, **more))
        return made[-1]

    yield make
    for visitors in made:
        visitors.close()


def test_runs_under_way_stay_awake_however_many():
    limits = Limits(runs_awake=0)
    models = server(limits)
    runs = [Tab(models, limits).run(request()) for _ in range(3)]
    for records in runs * 2:
        next(records)
    assert len(models.awake) == 3
    for records in runs:
        records.close()
    list(Tab(models, limits).step(request()))
    assert len(models.awake) == 1


def test_leaving_frees_the_run_and_its_place(make_tabs):
    models = server()
    visitors = make_tabs(models)
    records = visitors.get("tab").run(request())
    next(records), next(records)
    assert (models.turns.runs, len(models.awake), len(visitors)) == (1, 1, 1)
    visitors.leave("tab")
    assert (models.turns.runs, len(models.awake), len(visitors)) == (0, 0, 0)
    assert list(flat(records)) == []


def test_a_tab_that_never_said_goodbye_is_forgotten_in_time(make_tabs):
    now = [0.0]
    visitors = make_tabs(server(), clock=lambda: now[0])
    visitors.get("gone")
    now[0] = IDLE_SECONDS + 1
    visitors.get("here")
    assert len(visitors) == 1


def test_an_abandoned_run_holds_up_nobody():
    models = server()
    abandoned = Tab(models, LIMITS).run(request())
    next(abandoned), next(abandoned)  # and nobody reads on
    assert Browser().read(Tab(models, LIMITS).run(request("then"))).last["identical"] is True


def test_more_runs_than_allowed_are_refused_and_the_screen_stays():
    limits = Limits(max_runs=1)
    models = server(limits)
    first = Tab(models, limits).run(request())
    next(first)
    (refused,) = flat(Tab(models, limits).step(request()))
    assert "1 runs are under way here" in refused["sentence"]


def test_a_prompt_over_the_limit_is_told_with_the_limit():
    (refused,) = flat(Tab(server(), LIMITS).step(request("the then " * 9)))
    assert "12 are allowed here" in refused["sentence"]


def test_all_runs_at_once_each_get_their_own_ids():
    models = server()
    prompts = ["the", "then", "other", "th", "he the", "e then"]
    alone = {p: Browser().read(Tab(server(), LIMITS).run(request(p))).ids() for p in prompts}
    together = {}

    def visit(prompt):
        together[prompt] = Browser().read(Tab(models, LIMITS).run(request(prompt)))

    visits = [threading.Thread(target=visit, args=(p,)) for p in prompts]
    for thread in visits:
        thread.start()
    for thread in visits:
        thread.join(60)
    assert {p: b.ids() for p, b in together.items()} == alone
    assert all(b.last["identical"] for b in together.values())
    assert (models.turns.runs, models.turns.waiting) == (0, 0)


class Short(HFTarget):
    """A target whose device has no memory left for some passes."""

    failures = 0

    def fork(self):
        return Short(self._loaded)

    def score(self, draft):
        if Short.failures:
            Short.failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return super().score(draft)


def test_memory_that_is_short_gives_a_sentence_and_the_run_goes_on(monkeypatch):
    whole = Browser().read(Tab(server(), LIMITS).run(request()))
    models = LoadedModels(
        LIMITS, load=lambda source, progress: Short(tiny_models.target("llama")._loaded)
    )
    tab, browser = Tab(models, LIMITS), Browser()
    browser.read(tab.step(request()))
    monkeypatch.setattr(Short, "failures", 1)  # room is made, and the step succeeds
    browser.read(tab.step(request()))
    assert len(browser.steps) == 2
    monkeypatch.setattr(Short, "failures", 2)
    browser.read(tab.step(request()))
    assert "memory of the device is short" in browser.last["sentence"]
    assert len(browser.steps) == 2
    browser.read(tab.run(request()))
    assert browser.ids() == whole.ids()


def test_a_bug_is_logged_and_the_page_stays_up(monkeypatch, caplog):
    monkeypatch.setattr("tr_core.decoding.session.Session.step", lambda self: 1 / 0)
    *_, last = flat(Tab(server(), LIMITS).step(request()))
    assert "Something went wrong on the server" in last["sentence"]
    assert "division by zero" in caplog.text


def test_a_model_is_loaded_once_for_all_who_ask():
    loads, go = [], threading.Event()

    def load(source, progress):
        loads.append(source)
        assert go.wait(20)
        return tiny_models.target("llama")

    models = LoadedModels(LIMITS, load=load)
    browsers = [Browser() for _ in range(3)]
    visits = [
        threading.Thread(target=lambda b=b: b.read(Tab(models, LIMITS).step(request())))
        for b in browsers
    ]
    for thread in visits:
        thread.start()
    while not any("loading" in b.words for b in browsers):
        pass
    go.set()
    for thread in visits:
        thread.join(60)
    assert loads == ["tiny"]
    assert [len(b.steps) for b in browsers] == [1, 1, 1]


def test_a_model_used_least_makes_room_and_its_runs_go_on_later():
    limits, held = Limits(models_kept=9), []

    def load(source, progress):
        if len(held) >= 2 and source not in held:
            held.pop(0)
            raise MemoryShortError("no room")
        held.append(source)
        return tiny_models.target("llama")

    models = LoadedModels(limits, load=load)
    first = Tab(models, limits)
    browser = Browser().read(first.step(request()))
    models.get("second")
    models.get("third")
    assert models.loaded == ["second", "third"]
    assert len(models.awake) == 0
    browser.read(first.step(request()))
    assert len(browser.steps) == 2


def test_a_model_that_does_not_load_is_told_each_time_and_can_be_tried_again():
    answers = [ModelError("half of it is missing"), None]

    def load(source, progress):
        error = answers.pop(0)
        if error:
            raise error
        return tiny_models.target("llama")

    tab = Tab(LoadedModels(LIMITS, load=load), LIMITS)
    (refused,) = flat(tab.step(request()))
    assert refused["sentence"] == "half of it is missing"
    assert "step" in Browser().read(tab.step(request())).words


def test_a_wall_clock_that_jumps_changes_nothing(monkeypatch):
    """As when a laptop wakes up, or a time server corrects it by hours, in the middle of a run."""
    whole = Browser().read(Tab(server(), LIMITS).run(request()))
    jumps = itertools.cycle((2e9, 1e9, 3e9, 0.0))
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    models = server()
    tab, browser = Tab(models, LIMITS), Browser()
    browser.read(tab.step(request())).read(tab.run(request()))
    assert browser.ids() == whole.ids()
    assert browser.last["identical"] is True
    times = [
        ms
        for step in tab.workspace.trace.steps
        for ms in msgspec.structs.asdict(step.timing).values()
        if ms is not None
    ]
    assert times
    assert all(0 <= ms < 60_000 for ms in times)
    assert (models.turns.runs, models.turns.waiting) == (0, 0)


def test_a_full_disk_is_told_and_nothing_is_lost(monkeypatch, make_tabs):
    visitors = make_tabs(server())
    tab = visitors.get("tab")
    list(tab.run(request()))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(TraceError, match="No space left on device"):
        visitors.save("tab", SaveRequest("json"))
    assert tab.workspace.trace.stop_reason == "max_new_tokens"
    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(TraceError, match="No space left on device"):
        visitors.save("tab", SaveRequest("html"))
