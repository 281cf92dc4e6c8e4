"""Memory: a sentence where it is short, room again, and the bytes that a pass reads."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from transformers import PreTrainedModel

from tr_core.attention.kv_cache import GrowingCache
from tr_core.errors import MemoryShortError

# torch has no class of its own for a CPU without memory.
_CPU_SAYS = ("not enough memory", "can't allocate memory")


@contextmanager
def shortage_as(sentence: str) -> Iterator[None]:
    """Turn out-of-memory errors of the block into one sentence.

    Raises:
        MemoryShortError: with ``sentence``.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise MemoryShortError(sentence) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in _CPU_SAYS):
            raise
        raise MemoryShortError(sentence) from error


def free() -> None:
    """Free what nothing refers to any more, on the device too."""
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.memory.empty_cache()


def accelerator_gb() -> float:
    """Memory of the accelerator in 10⁹ bytes; 0 without one."""
    if not torch.accelerator.is_available():
        return 0.0
    _, total = torch.accelerator.memory.get_memory_info()
    return total / 1e9


def trim() -> None:
    """Return to the system what the C library keeps free for later; only glibc needs this."""
    with suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def weight_bytes(model: PreTrainedModel) -> int:
    """Bytes of the weights that a pass reads, shared ones once.

    An input embedding is left out, of which a pass reads a few rows; one that is also the output
    layer is read whole. All experts of a mixture count, although a pass reads fewer.
    """
    total = sum(p.numel() * p.element_size() for p in model.parameters())
    rows: Any = model.get_input_embeddings().weight
    output = model.get_output_embeddings()
    tied = output is not None and output.weight is rows
    return total if tied else total - rows.numel() * rows.element_size()


def cache_bytes_per_token(cache: GrowingCache) -> int:
    """Bytes of one token's keys and values over all layers; 0 while nothing is in the cache."""
    return sum(
        states.shape[1] * states.shape[-1] * states.element_size()
        for layer in cache.layers
        if layer.is_initialized
        for states in (layer.keys, layer.values)
    )
