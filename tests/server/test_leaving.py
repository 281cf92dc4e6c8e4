"""What visitors leave behind: nothing. Counted in objects and threads, not in bytes."""

import functools
import gc
import threading
import weakref

import pytest

import app
from tests.support import page_runs, tiny_models
from tr_core import Session
from tr_core.decoding.recording import Recording
from tr_core.models.hf_target import HFTarget
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import LocalRun
from ui.server.limits import Limits
from ui.tab.tab import Tab, Tabs
from ui.tab.workspace import Workspace

LIMITS = Limits(max_new_tokens=60, turn_steps=3)
request = functools.partial(page_runs.request, max_new_tokens=30)
OURS = (Tab, Workspace, LocalRun, Session, Recording)


def ours():
    """All that is in memory of what belongs to one visitor."""
    return [found for found in gc.get_objects() if type(found) in OURS]


@pytest.fixture
def models():
    return LoadedModels(LIMITS, load=lambda source, progress: tiny_models.target("llama"))


@pytest.fixture
def visitors(models):
    made = Tabs(models, LIMITS)
    yield made
    made.close()


def run_to_the_end(tab):
    list(tab.run(request()))


def go_in_the_middle(tab):
    records = tab.run(request())
    next(records), next(records)
    records.close()  # what Gradio does with the generator of a tab that was closed


def run_hot_after_another(tab):
    list(tab.step(request()))
    list(tab.step(request("other the", max_new_tokens=20)))


def compare(tab):
    list(tab.compare(request(), ["tree 3"]))


@pytest.mark.parametrize(
    "visit",
    [run_to_the_end, go_in_the_middle, run_hot_after_another, compare],
    ids=lambda visit: visit.__name__,
)
def test_whoever_leaves_takes_everything_along(visitors, models, visit):
    before = ours()
    others = {id(found) for found in before}
    visit(visitors.get("tab"))
    own = [
        (type(found).__name__, weakref.ref(found)) for found in ours() if id(found) not in others
    ]
    assert {kind for kind, _ in own} >= {"Tab", "Workspace", "LocalRun", "Recording"}
    visitors.leave("tab")
    gc.collect()
    assert [kind for kind, found in own if found() is not None] == []
    assert (len(models.awake), models.turns.runs, models.turns.waiting) == (0, 0, 0)
    del before  # held until here, so that no number of an object was given anew


class Watched(HFTarget):
    """A target that notes which threads compute with it."""

    threads = set()  # noqa: RUF012 - made anew by the test

    def fork(self):
        return type(self)(self._loaded)

    def score(self, draft):
        self.threads.add(threading.get_ident())
        return super().score(draft)


def test_one_thread_computes_for_all(monkeypatch):
    """torch keeps buffers for each thread that has computed: a thread for each visitor cost 7 to 11
    MB.
    """
    monkeypatch.setattr(Watched, "threads", set())
    models = LoadedModels(
        LIMITS, load=lambda source, progress: Watched(tiny_models.target("llama")._loaded)
    )
    visits = [
        threading.Thread(target=run_to_the_end, args=(Tab(models, LIMITS),)) for _ in range(4)
    ]
    for thread in visits:
        thread.start()
    for thread in visits:
        thread.join(60)
    assert len(Watched.threads) == 1
    assert Watched.threads.isdisjoint(thread.ident for thread in visits)


class Built:
    """A page that notes how it is launched."""

    def launch(self, **options):
        self.options = options


def test_gradio_keeps_the_page_of_few_visitors(models):
    """By default it keeps a copy of the page's description for each of the last 10,000 tabs, 0.15
    MB each.
    """
    built = Built()
    app._launch(built, models, LIMITS, "127.0.0.1", 1)
    assert built.options["state_session_capacity"] == LIMITS.max_runs


def test_what_was_freed_goes_back_to_the_system_now_and_then(monkeypatch):
    trims, now = [], [0.0]
    monkeypatch.setattr("tr_core.models.memory.trim", lambda: trims.append(now[0]))
    visitors = Tabs(LoadedModels(LIMITS), LIMITS, clock=lambda: now[0])
    for second in (0.0, 4.0, 9.0, 12.0, 13.0, 30.0):
        now[0] = second
        visitors.leave("nobody")
    visitors.close()
    assert trims == [0.0, 12.0, 30.0]
