"""A product with a stored matrix as the file's kernels make it: what is multiplied by the matrix may be rounded too."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from probe.diagnose.blocks import Rounding, lost_of_sums, rounding_of
from probe.diagnose.edits import taking
from probe.diagnose.matrices import Matrix
from probe.replay.program import Call, Edit
from probe.targets.stored import StoredWeight


def multiplied(product: Matrix, own: StoredWeight, lean: float = 0.0) -> dict[Call, Edit]:
    """The product as the file's kernels make it, which may round what is multiplied by the matrix; see rounding_of."""
    rounding = own.rounding or rounding_of(own.kind, lean)
    if rounding is None:
        return {}
    rounded = taking(product.call, product.given, plainly(rounding))
    return {product.call: rounded if own.offset is None else _with_sums(product, rounded, own.offset, lean)}


def _with_sums(product: Matrix, rounded: Edit, offset_OB: torch.Tensor, lean: float) -> Edit:
    """B blocks, whose offsets are multiplied by sums that are rounded by themselves."""
    lost = plainly(partial(lost_of_sums, lean=lean))

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        seen: list[torch.Tensor] = []

        def noted(given: torch.Tensor) -> torch.Tensor:
            seen.append(given)
            return given

        taking(product.call, product.given, noted)(lambda *given, **named: None, args, kwargs)
        more = lost(seen[0])
        return rounded(function, args, kwargs) + more @ offset_OB.to(more).T

    return edit


def plainly(rounding: Rounding) -> Rounding:
    """Computed in the dtype that it has, whatever a replay computes in."""

    def rounded(given: torch.Tensor) -> torch.Tensor:
        with torch._C.DisableTorchFunction():  # a replay's mode would compute in float64
            return rounding(given)

    return rounded
