"""The endpoint ``/run``: a run of its own for each call, as records of the trace itself.
docs/api.md describes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tr_core.decoding.checkpoint import Checkpoint
from tr_core.decoding.recording import Recording
from tr_core.errors import CheckpointError, SettingsError, TokenRecyclingError
from tr_core.settings import MAX_NEW_TOKENS
from tr_core.trace import SCHEMA, RunInfo
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import Request
from ui.runs.start import RunFactory
from ui.server.limits import Limits
from ui.server.log import FAILED, LOGGER
from ui.server.turns import QueuePosition


def records(
    models: LoadedModels, limits: Limits, request: Request, steps: Any = 0, checkpoint: Any = ""
) -> Iterator[str]:
    """JSON texts: start, one per step, end; or a checkpoint in place of the end.

    Args:
        request: what to run; without effect where there is a checkpoint.
        steps: to make at most, 0 for all; if the run is not over then, a checkpoint is the last
            record.
        checkpoint: where to go on, as JSON text.

    Raises:
        TokenRecyclingError: with one sentence, whatever has gone wrong.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps <= MAX_NEW_TOKENS:
        raise SettingsError(
            f"Steps must be a whole number from 0 (all) to {MAX_NEW_TOKENS}, got"
            f" {str(steps)[:40]!r}."
        )
    if not isinstance(checkpoint, str):
        raise CheckpointError(
            "The checkpoint must be the JSON text that a call has given, or empty."
        )
    try:
        yield from _records(models, limits, request, steps, checkpoint)
    except TokenRecyclingError as error:
        models.metrics.error(error)
        raise
    except Exception as error:  # a bug: seen in the log
        models.metrics.error(error)
        LOGGER.exception("an API run failed")
        raise TokenRecyclingError(FAILED) from error


def _records(
    models: LoadedModels, limits: Limits, request: Request, steps: int, checkpoint: str
) -> Iterator[str]:
    known = Checkpoint.from_json(checkpoint) if checkpoint else None
    if known is not None:
        request = Request(known.model, "", known.settings)
    runs = RunFactory(models, limits)
    target = models.get(request.model)
    run = runs.new(request, target) if known is None else runs.resumed(request, target, known)
    encode = msgspec.json.encode
    recording = None
    over = models.turns.admit()
    try:
        for told in run.advance(target, steps or None, lambda: False):
            if isinstance(told, RunInfo):
                recording = Recording.of(told, target.vocabulary, run.earlier_ids)
                runs.report_start("api", run, told)
                yield encode({"type": "start", "schema": SCHEMA, "info": told}).decode()
            elif not isinstance(told, QueuePosition):
                models.metrics.steps(told)
                for step in told:
                    yield encode(
                        {"type": "step", "step": step, "pieces": recording.add(step)}
                    ).decode()
        if run.stop_reason is None:
            yield encode({"type": "checkpoint", "checkpoint": run.checkpoint()}).decode()
            return
        steps_made = recording.steps[-1].index if recording.steps else known.steps
        end = {
            "type": "end",
            "output_ids": run.output_ids,
            "text": target.vocabulary.decode(run.output_ids),
            "stop_reason": run.stop_reason,
            "steps": steps_made,
            # Of the whole run, also where this call made only the last of its steps.
            "mean_accepted_tokens": len(run.output_ids) / steps_made,
        }
        yield encode(end).decode()
    finally:
        over()
        run.forget()
