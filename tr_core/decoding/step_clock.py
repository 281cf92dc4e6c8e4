"""The clock of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from tr_core.trace import Timing

Part = Literal["draft", "forward", "verify", "update"]


class StepClock:
    """Milliseconds of each part of a step.

    Args:
        device: of the model.
        wait: whether to wait for the device at the end of each part, since an accelerator keeps
            working after the host's call returns; done only for a trace.
        clock: seconds.
    """

    def __init__(self, device: torch.device, wait: bool, clock: Callable[[], float]) -> None:
        self._wait = wait and device.type != "cpu"
        self._clock = clock
        self._began = self._last = clock()
        self._ms: dict[Part, float] = {"draft": 0.0, "forward": 0.0, "verify": 0.0, "update": 0.0}

    @staticmethod
    def times_device(device: torch.device, wait: bool) -> bool:
        """Whether it measures the device's time and not the host's alone."""
        return wait or device.type == "cpu"

    def end(self, part: Part) -> None:
        """All since the last call was ``part``."""
        if self._wait:
            torch.accelerator.synchronize()
        now = self._clock()
        self._ms[part] += (now - self._last) * 1e3
        self._last = now

    def total(self) -> float:
        """Milliseconds since the step began."""
        return (self._clock() - self._began) * 1e3

    def timing(self) -> Timing:
        """The parts so far, for the trace."""
        ms = self._ms
        return Timing(ms["draft"], ms["forward"], ms["verify"], ms["update"])
