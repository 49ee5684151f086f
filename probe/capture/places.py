"""Where tensors lie in memory, and whether torch knows that their values have changed."""

from collections.abc import Iterable

import torch

Places = frozenset[tuple[int, int]]


def memory(tensors: Iterable[torch.Tensor]) -> Places:
    """Addresses, each with a number of elements: equal for a view of all of a tensor."""
    places = set()
    with torch._C.DisableTorchFunction():  # or each question is asked of every mode
        for tensor in tensors:
            try:
                places.add((tensor.data_ptr(), tensor.numel()))
            except (RuntimeError, ValueError):  # a tensor without memory of its own
                places.add((id(tensor), -1))
    return frozenset(places)


def version(tensor: torch.Tensor) -> int | None:
    """How often it was written into; None for inference tensors, of which torch does not count it."""
    return None if tensor.is_inference() else tensor._version
