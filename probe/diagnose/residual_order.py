"""What is added to the residual stream: one summand less than in the reference, or another tensor."""

from collections.abc import Iterator

import torch
from torch import Tensor

from probe.diagnose.case import Case
from probe.diagnose.edits import only
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.residual import sums
from probe.replay.program import Leaf

_NORMS = {"layer_norm", "rms_norm", "rsqrt"}


def order(case: Case) -> Iterator[Hypothesis]:
    """residual.order: a summand left out, or another tensor of the layer in its place or added to it."""
    for call in sums(case):
        for position in (0, 1):
            if case.error.pair.reason != "weights":  # else it may be a tap of the block that holds a norm's weight
                yield _order(Plan({call: only(1 - position)}), call.module)
            operand = call.inputs[position]
            if isinstance(operand, Leaf):
                yield from _others(case, operand, call.module, replaces=True)
    if not sums(case) and any(call.name in _NORMS for call in case.program.calls):
        for leaf in case.program.leaves:
            if leaf.name and not leaf.is_weight:
                yield from _others(case, leaf, case.error.module.rpartition(".")[0], replaces=False)


def _others(case: Case, leaf: Leaf, module: str, *, replaces: bool) -> Iterator[Hypothesis]:
    for name, tensor in case.earlier().items():
        if name != leaf.name and tensor.shape == leaf.tensor.shape:
            now: Tensor = tensor.to(leaf.tensor)
            yield _order(Plan(leaves={leaf: leaf.tensor + now}), module)
            if replaces and not torch.equal(now, leaf.tensor):
                yield _order(Plan(leaves={leaf: now}), module)


def _order(plan: Plan, module: str) -> Hypothesis:
    return Hypothesis(
        "residual.order",
        lambda _: plan,
        lambda _: (
            f"{module} adds its branches to the residual stream in another order: look whether it takes the stream "
            "before or after the norm, and whether attention and the MLP stand side by side or one after the other"
        ),
        module=module,
    )


FAMILIES = [order]
