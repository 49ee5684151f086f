"""A tensor leaves its device on a stream beside the model's, while the model goes on.

The model's thread does no more than to make a copy on the device; what is computed of that, and its way to the host, is
the business of the thread that writes. Nothing here knows which device that is: a kind of device that torch gives
streams (torch.cuda, torch.xpu, torch.mtia, one that a package has registered) is used by its own module, and one
without (MPS) is copied from synchronously.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from probe.errors import ProbeError

Computed = Callable[[torch.Tensor], Sequence[torch.Tensor]]
"""What of a tensor is brought to the host."""


@cache
def has_streams(device: torch.device) -> bool:
    module = getattr(torch, device.type, None)
    return device.type != "cpu" and all(hasattr(module, name) for name in ("Stream", "stream", "current_stream"))


@dataclass(frozen=True, slots=True)
class Departure:
    """A tensor as it was when it was seen."""

    source: torch.Tensor
    """On its device, in C order."""
    made: Any
    """The event that follows its making."""


def departing(tensor: torch.Tensor) -> Departure:
    """What the model does to the tensor afterwards, in place, comes after the copy. Waits for nothing.

    ProbeError while a graph is captured: no kernel runs.
    """
    module = getattr(torch, tensor.device.type)
    capturing = getattr(module, "is_current_stream_capturing", None)
    if capturing is not None and capturing():
        raise ProbeError("nothing has values while a graph of the device's work is captured")
    with torch.no_grad():
        source = tensor.clone(memory_format=torch.contiguous_format)
    return Departure(source, module.current_stream(tensor.device).record_event())


class SideStreams:
    """One stream for each device that tensors come from; used by one thread."""

    def __init__(self) -> None:
        self._streams: dict[torch.device, Any] = {}

    def fetch(self, departure: Departure, compute: Computed) -> list[torch.Tensor]:
        """What `compute` makes of the tensor on its device, in pinned memory of the host. Waits until it is there."""
        device = departure.source.device
        module = getattr(torch, device.type)
        side = self._streams.get(device)
        if side is None:
            side = self._streams[device] = module.Stream(device)
        with torch.no_grad(), module.stream(side):
            side.wait_event(departure.made)
            there = compute(departure.source)
            here = [torch.empty(one.shape, dtype=one.dtype, pin_memory=True) for one in there]
            for one, place in zip(there, here, strict=True):
                place.copy_(one, non_blocking=True)
            done = side.record_event()
        done.synchronize()
        return here
