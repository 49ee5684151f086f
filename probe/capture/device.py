"""A tensor leaves its device on a stream beside the model's, while the model goes on.

Nothing here knows which device that is: a kind of device that torch gives streams (torch.cuda, torch.xpu, torch.mtia,
one that a package has registered) is used by its own module, and one without (MPS) is copied from synchronously.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from probe.errors import ProbeError


@cache
def has_streams(device: torch.device) -> bool:
    module = getattr(torch, device.type, None)
    return device.type != "cpu" and all(hasattr(module, name) for name in ("Stream", "stream", "current_stream"))


@dataclass(frozen=True, slots=True)
class Departure:
    """A copy that is under way. It holds the memory that is copied from: keep it until `wait` has returned."""

    source: torch.Tensor
    done: Any
    """The event that follows the copy."""

    def wait(self) -> None:
        """Until the copy has arrived. Leaves the interpreter to others meanwhile."""
        self.done.synchronize()


class SideStreams:
    """One stream for each device that tensors come from."""

    def __init__(self) -> None:
        self._streams: dict[torch.device, Any] = {}

    def send(self, tensor: torch.Tensor, memory: torch.Tensor) -> Departure:
        """Begin to copy a tensor in C order into `memory` (uint8 on the host, best if pinned), and wait for nothing.

        The model's own stream makes a copy on the device first: what it does to the tensor afterwards, in place, comes
        after that, and need not wait for the way to the host. ProbeError while a graph is captured: no kernel runs.
        """
        module = getattr(torch, tensor.device.type)
        capturing = getattr(module, "is_current_stream_capturing", None)
        if capturing is not None and capturing():
            raise ProbeError("nothing has values while a graph of the device's work is captured")
        side = self._streams.get(tensor.device)
        if side is None:
            side = self._streams[tensor.device] = module.Stream(tensor.device)
        source = tensor.clone(memory_format=torch.contiguous_format)
        side.wait_stream(module.current_stream(tensor.device))
        with module.stream(side):
            memory.view(source.dtype).view(source.shape).copy_(source, non_blocking=True)
            return Departure(source, side.record_event())
