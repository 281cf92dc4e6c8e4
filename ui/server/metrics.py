"""What is counted while the page serves, for ``/metrics`` in Prometheus' format. No gradio here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tr_core.errors import TokenRecyclingError
from tr_core.trace import StepTrace

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)


class Metrics:
    """Counters of one server, in its own registry: two servers in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        make: dict[str, Any] = {"registry": self._registry}
        self._runs = Counter("tr_runs", "Runs begun", ["door", "drafter"], **make)
        self._steps = Counter("tr_steps", "Engine steps made", **make)
        self._tokens = Counter("tr_tokens", "Tokens emitted", **make)
        self._errors = Counter(
            "tr_errors", "Requests refused in a sentence, or failed by a bug", ["kind"], **make
        )
        self._waits = Histogram(
            "tr_turn_wait_seconds",
            "Time from asking for a turn to having it",
            buckets=_SECONDS,
            **make,
        )
        self._turns = Histogram(
            "tr_turn_seconds", "How long a turn of the accelerator lasted", buckets=_SECONDS, **make
        )
        mean = Gauge(
            "tr_mean_accepted_tokens", "Tokens per step since the server was started", **make
        )
        mean.set_function(self._mean)
        self._made = self._emitted = 0

    def gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Add a figure that is read each time ``/metrics`` is."""
        Gauge(name, what, registry=self._registry).set_function(value)

    def run(self, door: str, drafter: str) -> None:
        self._runs.labels(door, drafter).inc()

    def steps(self, steps: Sequence[StepTrace]) -> None:
        emitted = sum(len(step.emitted) for step in steps)
        self._steps.inc(len(steps))
        self._tokens.inc(emitted)
        self._made += len(steps)
        self._emitted += emitted

    def error(self, error: Exception) -> None:
        """By its kind: a refusal has the name of its class, everything else is a bug."""
        self._errors.labels(
            type(error).__name__ if isinstance(error, TokenRecyclingError) else "bug"
        ).inc()

    def waited(self, seconds: float) -> None:
        self._waits.observe(seconds)

    def turn(self, seconds: float) -> None:
        self._turns.observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)

    def _mean(self) -> float:
        return self._emitted / self._made if self._made else 0.0
