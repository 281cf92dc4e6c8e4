"""A function recorded once as a graph of the device's work, and played again without Python.

The function takes no arguments and works on tensors that stay where they are. Only devices whose
torch module has graphs can do this.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch

# Kernels are chosen and workspaces made in the first call; a second one shows what the graph will
# do.
_WARM_UPS = 2
# One code object is compiled for one shape, so this is only a guard against a shape that changes
# unnoticed.
_RECOMPILES = 2


def can_capture(device: torch.device) -> bool:
    """Whether work on this device can be recorded."""
    return hasattr(torch.get_device_module(device), "CUDAGraph")


def graph_pool(device: torch.device) -> Any:
    """Memory for several graphs; a result lasts until another of them is replayed."""
    return torch.get_device_module(device).graph_pool_handle() if can_capture(device) else None


class Captured:
    """The recorded ``function``: a call replays the graph and returns the same, refilled tensors.

    Recording runs the function several times, so the caller puts back what it changes.

    Raises:
        RuntimeError: the function does what no graph can hold, such as a copy to the host.
    """

    def __init__(self, function: Callable[[], Any], device: torch.device, pool: Any) -> None:
        module = torch.get_device_module(device)
        with module.device(device):
            side = module.Stream()
            side.wait_stream(module.current_stream())
            with module.stream(side):
                for _ in range(_WARM_UPS):
                    function()
            module.current_stream().wait_stream(side)
            self._graph = module.CUDAGraph()
            # Other visitors' threads may go on using the device meanwhile.
            with module.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
                self._result = function()

    def __call__(self) -> Any:
        self._graph.replay()
        return self._result


def compiled(
    function: Callable[[Any], Any], owner: Any, backend: str = "inductor"
) -> Callable[[], Any]:
    """``function(owner)`` through ``torch.compile``: one graph of fixed shapes, or an error.

    Raises:
        RuntimeError: on its first call, if the function is no single graph.
    """
    # torch counts recompilations by code object, and every static step has a shape of its own.
    code = function.__code__.replace()
    own = types.FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    run = torch.compile(own, fullgraph=True, dynamic=False, backend=backend)

    def call() -> Any:
        with torch._dynamo.config.patch(recompile_limit=_RECOMPILES):
            return run(owner)

    return call
