"""precision.storage of attention: keys and values kept in a narrower dtype, and what is multiplied by them with it."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from probe.diagnose.case import Case
from probe.diagnose.core import Core, cores
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.replay.program import Call, Edit

NARROW = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def narrow_attention(case: Case) -> Iterator[Hypothesis]:
    """As ggml multiplies by a cache of that dtype: queries are rounded to it, and probabilities."""
    if case.rounded is None:
        yield from (_narrow(core) for core in cores(case.program) if core.mix is not None)


def _narrow(core: Core) -> Hypothesis:
    products: list[Call] = [call for call in (core.product, core.mix) if call is not None]
    return Hypothesis(
        "precision.storage",
        lambda kind: Plan({call: _rounding(NARROW[kind]) for call in products}),
        lambda kind: f"harmless: keys and values are kept in {kind}, and multiplied in it",
        tuple(NARROW),
        reference_value="float32",
        module=core.module,
    )


def _rounding(dtype: torch.dtype) -> Edit:
    """The call with each of its tensors rounded."""

    def rounded(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        with torch._C.DisableTorchFunction():  # a replay in float64 rounds nothing by itself
            return value.float().to(dtype).to(value.dtype)

    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return function(*(rounded(one) for one in args), **kwargs)

    return edit
