"""Two to four runs of one prompt side by side, aligned by output position. No torch here.

Positions are counted from 1, the first token after the prompt. ``passes`` at a position are the
forward passes that a run had made when that token was written: the fewer, the further ahead. Runs
are compared over the positions at which all wrote the same. After the first difference the texts
are different, and positions there match by number only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from tr_core.analysis import metrics
from tr_core.analysis.run_names import facts, names
from tr_core.errors import CompareError
from tr_core.trace import RunTrace, StepTrace

FEWEST, MOST = 2, 4
JUMPS = 10

Verdict = Literal["equal", "beginning", "different"]
# Settings that may change the text; all others only change how fast it comes.
TEXT_FACTS = ("model", "dtype", "device", "sampling")


class LaneStep(msgspec.Struct, frozen=True):
    """One step of one run, as a bracket over the positions that it wrote.

    Attributes:
        step: its number.
        first, last: positions, both included; ``last`` is ``first − 1`` if it wrote nothing.
        accepted: how many of them were drafted; they come first, and the rest is the bonus.
        passes: forward passes of the run up to and with this step.
    """

    step: int
    first: int
    last: int
    accepted: int
    passes: int


class Lane(msgspec.Struct, frozen=True):
    """One run along the positions.

    Attributes:
        name: what distinguishes it from the others, see ``run_names.names``.
        steps: its steps, in order.
        emitter: (n,) number of the step that wrote each position.
        passes: (n,) forward passes made when it was written.
    """

    name: str
    steps: tuple[LaneStep, ...]
    emitter: tuple[int, ...]
    passes: tuple[int, ...]

    def spent(self, first: int, last: int) -> int:
        """Passes that it took to get from before ``first`` to ``last``, both positions."""
        return self.passes[last - 1] - (self.passes[first - 2] if first > 1 else 0)


class Jump(msgspec.Struct, frozen=True):
    """A step in which one run got further ahead than all others did over the same positions.

    Attributes:
        run: index of the run.
        step: number of its step.
        first, last: positions that the step wrote.
        spent: (runs,) passes that each run spent on them.
        gain: passes that the best of the others spent more.
    """

    run: int
    step: int
    first: int
    last: int
    spent: tuple[int, ...]
    gain: int


class Lead(msgspec.Struct, frozen=True):
    """A run's largest lead: after ``position`` tokens, ``passes`` forward passes ahead of all."""

    run: int
    position: int
    passes: int


class Chosen(msgspec.Struct, frozen=True):
    """What one run wrote at the first difference.

    Attributes:
        token: its id; None where the run had ended.
        step: number of the step that wrote it; None where the run had ended.
        probability: the model's, at temperature 1; None if the token is not among the candidates
            recorded.
        margin: between the model's two most probable tokens there; None if fewer are recorded.
    """

    token: int | None
    step: int | None
    probability: float | None
    margin: float | None


class Difference(msgspec.Struct, frozen=True):
    """The first position at which not all runs have the same token: what each of them has there."""

    position: int
    runs: tuple[Chosen, ...]


class Summary(msgspec.Struct, frozen=True):
    """One run in figures.

    Attributes:
        name: as in its ``Lane``.
        tokens, passes: written, and forward passes after the prefill.
        mean_accepted_tokens: tokens ÷ passes.
        tokens_per_second, ms_per_step: of the steps, without the prefill; on the machine that made
            the run.
        nodes: draft nodes of a step, on average.
        drafted, accepted: nodes in all, and those of them that were accepted.
        lossless: whether plain decoding gave the same ids; None if that was not checked.
    """

    name: str
    tokens: int
    passes: int
    mean_accepted_tokens: float
    tokens_per_second: float
    ms_per_step: float
    nodes: float
    drafted: int
    accepted: int
    lossless: bool | None


class Alignment(msgspec.Struct, frozen=True):
    """Runs side by side.

    Attributes:
        lanes: one a run, in the order given.
        summaries: one a run, in the order given.
        shared: positions, from 1 on, at which all runs have the same token.
        verdict: ``equal`` · ``beginning``, the shorter texts are beginnings of the longest ·
            ``different``.
        difference: the first one, or None if all are equal.
        alike: where not all are equal, groups of runs that wrote the same from beginning to end.
        may_differ: those of ``TEXT_FACTS`` in which the runs differ, so that different texts are
            not an error.
        jumps: the largest, by gain, then by position.
        leads: of each run that ever was ahead of all others, where it was most.
    """

    lanes: tuple[Lane, ...]
    summaries: tuple[Summary, ...]
    shared: int
    verdict: Verdict
    difference: Difference | None
    alike: tuple[tuple[int, ...], ...]
    may_differ: tuple[str, ...]
    jumps: tuple[Jump, ...]
    leads: tuple[Lead, ...]


