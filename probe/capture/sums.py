"""A tensor's minimum, maximum, sum and norm, computed where the tensor is; what they cannot tell is told elsewhere."""

import torch

NUM_SUMS = 4


def can_be_summed(dtype: torch.dtype, num_elements: int) -> bool:
    """Floating-point numbers that devices can reduce; the statistics of all others are computed on the host."""
    return dtype.is_floating_point and dtype.itemsize > 1 and num_elements > 0


def sums(tensor: torch.Tensor) -> torch.Tensor:
    """[4]: minimum, maximum, sum and l2 norm, in float32 (of float64 in float64). Nothing waits for them here.

    A NaN or an infinity anywhere, or squares that leave float32, make them what `probe.dump.statistics.from_sums`
    refuses: who has the bits must look at all of them.
    """
    kind = sums_dtype(tensor.dtype)
    low, high = torch.aminmax(tensor)
    norm = torch.linalg.vector_norm(tensor, dtype=kind)
    return torch.stack([low.to(kind), high.to(kind), tensor.sum(dtype=kind), norm])


def sums_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
