"""A model in several parts: layers over devices, or each layer cut over processes.

Processes that share a model (tensor parallelism) decode the same prompt by the same code, and
every pass needs all of them. So they must draft the same trees and stop at the same token. Their
logits are equal as a rule, but nothing promises it: kernels differ between devices, and clocks do.
So whatever they must agree on is taken from the first process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import torch
import torch.distributed as dist
from transformers import PreTrainedConfig, PreTrainedModel

from tr_core.errors import ModelError, SettingsError, UnsupportedModelError
from tr_core.models import torchrun

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
DeviceMap = str | Mapping[str, str | int]


class ProcessGroup:
    """The processes that run a model together.

    Args:
        group: a torch.distributed group of them, or None for this process alone.
    """

    def __init__(self, group: Any = None) -> None:
        self._group = group
        self.size = 1 if group is None else dist.get_world_size(group)

    @classmethod
    def of(cls, model: PreTrainedModel) -> ProcessGroup:
        """The processes that hold the parts of a model loaded with ``tp_plan``.

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
        """The first process's tensor, in all of them; shapes and dtypes must be equal.

        ``device`` is the model's.
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


def check_split(
    device_map: DeviceMap | None, tensor_parallel: bool, device: str, dtype: str
) -> None:
    """Refuse what cannot go together, before anything is loaded.

    Raises:
        SettingsError: the map is malformed, or contradicts the device or the dtype.
        ModelError: accelerate is not installed, or there are no processes to be parallel in.
    """
    if device_map is None and not tensor_parallel:
        return
    if device_map is not None and tensor_parallel:
        raise SettingsError(
            "A model is split by layers or over processes, not both: omit --device-map, or do"
            " without torchrun."
        )
    if device != "auto":
        raise SettingsError(
            f"A split model chooses its devices itself: use --device auto instead of {device}."
        )
    if dtype == "fast":
        raise SettingsError(
            "The dtype fast is measured on a whole model: for a split one name a dtype, or use"
            " auto."
        )
    if tensor_parallel:
        if not torchrun.is_parallel():
            raise ModelError(
                "Tensor parallelism needs several processes: start them with torchrun"
                " --nproc-per-node N."
            )
        return
    if isinstance(device_map, str) and device_map not in DEVICE_MAPS:
        raise SettingsError(
            f"“{device_map}” is no way to split a model: use {', '.join(DEVICE_MAPS)}, or a JSON"
            " file of module names and devices."
        )
    if device_map is not None and not isinstance(device_map, str):
        _check_map(device_map)
    if find_spec("accelerate") is None:
        raise ModelError(
            "Splitting a model by layers needs the package accelerate: pip install accelerate."
        )


def check_plan(config: PreTrainedConfig) -> None:
    """Refuse to cut the layers of a model over processes if transformers does not know how.

    Raises:
        UnsupportedModelError: it has no plan for this family, or the key and value heads cannot be
            shared out evenly.
    """
    if not getattr(config, "base_model_tp_plan", None):
        raise UnsupportedModelError(
            f"transformers cannot cut the layers of the family “{config.model_type}” over"
            " processes: split the model by layers, with --device-map auto and without torchrun."
        )
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    if heads % torchrun.process_count():
        raise UnsupportedModelError(
            f"{heads} key and value heads cannot be divided evenly among"
            f" {torchrun.process_count()} processes: start a number that divides {heads}."
        )


def loading_options(device_map: DeviceMap | None, tensor_parallel: bool) -> dict[str, Any]:
    """What transformers' ``from_pretrained`` takes for a split; nothing for a whole model."""
    if tensor_parallel:
        # Young: only needed for a split.
        from transformers.distributed import DistributedConfig

        return {"distributed_config": DistributedConfig(tp_plan="auto")}
    if device_map is not None:
        return {"device_map": device_map if isinstance(device_map, str) else dict(device_map)}
    return {}


def entry_device(model: PreTrainedModel) -> torch.device:
    """Where token ids must be for a pass to begin.

    accelerate splits models by hooks: weights that it keeps elsewhere until they are needed are on
    no device now.
    """
    embeddings = model.get_input_embeddings()
    for module in (embeddings, model):
        device = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
        if device is not None:
            return torch.device(device)
    weight: Any = embeddings.weight
    return weight.device


def is_split(model: PreTrainedModel) -> bool:
    """Whether accelerate moves weights, or the layers' outputs, from device to device."""
    devices = set(_device_map(model).values())
    return len(devices) > 1 or "disk" in devices


def describe_devices(model: PreTrainedModel, device: torch.device, processes: ProcessGroup) -> str:
    """Where a model runs, in words for a run's record."""
    if processes.size > 1:
        return f"{processes.size} processes with {device.type}"
    if not is_split(model):
        return str(device)
    return " + ".join(
        sorted({str(torch.device(d)) if d != "disk" else d for d in _device_map(model).values()})
    )


def _device_map(model: PreTrainedModel) -> dict[str, Any]:
    return getattr(model, "hf_device_map", None) or {}


def _check_map(device_map: Mapping[Any, Any]) -> None:
    good = isinstance(device_map, Mapping) and all(
        isinstance(name, str) and isinstance(device, str | int) and not isinstance(device, bool)
        for name, device in device_map.items()
    )
    if not good or not device_map:
        raise SettingsError(
            'A device map must name modules and their devices, such as {"model.embed_tokens": 0, …,'
            ' "lm_head": 1}.'
        )
    for device in device_map.values():
        try:
            if device != "disk":
                torch.device(device)
        except RuntimeError as error:
            raise SettingsError(
                f"“{device}” in the device map is no device: use a number, cpu, or disk."
            ) from error
