"""Loaded models: each once for all visitors; too many unload the least recently used. No gradio."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tr_core.errors import LoadStoppedError, MemoryShortError, ModelError
from tr_core.models import catalog, memory
from tr_core.models.hf_target import HFTarget
from tr_core.models.load_progress import Progress, ReportProgress
from tr_core.models.loading import load_target
from ui.runs.run import AwakeRuns
from ui.runs.zerogpu import GpuCalls
from ui.server.limits import Limits
from ui.server.metrics import Metrics
from ui.server.one_thread import OneThread
from ui.server.turns import Turns

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[\w.-]{1,96})?", re.ASCII)


@dataclass
class Loading:
    """A model that is being loaded.

    Attributes:
        since: when it was first requested, on the monotonic clock.
        doing: in a few words.
        progress: in bytes, as soon as there are any.
        waiting: requests that wait for it; at zero the loading is stopped.
        stopped: whether it is.
    """

    since: float = field(default_factory=time.monotonic)
    doing: str = "waiting for another model to be loaded"
    progress: Progress | None = None
    waiting: int = 0
    stopped: bool = False
    done: Future = field(default_factory=Future)

    def tell(self, progress: Progress) -> None:
        """It has come this far.

        Raises:
            LoadStoppedError: it is to come no farther.
        """
        self.check()
        self.progress, self.doing = progress, str(progress)

    def check(self) -> None:
        """Raises ``LoadStoppedError`` if no request waits any more."""
        if self.stopped:
            raise LoadStoppedError(
                "The loading of the model was stopped: press Run to begin it again."
            )

    def wait(self, seconds: float) -> HFTarget | None:
        """The target; None if it is not there after ``seconds``.

        Raises:
            ModelError: it cannot be loaded.
        """
        try:
            return self.done.result(seconds)
        except NotYet:
            return None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since


def _load(source: str, progress: ReportProgress) -> HFTarget:
    return load_target(source, progress=progress)


class LoadedModels:
    """Gives targets by the model's name, and holds what all visitors share.

    Args:
        load: loads the target of a folder or Hub id, and reports its progress.
        calls: where each call brings its own GPU; see ``zero``. Only models loaded before can be
            run then.

    Attributes:
        turn: the queue for the accelerator.
        awake: runs that hold a session.
        engine, referee: the threads that compute: runs, and plain decoding, which checks them.
        counts: of all that is served.
    """

    def __init__(
        self,
        limits: Limits,
        load: Callable[[str, ReportProgress], HFTarget] = _load,
        calls: GpuCalls | None = None,
    ) -> None:
        self._limits = limits
        self._load = load
        self._one_at_a_time = threading.Lock()
        self._change = threading.Lock()
        self._targets: OrderedDict[str, HFTarget] = OrderedDict()
        self._coming: dict[str, Loading] = {}
        self.calls = calls
        self.metrics = metrics = Metrics()
        self.turns = Turns(limits.max_runs, waited=metrics.waited, lasted=metrics.turn)
        self.awake = AwakeRuns(limits.runs_awake)
        self.engine, self.referee = OneThread("engine"), OneThread("referee")
        metrics.gauge("tr_queue_waiting", "Runs that wait for a turn", lambda: self.turns.waiting)
        metrics.gauge("tr_runs_under_way", "Runs under way", lambda: self.turns.runs)
        metrics.gauge("tr_runs_awake", "Runs that hold keys and values", lambda: len(self.awake))
        metrics.gauge("tr_models_loaded", "Models in memory", lambda: len(self._targets))

    @property
    def loaded(self) -> list[str]:
        """Names of the models in memory."""
        return list(self._targets)

    @property
    def coming(self) -> list[tuple[str, Loading]]:
        """The models on their way, by name."""
        with self._change:
            return list(self._coming.items())

    def offered(self) -> tuple[catalog.ModelEntry, ...]:
        """Models of the list that fit this machine; on ZeroGPU the one that was placed."""
        if self.calls is not None:
            return tuple(e for e in catalog.entries() if e.name in self._targets)
        return catalog.fitting(memory.accelerator_gb())

    def may_chat(self, name: str) -> bool:
        """Whether the model's tokenizer has a chat template; taken to be so until it is loaded."""
        target = self._targets.get(name)
        return target is None or target.vocabulary.has_chat_template

    def get(self, name: str) -> HFTarget:
        """The model's target, loaded if need be; ``fork()`` it before use.

        Raises:
            ModelError: there is no such model, or it cannot be loaded or decoded exactly.
        """
        with self.waiting(name) as coming:
            return coming.done.result()

    def there(self, name: str) -> HFTarget:
        """The target of a model loaded before.

        Takes no lock, since a forked worker may find it held.

        Raises:
            KeyError: it was not.
        """
        return self._targets[name]

    @contextmanager
    def waiting(self, name: str) -> Iterator[Loading]:
        """The model's target, there already or on its way; however many wait, it is loaded once.

        Raises:
            ModelError: it is none that a visitor may name.
        """
        name = name.strip()
        coming = self._asked(name)
        try:
            yield coming
        finally:
            with self._change:
                coming.waiting -= 1
                if not coming.waiting and not coming.done.done():
                    coming.stopped = True
                    self._coming.pop(name, None)  # a new request starts over

    def _asked(self, name: str) -> Loading:
        if not name:
            raise ModelError("No model is chosen: pick one, or type a Hub id.")
        source = catalog.source(name)
        if source == name and not self._limits.local_paths and not _is_hub_id(name):
            raise ModelError(f"“{name[:80]}” is no model of the list and no Hub id.")
        with self._change:
            if name in self._targets:
                self._targets.move_to_end(name)
                there = Loading(waiting=1)
                there.done.set_result(self._targets[name])
                return there
            if self.calls is not None and self._targets:
                raise ModelError(
                    f"Only {', '.join(self._targets)} can be run here: others need a GPU of their"
                    " own."
                )
            if name in self._coming:
                self._coming[name].waiting += 1
                return self._coming[name]
            coming = self._coming[name] = Loading(waiting=1)
        threading.Thread(target=self._fetch, args=(name, source, coming), daemon=True).start()
        return coming

    def _fetch(self, name: str, source: str, coming: Loading) -> None:
        with self._one_at_a_time:
            try:
                coming.check()
                while len(self._targets) >= self._limits.models_kept:
                    self._put_away()
                coming.doing = "reading its files, or fetching them from the Hub"
                target = self._loaded(source, coming.tell)
            except BaseException as error:  # all waiting requests get any error
                self._arrived(name, coming)
                coming.done.set_exception(error)
                return
            self._arrived(name, coming, target)
            coming.done.set_result(target)

    def _arrived(self, name: str, coming: Loading, target: HFTarget | None = None) -> None:
        with self._change:
            if self._coming.get(name) is coming:
                del self._coming[name]
            if target is not None:
                self._targets[name] = target

    def _loaded(self, source: str, progress: ReportProgress) -> HFTarget:
        """The model; where memory is short, the least recently used ones make room one by one."""
        while True:
            try:
                return self._load(source, progress)
            except MemoryShortError:
                if not self._targets:
                    raise
            self._put_away()

    def _put_away(self) -> None:
        """Let go of the model used least recently, and of the sessions that hold it."""
        with self._change:
            name, _ = self._targets.popitem(last=False)
        with self.turns:
            self.awake.sleep_where(lambda run: run.request.model == name)
        memory.free()


def _is_hub_id(name: str) -> bool:
    """Whether this can only mean a repository of the Hub, and nothing on this machine."""
    return _HUB_ID.fullmatch(name) is not None and ".." not in name and not Path(name).exists()
