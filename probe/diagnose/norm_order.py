"""norm.order: the sum is normed where the reference norms one summand and adds that: x + N(f) against N(x + f)."""

from collections.abc import Iterator

import torch
from torch import nn

from probe.diagnose.case import Case
from probe.diagnose.edits import is_same, recomputed
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.norm_site import Norm
from probe.diagnose.norm_written import norms
from probe.diagnose.residual import factor_of, sums
from probe.diagnose.values import MULTIPLY, bare
from probe.replay.program import Call, Result, Value


def order(case: Case) -> Iterator[Hypothesis]:
    """Where a norm's output and what it is added to are in one span, and the norm is a module that is one alone."""
    for norm in norms(case.program):
        module = case.model.get_submodule(norm.call.module)
        last = Result([norm.call, *norm.uses][-1])
        if list(module.children()) or {weight.dim() for weight in module.parameters()} != {1}:
            continue
        for call in sums(case):
            normed = [value for value in call.inputs if is_same(_unscaled(value), last)]
            others = [value for value in call.inputs if not is_same(_unscaled(value), last)]
            if len(normed) == len(others) == 1:
                yield _order(case, norm, module, call, others[0], factor_of(normed[0]))


def _unscaled(value: Value) -> Value:
    """What a number is multiplied with before it is added, or the value itself."""
    value = bare(value)
    is_scaled = isinstance(value, Result) and value.call.name in MULTIPLY and len(value.call.inputs) == 1
    return bare(value.call.inputs[0]) if is_scaled and isinstance(value, Result) else value


def _order(case: Case, norm: Norm, module: nn.Module, call: Call, other: Value, factor: float) -> Hypothesis:
    def added_first(_: torch.Tensor, given: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
        normed: torch.Tensor = module.forward(factor * given + added)
        return normed

    edits = recomputed(case.program, Result(call), [bare(norm.input), other], added_first)
    return Hypothesis(
        "norm.order",
        lambda _: Plan(edits),
        lambda _: (
            f"{norm.call.module} norms the sum where the reference norms what is added to the stream: "
            "look for the order of the norm and the residual connection"
        ),
        reference_value="norm, then add",
        candidate_value=lambda _: "add, then norm",
        module=norm.call.module,
    )
