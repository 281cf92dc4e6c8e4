"""Runs in pieces: each takes and gives plain data, so any process with the model can go on.

for record in advance(target, checkpoint, steps=8):  # in another process or machine …
    ...  # a RunInfo, StepTraces, a Checkpoint
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import msgspec

from tr_core.decoding.checkpoint import SCHEMA, Checkpoint
from tr_core.decoding.recording import describe
from tr_core.decoding.session import Session
from tr_core.errors import CheckpointError, TokenRecyclingError
from tr_core.settings import Settings
from tr_core.target import Target
from tr_core.trace import RunInfo, StepTrace
from tr_core.trees import templates


def take(session: Session, model: str = "") -> Checkpoint:
    """What another process needs to take the session's next step as the session would have.

    Args:
        session: started, between two steps.
        model: what the model is to be loaded by, if that is not the target's name.

    Raises:
        CheckpointError: the run is strict, whose cache no prefill can make again; or follows rules
            from outside.
    """
    if session.rules is not None:
        raise CheckpointError(
            "A run whose tokens are chosen by rules from outside cannot go on elsewhere."
        )
    return Checkpoint(
        schema=SCHEMA,
        model=model or session.target.name,
        tokenizer=session.target.vocabulary.fingerprint,
        vocab_size=session.target.vocab_size,
        settings=_portable(session.settings, session),
        prompt_ids=tuple(session.prompt_ids),
        output_ids=tuple(session.output_ids),
        steps=session.steps,
        learned=True,
        stop_reason=session.stop_reason,
        rows_seen=session.rows_seen,
        drafter=session.drafter.state(),
        budget=session.sizing.state(),
    ).checked()


def resume(target: Target, checkpoint: Checkpoint) -> Session:
    """A session that resumes where the checkpoint was taken.

    Raises:
        TokenRecyclingError: the checkpoint is damaged, or of another model.
    """
    return Session(target, checkpoint.settings, curve=checkpoint.curve).resume(checkpoint)


def advance(
    target: Target, checkpoint: Checkpoint, steps: int
) -> Iterator[RunInfo | StepTrace | Checkpoint]:
    """``RunInfo``, up to ``steps`` steps from a checkpoint on, and a checkpoint.

    Raises:
        TokenRecyclingError: the checkpoint is damaged, or of another model.
    """
    session = resume(target, checkpoint)
    yield describe(session)
    for _ in range(steps):
        if session.stop_reason is not None:
            break
        yield session.step()
    yield take(session, checkpoint.model)


class Piece(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record of ``pieces``: exactly one field is set.

    Attributes:
        info: the run's description.
        step: the next step.
        checkpoint: the end of this piece; the next one begins with it.
        error: one sentence, where the input does not fit.
    """

    info: RunInfo | None = None
    step: StepTrace | None = None
    checkpoint: Checkpoint | None = None
    error: str | None = None

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Piece:
        return msgspec.json.decode(text, type=cls)


def pieces(target: Target, checkpoint: str, steps: int) -> Iterator[str]:
    """``advance`` as JSON texts of ``Piece``, for a pipe, a queue or a network."""
    try:
        for record in advance(target, Checkpoint.from_json(checkpoint), steps):
            if isinstance(record, RunInfo):
                yield Piece(info=record).to_json()
            elif isinstance(record, StepTrace):
                yield Piece(step=record).to_json()
            else:
                yield Piece(checkpoint=record).to_json()
    except TokenRecyclingError as error:
        yield Piece(error=str(error)).to_json()


def _portable(settings: Settings, session: Session) -> Settings:
    """The settings with a shape in place of a file's name."""
    if isinstance(settings.tree, str) and not templates.is_name(settings.tree):
        return dataclasses.replace(settings, tree=session.template)
    return settings
