"""A session's steps collected to a ``RunTrace``, with the text of every token in them."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import torch
import transformers

from tr_core import __version__
from tr_core.decoding.session import Session
from tr_core.target import Vocabulary
from tr_core.trace import SCHEMA, RunInfo, RunTrace, StepTrace
from tr_core.trace.labels import visible_piece


class Recording:
    """Collects what a started session does: give it every step, ask it for the trace any time."""

    def __init__(self, session: Session) -> None:
        self._session: Session | None = session
        self._collect(describe(session), session.target.vocabulary)

    @classmethod
    def of(cls, info: RunInfo, vocabulary: Vocabulary, earlier: Sequence[int] = ()) -> Recording:
        """A recording of steps from elsewhere; ``earlier`` are ids of the output before them."""
        recording = cls.__new__(cls)
        recording._session = None
        recording._collect(info, vocabulary, earlier)
        return recording

    def _collect(self, info: RunInfo, vocabulary: Vocabulary, earlier: Sequence[int] = ()) -> None:
        self._vocabulary = vocabulary
        self._earlier = tuple(earlier)
        self.info = info
        self.steps: list[StepTrace] = []
        self.pieces: dict[int, str] = {}
        self.partial_bytes: dict[int, str] = {}
        self._learn((*self.info.prompt_ids, *self._earlier))

    def add(self, step: StepTrace) -> dict[int, str]:
        """Append a step; returns the pieces of tokens that are new to the run."""
        self.steps.append(step)
        return self._learn(tokens_of(step))

    @property
    def output_ids(self) -> list[int]:
        """New tokens so far."""
        return [*self._earlier, *(token for step in self.steps for token in step.emitted)]

    def trace(self, *, reference_identical: bool | None = None) -> RunTrace:
        """The run so far."""
        info = self.info
        if self._session is not None:  # its execution may have changed during the run
            info = msgspec.structs.replace(info, execution=self._session.execution)
        return RunTrace(
            schema=SCHEMA,
            info=info,
            steps=tuple(self.steps),
            pieces=dict(self.pieces),
            partial_bytes=dict(self.partial_bytes),
            text=self._vocabulary.decode(self.output_ids),
            stop_reason=self.steps[-1].stop if self.steps else None,
            reference_identical=reference_identical,
        )

    def _learn(self, tokens: Iterable[int]) -> dict[int, str]:
        new = {}
        for token in set(tokens) - self.pieces.keys():
            raw = self._vocabulary.token_bytes(token)
            new[token] = visible_piece(raw)
            if new[token].encode() != raw:
                self.partial_bytes[token] = raw.hex()
        self.pieces |= new
        return new


def record(session: Session) -> RunTrace:
    """Run a started session to its end and return the trace."""
    recording = Recording(session)
    for step in session.run():
        recording.add(step)
    return recording.trace()


def describe(session: Session) -> RunInfo:
    """What a started session runs: enough to run it again."""
    target, settings = session.target, session.settings
    plain = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    return RunInfo(
        # Readers of the trace need not know where the folder is.
        model=Path(target.name).name if Path(target.name).is_dir() else target.name,
        family=target.family,
        tokenizer=target.vocabulary.fingerprint,
        vocab_size=target.vocab_size,
        drafter=settings.drafter,
        tree=settings.tree_name if session.curve else session.template.name,
        nodes=session.template.nodes,
        k=settings.k,
        settings=plain | {"tree": settings.tree_name, "stop": list(settings.stop)},
        dtype=str(target.dtype).removeprefix("torch."),
        device=target.devices,
        attention=target.attention,
        versions={
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "transformers": transformers.__version__,
            "tr_core": __version__,
        },
        prompt_ids=tuple(session.prompt_ids),
        prefill_ms=round(session.prefill_ms, 3),
        rows_seen=session.rows_seen,
        prompt_rows=session.prompt_rows,
        execution=session.execution,
        weight_bytes=target.weight_bytes,
        cache_bytes_per_token=target.cache_bytes_per_token,
        cost=session.curve.rounded() if session.curve else {},
    )


def tokens_of(step: StepTrace) -> set[int]:
    """Every token id that a step mentions."""
    rows = (t for r in step.rows for t in (r.token, *r.before, *r.after))
    return {
        *step.tokens,
        *step.choices,
        *step.emitted,
        *(t for c in step.candidates for t in c),
        *rows,
    }
