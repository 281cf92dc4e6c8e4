"""Loaded models: each once for all visitors, the least recently used put away when there are too many. No gradio."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from tr_core import catalog
from tr_core.errors import ModelError
from tr_core.hf_target import HFTarget
from tr_core.loading import load_target
from ui.limits import Limits


class Shelf:
    """Gives targets by the model's name.

    Attributes:
        turn: held for each forward pass. The weights are shared, and steps of two visitors take turns on them, so
            that a long run does not hold up a short one.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loading = threading.Lock()
        self._targets: OrderedDict[str, HFTarget] = OrderedDict()
        self.turn = threading.Lock()

    def is_loaded(self, name: str) -> bool:
        return name in self._targets

    def may_chat(self, name: str) -> bool:
        """Whether the model's tokenizer has a chat template; taken to be so until it is loaded."""
        return name not in self._targets or self._targets[name].vocabulary.has_chat_template

    def get(self, name: str) -> HFTarget:
        """The model's target, loaded if need be; ``fork()`` it before use.

        Raises:
            ModelError: there is no such model, or it cannot be loaded or decoded exactly.
        """
        name = name.strip()
        if not name:
            raise ModelError("No model is chosen: pick one, or type a Hub id.")
        source = catalog.source(name)
        if source == name and not self._limits.local_paths and (Path(name).is_absolute() or Path(name).exists()):
            raise ModelError(f"“{name}” is no model of the list and no Hub id.")
        with self._loading:
            if name not in self._targets:
                while len(self._targets) >= self._limits.models_kept:
                    self._targets.popitem(last=False)
                self._targets[name] = load_target(source)
            self._targets.move_to_end(name)
            return self._targets[name]
