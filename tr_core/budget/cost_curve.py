"""What a step costs by the number of its draft nodes: t(N), as measured and as the steps correct
it. No torch here.

``CostCurve`` is fixed. ``LiveCurve`` begins with one and learns from every step that is timed: a
bad first measurement heals within a few dozen steps, and a machine that changes is followed.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Protocol

import msgspec
import numpy as np

from tr_core.budget import constants as c
from tr_core.budget.constants import KNOTS

# Numbers of a checkpoint, which may come from anywhere: far above what occurs, and far below where
# floats overflow.
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Costs(Protocol):
    """Costs that a budget weighs by, whether they are fixed or learned."""

    def curve(self) -> CostCurve:
        """What is believed now."""
        ...

    def doubt(self, nodes: int) -> float:
        """Standard deviation of the logarithm of t(nodes) / t(0): 0.1 is about ten per cent."""
        ...

    def observe(self, nodes: int, ms: float) -> None:
        """A step over ``nodes`` took so long."""
        ...


@dataclass(frozen=True)
class CostCurve:
    """Milliseconds of a whole step over N draft nodes.

    Attributes:
        nodes: rising sizes, the first 0.
        ms: milliseconds of each; never falling.

    Raises:
        ValueError: not of this form.
    """

    nodes: tuple[Count, ...]
    ms: tuple[Amount, ...]

    def __post_init__(self) -> None:
        fits = len(self.nodes) == len(self.ms) and self.nodes[:1] == (0,)
        rising = all(a < b for a, b in pairwise(self.nodes))
        if not (fits and rising and all(a <= b for a, b in pairwise(self.ms))):
            raise ValueError(
                f"a cost curve needs sizes rising from 0 and times that do not fall, got {self}"
            )
        if self.ms[0] <= 0:
            raise ValueError(f"a step takes some time, got {self.ms[0]} ms")

    @classmethod
    def fit(cls, samples: Mapping[int, Sequence[float]]) -> CostCurve:
        """The curve of times measured at some sizes, 0 among them.

        It takes the least time of each size, since a busy machine only adds time. Times that fall
        with more nodes are noise, and are levelled.
        """
        nodes = sorted(samples)
        # Pool adjacent violators: (sum, count) of blocks with rising means.
        blocks: list[tuple[float, int]] = []
        for size in nodes:
            blocks.append((min(samples[size]), 1))
            while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
                (a, m), (b, n) = blocks[-2:]
                blocks[-2:] = [(a + b, m + n)]
        return cls(
            tuple(nodes), tuple(total / count for total, count in blocks for _ in range(count))
        )

    def at(self, nodes: int) -> float:
        """Milliseconds of a step over ``nodes``: straight between sizes and beyond the last."""
        if len(self.nodes) == 1:  # only plain decoding is known: believe that drafts save nothing
            return self.ms[0] * (1 + nodes)
        right = min(max(1, bisect_left(self.nodes, nodes)), len(self.nodes) - 1)
        (a, b), (low, high) = self.nodes[right - 1 : right + 1], self.ms[right - 1 : right + 1]
        return low + (high - low) * (nodes - a) / (b - a)

    def least_slope(self, nodes: int) -> float:
        """Milliseconds that the cheapest further node costs, beyond ``nodes``."""
        points = list(zip(self.nodes, self.ms, strict=True))
        slopes = [(t - s) / (b - a) for (a, s), (b, t) in pairwise(points) if b > nodes]
        return min(slopes, default=(self.at(nodes + 1) - self.at(nodes)))

    def rounded(self) -> dict[int, float]:
        """Milliseconds by nodes, for the trace."""
        return {n: round(t, 3) for n, t in zip(self.nodes, self.ms, strict=True)}

    def curve(self) -> CostCurve:
        """Itself; see ``Costs``."""
        return self

    def doubt(self, nodes: int) -> float:
        """None: what is fixed is certain."""
        return 0.0

    def observe(self, nodes: int, ms: float) -> None:
        """Nothing is learned."""


class LiveCurve:
    """A cost curve corrected by timed steps; all runs of a loaded model share it, from any thread.

    log t(N) = level + log measured(N) + c(N), where the level is the machine's speed, which
    wanders, and c, 0 at N = 0, is how wrong the measured shape was. A Kalman filter keeps the
    level, c at ``KNOTS`` and how sure they are. Neighbouring sizes are believed to be wrong
    together, so one noisy size cannot bend the curve. A step that is far off counts as two standard
    deviations, so a busy moment cannot either.

    Args:
        measured: what is believed at first.
    """

    def __init__(self, measured: CostCurve) -> None:
        self.measured = measured
        self._waiting: deque[tuple[int, float]] = deque(maxlen=c.WAITING)
        self._lock = threading.Lock()
        self._base = np.log([measured.at(n) for n in KNOTS])
        doublings = np.log2([1 + n for n in KNOTS[1:]])
        # Covariance of the level and of c at each knot but the first.
        believed = np.zeros((len(KNOTS), len(KNOTS)))
        believed[1:, 1:] = c.PER_DOUBLING**2 * np.minimum.outer(doublings, doublings)
        believed[1:, 1:] += c.PER_SIZE**2 * np.eye(len(doublings))
        believed[0, 0] = c.LEVEL**2
        self._covariance = believed.copy()
        self._forget, self._shaken = c.FORGETTING * believed, c.SHAKEN * believed
        self._forget[0, 0], self._shaken[0, 0] = c.LEVEL_STEP**2, c.LEVEL**2
        self._state = np.zeros(len(KNOTS))
        self._far_side = 0  # on which side the last step was too far off: −1, 0 or 1
        self._curve: CostCurve | None = measured

    def observe(self, nodes: int, ms: float) -> None:
        """See ``Costs``; the step is learned from when the curve is next asked for."""
        if ms > 0:
            self._waiting.append((nodes, ms))

    def curve(self) -> CostCurve:
        """What is believed now: the measured curve itself before the first step."""
        with self._lock:
            self._catch_up()
            if self._curve is None:
                logs = self._base + self._state[0]
                logs[1:] += self._state[1:]
                self._curve = CostCurve.fit(
                    {n: [ms] for n, ms in zip(KNOTS, np.exp(logs).tolist(), strict=True)}
                )
            return self._curve

    def doubt(self, nodes: int) -> float:
        """See ``Costs``."""
        weights = _weights(nodes)
        weights[0] = 0.0
        with self._lock:
            self._catch_up()
            return math.sqrt(max(0.0, float(weights @ self._covariance @ weights)))

    def at(self, nodes: int) -> float:
        """Milliseconds of a step over ``nodes``, as believed now."""
        return self.curve().at(nodes)

    def rounded(self) -> dict[int, float]:
        """Milliseconds by nodes, as believed now, for the trace."""
        return self.curve().rounded()

    def _catch_up(self) -> None:
        """Learn from the steps that wait, in their order."""
        while self._waiting:
            self._learn(*self._waiting.popleft())

    def _learn(self, nodes: int, ms: float) -> None:
        weights = _weights(nodes)
        self._covariance += self._forget
        base = float(self._base @ weights)
        weights[0] = 1.0  # of the level, in the place of c(0), which is 0
        along = self._covariance @ weights
        spread = float(weights @ along) + c.NOISE**2
        far = c.CLIP * math.sqrt(spread)
        surprise = math.log(ms) - base - float(weights @ self._state)
        self._state += along * (min(max(surprise, -far), far) / spread)
        self._covariance -= np.outer(along, along / spread)
        side = int(surprise > far) - int(surprise < -far)
        if side and side == self._far_side:
            self._covariance += self._shaken
        self._far_side = side
        self._curve = None


def _weights(nodes: int) -> np.ndarray:
    """(knots,) float64 weight of each knot for ``nodes``: shared between the two beside it."""
    weights = np.zeros(len(KNOTS))
    right = bisect_left(KNOTS, nodes)
    if right == len(KNOTS) or KNOTS[right] == nodes:
        weights[min(right, len(KNOTS) - 1)] = 1.0
    else:
        low, high = KNOTS[right - 1 : right + 1]
        weights[right] = (nodes - low) / (high - low)
        weights[right - 1] = 1 - weights[right]
    return weights
