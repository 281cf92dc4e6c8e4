"""Several processes that run one model together, a part of each layer in each (tensor parallelism).

All of them decode the same prompt by the same code, and every pass needs all of them at once. So
they must draft the same trees and stop at the same token. Their logits come out of the same sums
and are equal as a rule, but nothing promises it: kernels may differ between devices, and clocks do.
Whatever a process finds out by itself and the others must know alike is therefore taken from the
first of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from transformers import PreTrainedModel

from tr_core.errors import UnsupportedModelError


class Peers:
    """The processes that run a model.

    Args:
        group: a torch.distributed group of them, or None for this process alone.
    """

    def __init__(self, group: Any = None) -> None:
        self._group = group
        self.size = 1 if group is None else dist.get_world_size(group)

    @classmethod
    def of(cls, model: PreTrainedModel) -> Peers:
        """Those that hold the other parts of a model that transformers has loaded with ``tp_plan``.

        Raises:
            UnsupportedModelError: the model is split over processes in another way, too.
        """
        mesh = getattr(model, "_device_mesh", None)
        if mesh is None or mesh.size() == 1:
            return cls()
        if mesh["tp"].size() < mesh.size():
            raise UnsupportedModelError(
                "Only tensor parallelism is known here (tp_plan), this model is cut by pp_size or"
                " fsdp_size as well: load it with DistributedConfig(tp_plan=“auto”)."
            )
        return cls(mesh["tp"].get_group())

    def agree(self, tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        """The first process's tensor, in all of them; shapes and dtypes must be equal. ``device``:
        of the model.
        """
        if self._group is None:
            return tensor
        shared = tensor.to(
            device, torch.int64 if tensor.dtype == torch.bool else tensor.dtype, copy=True
        )
        dist.broadcast(shared, group=self._group, group_src=0)
        return shared.to(tensor.device, tensor.dtype)

    def clock(self, device: torch.device) -> Callable[[], float]:
        """Seconds on the first process's clock."""
        if self._group is None:
            return time.perf_counter
        return lambda: float(
            self.agree(torch.tensor(time.perf_counter(), dtype=torch.float64), device)
        )
