"""The clock of a step."""

from __future__ import annotations

import time

import torch


class Watch:
    """Milliseconds between laps, the device waited for when tracing, since a GPU works behind the host's back."""

    def __init__(self, device: torch.device, wait: bool) -> None:
        self._wait = wait and device.type != "cpu"
        self._last = time.perf_counter()
        self.laps: list[float] = []

    def lap(self) -> float:
        if self._wait:
            torch.accelerator.synchronize()
        now = time.perf_counter()
        elapsed, self._last = (now - self._last) * 1e3, now
        self.laps.append(elapsed)
        return elapsed
