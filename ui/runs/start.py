"""How a run comes to be: from a request or from a checkpoint, within the limits. No gradio here."""

from __future__ import annotations

from collections.abc import Callable

from tr_core.decoding import resume
from tr_core.decoding.checkpoint import SCHEMA, Checkpoint
from tr_core.decoding.session import Session
from tr_core.drafters import registry
from tr_core.drafters.base import Drafter
from tr_core.errors import PromptError, SettingsError
from tr_core.models.hf_target import HFTarget
from tr_core.settings import Settings
from tr_core.trace import RunInfo
from ui.runs.loaded_models import LoadedModels
from ui.runs.run import CalledRun, LocalRun, Request, Run
from ui.server import log
from ui.server.limits import Limits


class RunFactory:
    """Makes runs of the kind that this machine can do: its own, or in calls to ZeroGPU."""

    def __init__(self, models: LoadedModels, limits: Limits) -> None:
        self._models, self._limits = models, limits

    def new(self, request: Request, target: HFTarget, before: Run | None = None) -> Run:
        """A run that has not begun.

        Args:
            before: the tab's last run, whose rows a hot start takes over.

        Raises:
            TokenRecyclingError: the request does not fit the model or the limits.
        """
        if len(request.prompt) > self._limits.max_prompt_chars:
            raise PromptError(
                f"The prompt has {len(request.prompt):,} characters,"
                f" {self._limits.max_prompt_chars:,} are allowed: shorten it."
            )
        ids = target.vocabulary.encode(request.prompt, chat_template=request.chat)
        self._check_limits(len(ids), request.settings)
        drafter = self._drafter(request, target, before)
        if self._models.calls is not None:
            first = _first_checkpoint(request, target, ids, drafter)
            return CalledRun(request, first, self._models.calls)
        return self._local(
            request, lambda fork: Session(fork, request.settings, drafter=drafter).start(ids)
        )

    def resumed(
        self, request: Request, target: HFTarget, checkpoint: Checkpoint, number: str | None = None
    ) -> Run:
        """A run resumed from a checkpoint, of this server or another one.

        Raises:
            TokenRecyclingError: the checkpoint does not fit the model or the limits.
        """
        self._check_limits(len(checkpoint.prompt_ids), checkpoint.settings)
        checkpoint.check_model(target.vocabulary.fingerprint, target.vocab_size, target.max_length)
        if self._models.calls is not None:
            return CalledRun(request, checkpoint, self._models.calls, number)
        return self._local(
            request, lambda fork: resume.resume(fork, checkpoint), number, checkpoint
        )

    def report_start(self, source: str, run: Run, info: RunInfo) -> None:
        """Count and log a run that has begun; ``source`` is ``page`` or ``api``."""
        self._models.metrics.run(source, info.drafter)
        prompt = {"prompt": run.request.prompt} if self._limits.log_prompts else {}
        log.tell(
            "run", door=source, run=run.number, model=info.model, drafter=info.drafter,
            tree=info.tree, prompt_tokens=len(info.prompt_ids), prefill_ms=info.prefill_ms,
            **prompt,
        )  # fmt: skip

    def _local(
        self,
        request: Request,
        start: Callable[[HFTarget], Session],
        number: str | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> LocalRun:
        models = self._models
        return LocalRun(
            request,
            start,
            turns=models.turns,
            awake=models.awake,
            steps_a_turn=self._limits.turn_steps,
            engine=models.engine,
            referee=models.referee,
            number=number,
            checkpoint=checkpoint,
        )

    def _drafter(self, request: Request, target: HFTarget, before: Run | None) -> Drafter | None:
        """A drafter for a hot start: from a file, or from the run before if of the same kind."""
        if request.matrix is not None:
            return registry.load(request.settings.drafter, request.matrix, target)
        if not request.hot or before is None or before.info is None:
            return None
        now, then = ((r.model, r.settings.drafter, r.settings.k) for r in (request, before.request))
        if now != then:
            return None
        with self._models.turns:
            return before.drafter(target)

    def _check_limits(self, prompt_tokens: int, settings: Settings) -> None:
        limits = self._limits
        if prompt_tokens > limits.max_prompt_tokens:
            raise PromptError(
                f"The prompt has {prompt_tokens:,} tokens, {limits.max_prompt_tokens:,} are allowed"
                " here: shorten it."
            )
        if settings.max_new_tokens > limits.max_new_tokens:
            raise SettingsError(
                f"Max new tokens is {settings.max_new_tokens:,}, at most {limits.max_new_tokens:,}"
                " are allowed here: choose fewer."
            )


def _first_checkpoint(
    request: Request, target: HFTarget, ids: list[int], drafter: Drafter | None
) -> Checkpoint:
    """The checkpoint of a run that has not begun."""
    if not ids:
        raise PromptError("The prompt is empty: type some text first.")
    if drafter is not None:
        drafter.begin()  # forget the last text, and keep what was learned from it
    return Checkpoint(
        schema=SCHEMA,
        model=request.model,
        tokenizer=target.vocabulary.fingerprint,
        vocab_size=target.vocab_size,
        settings=request.settings,
        prompt_ids=tuple(ids),
        drafter=drafter.state() if drafter is not None else {},
    ).checked()
