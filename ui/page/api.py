"""The endpoint ``/run``: one run per call, as records of the trace. docs/api.md describes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from typing import Any

import msgspec

from tr_core.decoding.checkpoint import Checkpoint
from tr_core.decoding.recording import Recording
from tr_core.errors import CheckpointError, SettingsError, TokenRecyclingError
from tr_core.settings import MAX_NEW_TOKENS
from tr_core.trace import SCHEMA, RunInfo
from ui.page.events import as_gradio_error
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import Request
from ui.runs.start import RunFactory
from ui.server.limits import Limits
from ui.server.log import FAILED, LOGGER
from ui.server.turns import QueuePosition
from ui.tab.controls import CONTROLS, request_of

_LAST = (
    ("steps", 0, "steps to make at most in this call; 0 is all"),
    (
        "checkpoint",
        "",
        "where to resume, as JSON text; all arguments but `steps` then come from it",
    ),
)
_TYPES = {"whole": int, "number": float, "flag": bool}


def endpoint(models: LoadedModels, limits: Limits) -> Callable[..., Iterator[str]]:
    """The function for ``/run``, with the arguments of the table of controls."""
    controls = [control for control in CONTROLS if control.argument]

    def run(*values: Any) -> Iterator[str]:
        """Decode a prompt by Token Recycling; yields one JSON text per record.

        The records are a start, one per step, and an end. If ``steps`` is above 0, the call makes
        at most that many, and an unfinished run ends in a checkpoint. To resume, pass that
        ``checkpoint`` back as JSON text: everything else then comes from it. docs/api.md describes
        each argument and each record.
        """
        *chosen, steps, checkpoint = values
        try:
            by_key = zip((control.key for control in controls), chosen, strict=True)
            yield from records(models, limits, request_of(dict(by_key)), steps, checkpoint)
        except TokenRecyclingError as error:
            raise as_gradio_error(error) from error

    parameters = []
    for control in controls:
        default = limits.model if control.key == "model" else control.default
        empty = Parameter.empty if control.key == "prompt" else default
        parameters.append(_parameter(control.argument, _TYPES.get(control.kind, str), empty))
    parameters += [_parameter(name, type(default), default) for name, default, _ in _LAST]
    # Gradio reads names, types and defaults of an endpoint from its function.
    signature = Signature(parameters, return_annotation=Iterator[str])
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": Iterator[str]}
    return run


def table_of_arguments() -> str:
    """The table in docs/api.md; ``python -m ui.page.api`` prints it."""
    rows = [(c.argument, c.default, c.help) for c in CONTROLS if c.argument] + list(_LAST)
    own = {"prompt": "–", "model": "the page's"}
    lines = ["| nr. | name | default | what |", "|---|---|---|---|"]
    for number, (name, default, what) in enumerate(rows, start=1):
        shown = own.get(name) or _shown(default)
        lines.append(f"| {number} | `{name}` | {shown} | {what} |")
    return "\n".join(lines)


def _parameter(name: str, kind: type, default: Any) -> Parameter:
    return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str):
        return f"`{default}`" if default else "empty"
    return f"{default:g}"


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
            "The checkpoint must be the JSON text that an earlier call returned, or empty."
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
    start = Checkpoint.from_json(checkpoint) if checkpoint else None
    if start is not None:
        request = Request(start.model, "", start.settings)
    runs = RunFactory(models, limits)
    target = models.get(request.model)
    run = runs.new(request, target) if start is None else runs.resumed(request, target, start)
    encode = msgspec.json.encode
    recording: Recording | None = None
    steps_made = start.steps if start is not None else 0
    release = models.turns.admit()
    try:
        for event in run.advance(target, steps or None, lambda: False):
            if isinstance(event, RunInfo):
                recording = Recording.of(event, target.vocabulary, run.earlier_ids)
                runs.report_start("api", run, event)
                yield encode({"type": "start", "schema": SCHEMA, "info": event}).decode()
            elif recording is not None and not isinstance(event, QueuePosition):
                models.metrics.steps(event)
                for step in event:
                    steps_made = step.index
                    yield encode(
                        {"type": "step", "step": step, "pieces": recording.add(step)}
                    ).decode()
        if run.stop_reason is None:
            yield encode({"type": "checkpoint", "checkpoint": run.checkpoint()}).decode()
            return
        end = {
            "type": "end",
            "output_ids": run.output_ids,
            "text": target.vocabulary.decode(run.output_ids),
            "stop_reason": run.stop_reason,
            "steps": steps_made,
            # Of the whole run, even if this call made only its last steps.
            "mean_accepted_tokens": len(run.output_ids) / steps_made,
        }
        yield encode(end).decode()
    finally:
        release()
        run.forget()


if __name__ == "__main__":
    print(table_of_arguments())
