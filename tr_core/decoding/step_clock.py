"""The clock of a step."""

from __future__ import annotations

from collections.abc import Callable

import torch


class Watch:
    """Milliseconds between laps, the device waited for when tracing, since a GPU works behind the
    host's back.
    """

    def __init__(self, device: torch.device, wait: bool, clock: Callable[[], float]) -> None:
        self._wait = wait and device.type != "cpu"
        self._clock = clock
        self._began = self._last = clock()
        self.laps: list[float] = []

    @staticmethod
    def tells(device: torch.device, wait: bool) -> bool:
        """Whether what it shows is the time of the device and not of the host alone."""
        return wait or device.type == "cpu"

    def total(self) -> float:
        """Milliseconds since the beginning."""
        return (self._clock() - self._began) * 1e3

    def lap(self) -> float:
        if self._wait:
            torch.accelerator.synchronize()
        now = self._clock()
        elapsed, self._last = (now - self._last) * 1e3, now
        self.laps.append(elapsed)
        return elapsed
