"""Whether this process runs alone or torchrun started it as one of several. No torch here."""

from __future__ import annotations

import os
import sys

# torchrun sets all of these; a cluster's own launcher may set some and mean something else.
_SET_BY_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def process_count() -> int:
    """How many processes torchrun started; 1 without it."""
    return (
        int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in _SET_BY_TORCHRUN) else 1
    )


def is_parallel() -> bool:
    """Whether torchrun started several processes."""
    return process_count() > 1


def rank() -> int:
    """Number of this process among them, from 0; 0 if it is alone."""
    return int(os.environ["RANK"]) if is_parallel() else 0


def leave() -> None:
    """Take leave of the others, if they were ever met."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
