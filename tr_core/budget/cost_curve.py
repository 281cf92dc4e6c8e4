"""What a step costs by the number of its draft nodes: t(N), as measured and as the steps correct
it. No torch here.

``CostCurve`` is a fixed curve. ``LiveCurve`` begins with one and learns from every step that is
timed: a first measurement made at a bad moment heals within a few dozen steps, and a machine that
changes is followed.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

# Sizes at which a curve is corrected; between them corrections are straight.
KNOTS = (0, 2, 4, 8, 16, 32, 80)
# Beliefs, as standard deviations of the logarithm of milliseconds. How far the measured ratio
# between a size and plain decoding may be wrong: as a random walk over each doubling of 1 + N, and
# at each size by itself.
_PER_DOUBLING = 0.14
_PER_SIZE = 0.05
# How far the machine as a whole may be off at first, and wander from step to step: all sizes alike.
_LEVEL = 0.3
_LEVEL_STEP = 0.03
# How far one step strays from the rest, and the share of the first doubt about the shape that each
# step brings back.
_NOISE = 0.12
_FORGETTING = 0.001
# A step further off than this many standard deviations counts as that far: the machine was busy
# with something else.
_CLIP = 2.0
# Two in a row, off to the same side, bring back this share of the first doubt of the shape and all
# of the level's: a machine changes its pace more often than what a size costs beside another.
_SHAKEN = 0.25
# Steps that wait to be learned from at most; more than any budget lets pass before it asks.
_WAITING = 256


@dataclass(frozen=True)
class CostCurve:
    """Milliseconds of a whole step over N draft nodes.

    Attributes:
        nodes: rising sizes, the first 0.
        ms: milliseconds of each; never falling.

    Raises:
        ValueError: not of this form.
    """

    nodes: tuple[int, ...]
    ms: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in pairwise(self.nodes))
        falling = any(a > b for a, b in pairwise(self.ms))
        if (
            not self.nodes
            or self.nodes[0] != 0
            or not rising
            or falling
            or len(self.nodes) != len(self.ms)
        ):
            raise ValueError(
                f"a cost curve needs sizes rising from 0 and times that do not fall, got {self}"
            )
        if self.ms[0] <= 0:
            raise ValueError(f"a step takes some time, got {self.ms[0]} ms")

    @classmethod
    def fit(cls, samples: Mapping[int, Sequence[float]]) -> CostCurve:
        """From times measured at some sizes, 0 among them: the least of each, levelled where they
        fall.

        Whatever else the machine does only ever adds time, and more nodes never cost less: what
        says so is noise.
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

    def least_slope(self, nodes: int) -> float:
        """Milliseconds that the cheapest further node costs, beyond ``nodes``."""
        points = list(zip(self.nodes, self.ms, strict=True))
        slopes = [(t - s) / (b - a) for (a, s), (b, t) in pairwise(points) if b > nodes]
        return min(slopes, default=(self.at(nodes + 1) - self.at(nodes)))

    def rounded(self) -> dict[int, float]:
        """Milliseconds by nodes, for the trace."""
        return {n: round(t, 3) for n, t in zip(self.nodes, self.ms, strict=True)}

    def at(self, nodes: int) -> float:
        """Milliseconds of a step over ``nodes``: straight between two measured sizes, and on beyond
        the last.
        """
        if len(self.nodes) == 1:
            return self.ms[0] * (
                1 + nodes
            )  # nothing known but plain decoding: believe that a pass saves nothing
        right = min(max(1, bisect_left(self.nodes, nodes)), len(self.nodes) - 1)
        (a, b), (low, high) = self.nodes[right - 1 : right + 1], self.ms[right - 1 : right + 1]
        return low + (high - low) * (nodes - a) / (b - a)


class LiveCurve:
    """A cost curve corrected by the steps that are timed; shared by all runs of a loaded model,
    from any thread.

    log t(N) = level + log measured(N) + c(N), where the level is the machine's speed, which
    wanders, and c, 0 at N = 0, is how wrong the measured shape was. A Kalman filter keeps the
    level, c at ``KNOTS`` and how sure they are. Neighbouring sizes are believed to be wrong
    together, so that one noisy size cannot bend the curve, and a step that is far off counts as two
    standard deviations, so that a busy moment cannot either.

    Args:
        measured: what is believed at first.
    """

    def __init__(self, measured: CostCurve) -> None:
        self.measured = measured
        self._told: deque[tuple[int, float]] = deque(maxlen=_WAITING)
        self._lock = threading.Lock()
        self._base = np.log([measured.at(n) for n in KNOTS])
        doublings = np.log2([1 + n for n in KNOTS[1:]])
        believed = np.zeros(
            (len(KNOTS), len(KNOTS))
        )  # of the level, then of c at each knot but the first
        believed[1:, 1:] = _PER_DOUBLING**2 * np.minimum.outer(doublings, doublings)
        believed[1:, 1:] += _PER_SIZE**2 * np.eye(len(doublings))
        believed[0, 0] = _LEVEL**2
        self._doubt = believed.copy()
        self._forget, self._shaken = _FORGETTING * believed, _SHAKEN * believed
        self._forget[0, 0], self._shaken[0, 0] = _LEVEL_STEP**2, _LEVEL**2
        self._state = np.zeros(len(KNOTS))
        self._strange = 0  # to which side the last step was too far off
        self._curve = measured

    def observe(self, nodes: int, ms: float) -> None:
        """A step over ``nodes`` has taken so long. What follows from it is worked out when somebody
        asks.
        """
        if ms > 0:
            self._told.append((nodes, ms))

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
        """Standard deviation of the logarithm of t(nodes) / t(0): 0.1 is about ten per cent."""
        weights = _weights(nodes)
        weights[0] = 0.0
        with self._lock:
            self._catch_up()
            return math.sqrt(max(0.0, float(weights @ self._doubt @ weights)))

    def at(self, nodes: int) -> float:
        """Milliseconds of a step over ``nodes``, as believed now."""
        return self.curve().at(nodes)

    def rounded(self) -> dict[int, float]:
        """Milliseconds by nodes, as believed now, for the trace."""
        return self.curve().rounded()

    def _catch_up(self) -> None:
        """Learn from the steps told since the last time, in their order."""
        while self._told:
            self._learn(*self._told.popleft())

    def _learn(self, nodes: int, ms: float) -> None:
        weights = _weights(nodes)
        self._doubt += self._forget
        base = float(self._base @ weights)
        weights[0] = 1.0  # of the level, in the place of c(0), which is 0
        along = self._doubt @ weights
        spread = float(weights @ along) + _NOISE**2
        far = _CLIP * math.sqrt(spread)
        surprise = math.log(ms) - base - float(weights @ self._state)
        self._state += along * (min(max(surprise, -far), far) / spread)
        self._doubt -= np.outer(along, along / spread)
        strange = int(surprise > far) - int(surprise < -far)
        if strange and strange == self._strange:
            self._doubt += self._shaken
        self._strange = strange
        self._curve = None


def _weights(nodes: int) -> np.ndarray:
    """(knots,) how much each knot tells of ``nodes``: 1 at one, shared between two; beyond the
    last, all its own.
    """
    weights = np.zeros(len(KNOTS))
    right = bisect_left(KNOTS, nodes)
    if right == len(KNOTS) or KNOTS[right] == nodes:
        weights[min(right, len(KNOTS) - 1)] = 1.0
    else:
        low, high = KNOTS[right - 1 : right + 1]
        weights[right] = (nodes - low) / (high - low)
        weights[right - 1] = 1 - weights[right]
    return weights
