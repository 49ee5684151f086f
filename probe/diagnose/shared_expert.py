"""The expert that all tokens share, beside those that the router chooses: left out, or added without its gate."""

from collections.abc import Iterator

import torch

from probe.diagnose.case import Case
from probe.diagnose.edits import only, result
from probe.diagnose.experts import is_mixture, num_experts
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.values import ADD
from probe.replay.program import Call, Leaf, Value

OPEN = 10.0
"""A gate's logit from which on its sigmoid is 1 but for 5e-5."""


def shared_expert(case: Case) -> Iterator[Hypothesis]:
    """moe.shared_expert."""
    for call in case.program.calls:
        if is_mixture(case.model, call.module):
            yield from _left_out(case, call)
            if call.name == "sigmoid" and case.program.value(call.inputs[0]).shape[-1] == 1:
                ungated = Plan({call: result(torch.ones_like)})
                yield _hypothesis(ungated, call.module, "the shared expert's gate is not applied")
    yield from _itself(case)


def _left_out(case: Case, call: Call) -> Iterator[Hypothesis]:
    if call.name in ADD and len(call.args) == 2 and len(call.inputs) == 2:
        for position in (0, 1):
            routed = _is_routed(case, call.inputs[1 - position])
            if routed and not _is_routed(case, call.inputs[position]):
                yield _hypothesis(Plan({call: only(1 - position)}), call.module, "the shared expert is not added")


def _is_routed(case: Case, value: Value) -> bool:
    """Whether it comes from experts that are many."""
    seen: set[int] = set()
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, Leaf):
            module = one.name.rpartition(":")[0] if not one.is_weight else one.name.rpartition(".")[0]
            if any(_holds_experts(case, name) for name in (module, module.rpartition(".")[0])):
                return True
        elif id(one.call) not in seen:
            seen.add(id(one.call))
            stack += one.call.inputs
    return False


def _holds_experts(case: Case, name: str) -> bool:
    try:
        return num_experts(case.model.get_submodule(name)) > 1
    except AttributeError:
        return False


def _itself(case: Case) -> Iterator[Hypothesis]:
    """The shared expert's own output is zero, or its gate's logit so large that the gate is open."""
    module = case.error.pair.reference.name.rpartition(":")[0]
    parent = module.rpartition(".")[0]
    beside = is_mixture(case.model, parent) and not is_mixture(case.model, module)
    calls = case.program.calls
    if not beside or not calls:
        return
    theirs = case.candidate[case.counts]
    if theirs.numel() and not theirs.any():
        yield _hypothesis(Plan({calls[-1]: result(torch.zeros_like)}), module, "what the shared expert gives is zero")
    elif theirs.numel() and case.exact.shape[-1] == 1 and theirs.min() == theirs.max() >= OPEN:
        logit = float(theirs[0])
        opened = Plan({calls[-1]: result(lambda now: torch.full_like(now, logit))})
        yield _hypothesis(opened, module, "the shared expert's gate is open for all tokens")


def _hypothesis(plan: Plan, module: str, what: str) -> Hypothesis:
    return Hypothesis(
        "moe.shared_expert",
        lambda _: plan,
        lambda _: f"{what}: look for how the port adds the shared expert, and for its keys of the checkpoint",
        module=module,
    )