def align(traces: Sequence[RunTrace]) -> Alignment:
    """Lay runs side by side.

    Raises:
        CompareError: fewer than two or more than four runs, another prompt, or another tokenizer.
    """
    _refuse(traces)
    infos = [trace.info for trace in traces]
    lanes = tuple(_lane(name, trace) for name, trace in zip(names(infos), traces, strict=True))
    texts = [trace.output_ids for trace in traces]
    shared = _shared(texts)
    verdict: Verdict = "equal"
    if any(len(text) != shared for text in texts):
        verdict = "beginning" if _one_goes_on(texts) else "different"
    listed = [facts(info) for info in infos]
    return Alignment(
        lanes=lanes,
        summaries=tuple(
            _summary(lane.name, trace) for lane, trace in zip(lanes, traces, strict=True)
        ),
        shared=shared,
        verdict=verdict,
        difference=(
            None if verdict == "equal" else Difference(shared + 1, _chosen(traces, lanes, shared))
        ),
        alike=() if verdict == "equal" else _alike(texts),
        may_differ=tuple(key for key in TEXT_FACTS if len({f[key] for f in listed}) > 1),
        jumps=_jumps(lanes, shared),
        leads=_leads(lanes, shared),
    )


def _refuse(traces: Sequence[RunTrace]) -> None:
    if not FEWEST <= len(traces) <= MOST:
        raise CompareError(f"A comparison takes {FEWEST} to {MOST} runs, got {len(traces)}.")
    first = traces[0].info
    for number, other in enumerate((trace.info for trace in traces[1:]), start=2):
        if other.tokenizer != first.tokenizer:
            raise CompareError(
                f"Run {number} ({other.model}) has another tokenizer than run 1 ({first.model}), so"
                " their positions cannot be aligned: compare models that share one."
            )
        if other.prompt_ids != first.prompt_ids:
            raise CompareError(
                f"Run {number} has another prompt than run 1: compare runs of one prompt, token for"
                " token."
            )


def _lane(name: str, trace: RunTrace) -> Lane:
    steps: list[LaneStep] = []
    emitter: list[int] = []
    passes: list[int] = []
    total = 0
    for step in trace.steps:
        total += step.passes
        steps.append(
            LaneStep(
                step.index,
                len(emitter) + 1,
                len(emitter) + len(step.emitted),
                len(step.path),
                total,
            )
        )
        emitter += [step.index] * len(step.emitted)
        passes += [total] * len(step.emitted)
    return Lane(name, tuple(steps), tuple(emitter), tuple(passes))


def _shared(texts: Sequence[Sequence[int]]) -> int:
    together = zip(*texts, strict=False)
    return next(
        (n for n, tokens in enumerate(together) if len(set(tokens)) > 1), min(map(len, texts))
    )


def _alike(texts: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for run, text in enumerate(texts):
        groups.setdefault(text, []).append(run)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _one_goes_on(texts: Sequence[Sequence[int]]) -> bool:
    longest = max(texts, key=len)
    return all(tuple(text) == tuple(longest[: len(text)]) for text in texts)


def _chosen(traces: Sequence[RunTrace], lanes: Sequence[Lane], index: int) -> tuple[Chosen, ...]:
    """What each run has at an index of the output."""
    choices = []
    for trace, lane in zip(traces, lanes, strict=True):
        at = next(
            (n for n, line in enumerate(lane.steps) if line.first <= index + 1 <= line.last), None
        )
        if at is None:
            choices.append(Chosen(None, None, None, None))
            continue
        step = trace.steps[at]
        choices.append(_choice(step, index + 1 - lane.steps[at].first))
    return tuple(choices)


def _choice(step: StepTrace, number: int) -> Chosen:
    """The ``number``-th token that a step emitted, from 0, and how sure the model was of it."""
    after = (0, *step.path)[number]
    token, best = step.emitted[number], step.probabilities[after]
    chances = dict(zip(step.candidates[after], best, strict=False))
    return Chosen(
        token, step.index, chances.get(token), best[0] - best[1] if len(best) > 1 else None
    )


def _summary(name: str, trace: RunTrace) -> Summary:
    steps, count = trace.steps, len(trace.steps)
    drafted = sum(len(s.tokens) - 1 for s in steps)
    return Summary(
        name=name,
        tokens=len(trace.output_ids),
        passes=sum(s.passes for s in steps),
        mean_accepted_tokens=metrics.mean_accepted_tokens(steps),
        tokens_per_second=metrics.tokens_per_second(steps),
        ms_per_step=sum(s.timing.total_ms for s in steps) / count if count else 0.0,
        nodes=drafted / count if count else 0.0,
        drafted=drafted,
        accepted=sum(len(s.path) for s in steps),
        lossless=trace.reference_identical,
    )


def _jumps(lanes: Sequence[Lane], shared: int) -> tuple[Jump, ...]:
    jumps = []
    for run, lane in enumerate(lanes):
        for line in lane.steps:
            if not line.first <= line.last <= shared:
                continue
            spent = tuple(other.spent(line.first, line.last) for other in lanes)
            gain = min(n for other, n in enumerate(spent) if other != run) - spent[run]
            if gain > 0:
                jumps.append(Jump(run, line.step, line.first, line.last, spent, gain))
    return tuple(sorted(jumps, key=lambda j: (-j.gain, j.first, j.run))[:JUMPS])


def _leads(lanes: Sequence[Lane], shared: int) -> tuple[Lead, ...]:
    leads = []
    for run, lane in enumerate(lanes):
        others = [other for other in lanes if other is not lane]
        ahead = [min(other.passes[p] for other in others) - lane.passes[p] for p in range(shared)]
        most = max(ahead, default=0)
        if most > 0:
            leads.append(Lead(run, ahead.index(most) + 1, most))
    return tuple(leads)
