"""Token recycling inside transformers' own ``generate``: it prepares, we decode.

    from tr_core import token_recycling
    model.generate(**inputs, max_new_tokens=64, custom_generate=token_recycling)

Output and settings equal plain ``generate``, sampled with the same torch seed too. Whatever could
not be equal raises an error (``checks``). The model is not changed.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from transformers import (
    GenerationConfig,
    GenerationMixin,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteriaList,
    StopStringCriteria,
)
from transformers.generation import GenerateDecoderOnlyOutput
from transformers.generation.streamers import BaseStreamer

from tr_core.decoding.session import Session
from tr_core.drafters.base import Drafter
from tr_core.drafters.candidate_matrix import CandidateMatrix
from tr_core.drafters.token_recycling import TokenRecycling
from tr_core.errors import MatrixError, SettingsError
from tr_core.generate.checks import read_request
from tr_core.generate.rules import GenerateRules
from tr_core.models.hf_target import HFTarget
from tr_core.models.loading import Examination, build_target, examine
from tr_core.settings import MAX_NEW_TOKENS, Settings
from tr_core.trace import StepTrace
from tr_core.trees.tree import TreeTemplate

_DEFAULT_K = 8
# What was measured on models that are still alive: nothing of any run, and nothing that keeps a
# model alive.
_EXAMINATIONS: WeakKeyDictionary[PreTrainedModel, Examination] = WeakKeyDictionary()


def token_recycling(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    *,
    drafter: str | Drafter = TokenRecycling.name,
    tree: str | TreeTemplate = "auto",
    k: int | None = None,
    matrix: CandidateMatrix | None = None,
    on_step: Callable[[StepTrace], None] | None = None,
    streamer: BaseStreamer | None = None,
    synced_gpus: bool = False,
    **model_kwargs: Any,
) -> torch.Tensor | GenerateDecoderOnlyOutput:
    """A decoding method for ``model.generate(**inputs, custom_generate=token_recycling, …)``.

    Of these arguments the following are ours, to be given to ``generate``; the others come from it.

    Args:
        drafter: a name of the registry, or a drafter that already knows something.
        tree: ``auto`` (measured on the first call with a model, about a second), a named template,
            a number of nodes, a JSON file, or a ``TreeTemplate``.
        k: candidates a matrix row; 8 by default, or what ``matrix`` or ``drafter`` has.
        matrix: one to start hot with; it learns, and can be given to the next call.
        on_step: called with the trace of each step: what was drafted, accepted and emitted.

    Returns:
        (1, prompt + new) ids on the device of ``input_ids``; with ``return_dict_in_generate``
            transformers' own
        output, in which scores and logits are those of tree passes: equal to plain ones up to float
            rounding.

    Raises:
        TokenRecyclingError: a request cannot be done exactly, or makes no sense; the text names it.
    """
    call = _Call.of_generate(model)
    request = read_request(
        model,
        input_ids,
        generation_config,
        model_kwargs,
        assistant=call.assistant,
        synced=synced_gpus or call.synced,
    )
    streamer = streamer or call.streamer
    target = _target(model)
    rules = GenerateRules(
        input_ids,
        logits_processor,
        stopping_criteria,
        sample=bool(generation_config.do_sample),
        streamer=streamer,
        keep_scores=request.scores,
        keep_logits=request.logits,
        ends=request.ends,
        limit=target.max_length + request.padding,
        agree=target.agree,
    )
    drafter = _drafter(drafter, matrix, target)
    settings = Settings(
        drafter=drafter if isinstance(drafter, str) else drafter.name,
        tree=tree,
        k=k if k is not None else _k_of(drafter),
        max_new_tokens=MAX_NEW_TOKENS,  # the criteria end the output
        trace=False,
    )
    session = Session(
        target, settings, drafter=None if isinstance(drafter, str) else drafter, rules=rules
    )
    session.start(input_ids[0, request.padding :].tolist())
    for step in session.run():
        if on_step is not None:
            on_step(step)
    if streamer is not None:
        streamer.end()
    if request.fills_cache and request.cache is not None:
        target.copy_cache(request.cache)
    if not generation_config.return_dict_in_generate:
        return rules.ids
    output: Any = GenerateDecoderOnlyOutput  # annotated for LongTensor and one-element tuples
    return output(
        sequences=rules.ids,
        scores=rules.scores,
        logits=rules.logits,
        past_key_values=request.cache if request.fills_cache else None,
    )


def generate(
    model: PreTrainedModel,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    stop_strings: str | list[str] | None = None,
    generation_config: GenerationConfig | None = None,
    stopping_criteria: StoppingCriteriaList | None = None,
    **arguments: Any,
) -> torch.Tensor | GenerateDecoderOnlyOutput:
    """``model.generate`` by token recycling, with all its arguments: for ``custom_generate``.

    It can do one thing more than ``custom_generate=token_recycling``: stop strings. transformers
    5.23 passes no tokenizer to a callable, so their criterion is built here.

    Raises:
        SettingsError: stop strings without a tokenizer.
        TokenRecyclingError: see ``token_recycling``.
    """
    for owner in (generation_config, model.generation_config):
        stop_strings = stop_strings or getattr(owner, "stop_strings", None)
    if stop_strings:
        if tokenizer is None:
            raise SettingsError("Stop strings need the model's tokenizer: give it as tokenizer=….")
        criterion = StopStringCriteria(tokenizer=tokenizer, stop_strings=stop_strings)
        stopping_criteria = StoppingCriteriaList([*(stopping_criteria or ()), criterion])
        arguments["stop_strings"] = None
    decode: Any = model.generate  # whose decorated type is not callable for mypy
    return decode(
        generation_config=generation_config,
        stopping_criteria=stopping_criteria,
        custom_generate=token_recycling,
        **arguments,
    )


@dataclass(frozen=True)
class _Call:
    """Arguments of ``generate`` that transformers 5.23 takes and passes to no callable.

    They are read in its frame: without its tokens and end, a streamer's reader would wait for ever.
    """

    streamer: BaseStreamer | None = None
    assistant: bool = False
    synced: bool = False

    @classmethod
    def of_generate(cls, model: PreTrainedModel) -> _Call:
        code = inspect.unwrap(GenerationMixin.generate).__code__
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not code:
            frame = frame.f_back
        if frame is None or frame.f_locals.get("self") is not model:
            return cls()
        given = frame.f_locals
        return cls(
            given.get("streamer"),
            given.get("assistant_model") is not None,
            bool(given.get("synced_gpus")),
        )


def _target(model: PreTrainedModel) -> HFTarget:
    """The model as a ``Target``; earlier measurements of it are reused."""
    known = _EXAMINATIONS.get(model)
    if known is None or not known.fits(model):
        known = _EXAMINATIONS[model] = examine(model)
    return build_target(model, known)


def _k_of(drafter: str | Drafter) -> int:
    return _DEFAULT_K if isinstance(drafter, str) or drafter.k is None else drafter.k


def _drafter(
    drafter: str | Drafter, matrix: CandidateMatrix | None, target: HFTarget
) -> str | Drafter:
    """The drafter to decode with, or the name of one to be made.

    Raises:
        SettingsError: there is a matrix for a drafter that has none, or two.
        MatrixError: the matrix is of another vocabulary or on another device.
    """
    if matrix is None:
        return drafter
    if drafter != TokenRecycling.name:
        raise SettingsError(
            f"A matrix is for the drafter {TokenRecycling.name}: omit drafter or matrix."
        )
    if matrix.vocab_size != target.vocab_size or matrix.device != target.device:
        raise MatrixError(
            f"The matrix has {matrix.vocab_size:,} rows on {matrix.device}, the model needs"
            f" {target.vocab_size:,} on {target.device}: make one with"
            f" CandidateMatrix({target.vocab_size}, k, “{target.device}”)."
        )
    return TokenRecycling(matrix)
