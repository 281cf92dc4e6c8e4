"""What a step costs on this machine, by the number of its nodes: t(N), measured in about a second.

The steps measured are those of a ``Session``, so that drafting, choosing, copying to the host and
compacting the cache are in. Sizes take turns, a few steps each, so that a busy moment of the
machine hits all of them alike.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

import torch

from tr_core.budget.constants import BLOCK, MEASURED, PROMPT_TOKENS, ROUNDS, SECONDS
from tr_core.budget.cost_curve import CostCurve, LiveCurve
from tr_core.decoding.session import Session
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.settings import MAX_NEW_TOKENS, Settings
from tr_core.target import Target
from tr_core.trees.templates import chain, grown


class CostBook:
    """Cost curves of one loaded model, each measured when it is first asked for, and corrected by
    all of its runs.
    """

    def __init__(self) -> None:
        self._measured: dict[tuple[int, bool, bool, str], CostCurve] = {}
        self._curves: dict[tuple[tuple[int, bool, bool, str], str], LiveCurve] = {}
        self._measuring = threading.Lock()

    def curve(self, target: Target, settings: Settings) -> LiveCurve:
        """The curve of the kind of steps that ``settings`` ask for; see ``measure``."""
        kind = (settings.k, settings.trace, settings.temperature > 0, settings.capture)
        # One measurement serves all drafters; what their own work adds, the steps of each tell.
        with self._measuring:
            if kind not in self._measured:
                self._measured[kind] = measure(target, settings)
            return self._curves.setdefault(
                (kind, settings.drafter), LiveCurve(self._measured[kind])
            )


def measure(
    target: Target, settings: Settings, clock: Callable[[], float] | None = None
) -> CostCurve:
    """t(N) of steps under ``settings``, on a fork of ``target``; its own cache is not touched.

    Stops after ``ROUNDS`` rounds or ``SECONDS`` seconds, but not before one plain step and one with
    a tree.

    Args:
        clock: seconds; the target's by default.
    """
    clock = clock or target.clock()
    noise = torch.Generator().manual_seed(0)
    matrix = CandidateMatrix(target.vocab_size, settings.k, target.device)
    rows = torch.randint(target.vocab_size, matrix.rows.shape, generator=noise, dtype=torch.int32)
    matrix.rows.copy_(rows)
    room = target.max_length - 2 * len(MEASURED)
    prompt = torch.randint(
        target.vocab_size, (max(1, min(PROMPT_TOKENS, room)),), generator=noise
    ).tolist()
    settings = dataclasses.replace(
        settings,
        drafter=TokenRecycling.name,
        tree=chain(0),
        max_new_tokens=MAX_NEW_TOKENS,
        stop=(),
        ignore_eos=True,
    )
    session = Session(target.fork(), settings, drafter=TokenRecycling(matrix))
    session.start(prompt)
    shapes = {n: grown(n, settings.k) if n else chain(0) for n in MEASURED}
    wait = torch.accelerator.synchronize if target.device.type != "cpu" else _nothing
    for shape in shapes.values():
        session.use(shape)  # what a graph costs to record is paid once, and no cost of a step
    samples: dict[int, list[float]] = {}
    began = clock()
    for number in range(ROUNDS + 1):
        for size, shape in shapes.items():
            if len(samples) >= 2 and clock() - began > SECONDS:
                return CostCurve.fit(samples)
            session.use(shape)
            times = []
            for _ in range(BLOCK if number > 1 else 1):
                if session.stop_reason is not None:  # the model takes no longer text
                    session.start(prompt)
                started = clock()
                session.step()
                wait()
                times.append((clock() - started) * 1e3)
            # Rounds of single steps pay for what the others reuse; they count only if there is no
            # other.
            samples[size] = (
                times if number <= 1 else times[1:] if number == 2 else samples[size] + times[1:]
            )
    return CostCurve.fit(samples)


def _nothing() -> None:
    """A CPU is done when the call returns."""
