"""What happens when a device's memory is short: one sentence, and room again."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from tr_core.errors import MemoryShortError

# torch has no class of its own for a CPU without memory.
_CPU_SAYS = ("not enough memory", "can't allocate memory")


@contextmanager
def shortage_told(sentence: str) -> Iterator[None]:
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
    """Give back what nothing refers to any more, to the device too."""
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
    """Hand the system what the C library keeps free for later: glibc on its own hardly does; others
    need no asking.
    """
    with suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
