"""How much a span rounds with a hypothesis in it: sharper scores and larger values round more than the reference's own.

The floor of a place is the rounding of what the reference computes there. A candidate that computes something else
rounds otherwise, so the span is run in the candidate's dtype once as it is, and once with the hypothesis.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch._C import _len_torch_function_stack
from torch.overrides import TorchFunctionMode, _pop_mode_temporarily

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import UNFIT, Plan
from probe.replay.arithmetic import InDtype
from probe.replay.program import Leaf
from probe.replay.summation import is_sum_of_products


def rounds_more(case: Case, plan: Plan) -> float:
    """Times the rounding of the reference's own computation; 1 where it cannot be told, or is less."""
    if case.rounded is None or plan.terms:
        return 1.0
    narrow: torch.dtype = getattr(torch, case.error.pair.sources[0].tap.dtype)
    try:
        without, within = (_rounding(case, one, narrow) for one in (Plan(), plan))
    except UNFIT:
        return 1.0
    return max(1.0, within / without) if 0 < without < within < float("inf") else 1.0


def _rounding(case: Case, plan: Plan, narrow: torch.dtype) -> float:
    """||low precision - float64|| over the elements that count."""
    exact = plan.run(case)
    given = plan.given
    leaves = {leaf: given.get(leaf, leaf.tensor) for leaf in case.program.leaves}
    with _instead(_Narrow(narrow)), torch.no_grad():
        low = case.program.run_anew(plan.edits, {leaf: _as_held(leaf, x, narrow) for leaf, x in leaves.items()})
    return float(torch.linalg.vector_norm((low.double() - exact.double())[case.counts]))


def _as_held(leaf: Leaf, tensor: torch.Tensor, narrow: torch.dtype) -> torch.Tensor:
    """A weight in the candidate's dtype; a tap too, where that dtype has all its numbers, else in float32."""
    if not tensor.is_floating_point():
        return tensor
    small = tensor.detach().to(narrow)
    if leaf.is_weight or torch.equal(small.to(tensor.dtype), tensor):
        return small
    return tensor.float() if tensor.dtype is torch.float64 else tensor


class _Narrow(InDtype):
    """What was written down in float64 is of the narrow dtype again: casts to float64, and what products are given."""

    def __init__(self, narrow: torch.dtype) -> None:
        super().__init__(narrow)
        self._narrow = narrow

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [x for x in (*args, *(kwargs or {}).values()) if isinstance(x, torch.Tensor) and x.is_floating_point()]
        mixed = len({x.dtype for x in given}) > 1 and is_sum_of_products(getattr(func, "__name__", ""))
        named = {key: self._as_it_was(value, mixed) for key, value in (kwargs or {}).items()}
        return super().__torch_function__(func, types, tuple(self._as_it_was(value, mixed) for value in args), named)

    def _as_it_was(self, value: Any, mixed: bool) -> Any:
        if mixed and isinstance(value, torch.Tensor) and value.is_floating_point():
            return value.to(self._narrow)
        return self._narrow if value is torch.float64 else value


@contextmanager
def _instead(mode: TorchFunctionMode) -> Iterator[None]:
    """Within this block, this mode in the place of the replay's precision."""
    with ExitStack() as stack:
        for _ in range(_len_torch_function_stack()):
            stack.enter_context(_pop_mode_temporarily())
        stack.enter_context(mode)
        yield
