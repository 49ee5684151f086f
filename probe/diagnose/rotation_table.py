"""The table of numbers that turns one tensor into another, where there is one."""

from dataclasses import dataclass

import torch

from probe.diagnose.rotation import Layout, pairs, rounded
from probe.diagnose.spin import CLOSE, NARROW


@dataclass(frozen=True)
class Table:
    """What turns one tensor into another."""

    numbers: torch.Tensor
    narrow: torch.dtype | None = None
    """See Turn."""


def table_between(before: torch.Tensor, after: torch.Tensor, layout: Layout) -> Table | None:
    """Numbers of one length that are equal on as many axes as can be; None where no such table does it.

    A tensor turned by one angle everywhere (minus itself, its halves exchanged) is no rotation by position.
    """
    z_before, z_after = pairs(before, layout), pairs(after, layout)
    if not _same_lengths(z_before.abs(), z_after.abs()):
        return None
    for narrow in (None, *NARROW):
        axes: tuple[int, ...] = ()
        numbers = _ratio(z_before, z_after, axes, narrow)
        if not _turns(z_before, z_after, numbers):
            continue
        for axis in range(z_before.dim() - 1):
            fewer = _ratio(z_before, z_after, (*axes, axis), narrow)
            if _turns(z_before, z_after, fewer):
                axes, numbers = (*axes, axis), fewer
        return None if numbers[..., 0].numel() == 1 else Table(numbers, narrow)
    return None


def _same_lengths(before: torch.Tensor, after: torch.Tensor) -> bool:
    """What is turned keeps its length, but for a factor and what rounding does: cheaply told."""
    sizes = [float(torch.linalg.vector_norm(one)) for one in (before, after)]
    if not sizes[0]:
        return False
    change = torch.linalg.vector_norm(after - before * (sizes[1] / sizes[0]))
    return float(change) <= (CLOSE + max(NARROW.values())) * sizes[1]


def _ratio(
    before: torch.Tensor, after: torch.Tensor, axes: tuple[int, ...], narrow: torch.dtype | None
) -> torch.Tensor:
    """The least-squares factor, of the length that all have in common; 1 where nothing is turned.

    With `narrow` it is the nearest number whose parts that dtype has; its length differs by what rounding does to it.
    """
    product, square = after * before.conj(), before.abs().square()
    length = after.abs().square().sum().sqrt() / square.sum().sqrt()
    if axes:
        product, square = product.sum(axes, keepdim=True), square.sum(axes, keepdim=True)
    size = product.abs()
    even = torch.where(size > 0, product / size.clamp(min=1e-300), torch.ones_like(product)) * length
    if narrow is None:
        return even
    free = rounded(torch.where(size > 0, product / square.clamp(min=1e-300), even), narrow)
    return torch.where((free.abs() - length).abs() <= NARROW[narrow] * length, free, even)


def _turns(before: torch.Tensor, after: torch.Tensor, table: torch.Tensor) -> bool:
    return bool((after - before * table).abs().square().sum().sqrt() <= CLOSE * after.abs().square().sum().sqrt())
