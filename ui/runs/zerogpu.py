"""Decoding in bounded calls that share nothing with the page's process, for ZeroGPU. No gradio.

On ZeroGPU each call runs in a worker forked from this process, in which alone there is a GPU:
arguments and results are pickled, and what the worker changes is never seen here. So a call takes a
checkpoint as text and yields texts; see ``tr_core/decoding/resume.py``. Models are placed before
the first call, by ``app.py``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from tr_core.decoding import resume
from tr_core.decoding.checkpoint import Checkpoint
from tr_core.models.hf_target import HFTarget
from tr_core.models.load_progress import ReportProgress
from tr_core.models.loading import load_target

F = TypeVar("F", bound=Callable[..., Any])

# Generous for a 7B on the GPUs of ZeroGPU; unused time is returned.
START_SECONDS = 5.0
PROMPT_TOKENS_A_SECOND = 4000
STEPS_A_SECOND = 12
LONGEST_SECONDS = 60
STEPS_A_CALL = 64


class Models(Protocol):
    """Where the calls find a model by name."""

    def there(self, name: str) -> Any: ...


def is_here() -> bool:
    """Whether this process runs on ZeroGPU."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "true", "t")


def load(source: str, progress: ReportProgress) -> HFTarget:
    """A model for ZeroGPU: created and tried on the CPU, then placed on the GPU of the workers."""
    return load_target(source, dtype="bfloat16", device="cpu", progress=progress).moved("cuda")


def seconds(model: str, checkpoint: str, steps: int) -> int:
    """How long to ask the GPU for: by the text to be prefilled, and the steps."""
    known = msgspec.json.decode(checkpoint, type=_Length)
    tokens = len(known.prompt_ids) + len(known.output_ids)
    return _at_most(START_SECONDS + tokens / PROMPT_TOKENS_A_SECOND + steps / STEPS_A_SECOND)


def seconds_of_check(model: str, prompt_ids: Sequence[int], checkpoint: str) -> int:
    """The same for plain decoding, a pass for each token that the run wrote."""
    written = len(msgspec.json.decode(checkpoint, type=_Length).output_ids)
    return _at_most(
        START_SECONDS + len(prompt_ids) / PROMPT_TOKENS_A_SECOND + written / STEPS_A_SECOND
    )


class GpuCalls:
    """The functions that use the GPU, each decorated where there is something to decorate for.

    Args:
        models: loaded before the first call.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self.pieces = _on_gpu(seconds)(self._pieces)
        self.plain = _on_gpu(seconds_of_check)(self._plain)

    def _pieces(self, model: str, checkpoint: str, steps: int) -> Iterator[str]:
        yield from resume.pieces(self._models.there(model).fork(), checkpoint, steps)

    def _plain(
        self, model: str, prompt_ids: Sequence[int], checkpoint: str
    ) -> Iterator[list[int] | None]:
        """What plain decoding writes under a checkpoint's settings, in one item."""
        settings = Checkpoint.from_json(checkpoint).settings
        yield self._models.there(model).plain_ids(prompt_ids, settings)


class _Length(msgspec.Struct):
    prompt_ids: list[int]
    output_ids: list[int]


def _at_most(wanted: float) -> int:
    return min(LONGEST_SECONDS, math.ceil(wanted))


def _on_gpu(duration: Callable[..., int]) -> Callable[[F], F]:
    """``spaces.GPU`` on ZeroGPU, which brings that package; elsewhere the function as it is."""
    if not is_here():
        return lambda function: function
    import spaces

    return spaces.GPU(duration=duration)
