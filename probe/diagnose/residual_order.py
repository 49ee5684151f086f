"""What is added to the residual stream is something else than the reference adds."""

from collections.abc import Iterator

import torch

from probe.diagnose.case import Case
from probe.diagnose.edits import is_same, only, taking
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.residual import sums
from probe.diagnose.wire import Wire
from probe.replay.program import Call, Edit, Leaf, Program, Result, Value

_NORMS = {"layer_norm", "rms_norm", "rsqrt"}


def order(case: Case) -> Iterator[Hypothesis]:
    """residual.order: a summand left out, or another tensor of the layer in its place or added to it."""
    for call in sums(case):
        for position in (0, 1):
            operand = call.inputs[position]
            if case.error.pair.reason != "weights":  # else it may be a tap of the block that holds a norm's weight
                yield _order(_left_out(case, call, call.inputs[1 - position], only(1 - position)), call.module)
            if isinstance(operand, Leaf):
                yield from _others(case, operand, call.module, replaces=True)
    if not sums(case) and any(call.name in _NORMS for call in case.program.calls):
        for leaf in case.program.leaves:
            if leaf.name and not leaf.is_weight:
                yield from _others(case, leaf, case.error.module.rpartition(".")[0], replaces=False)


def handed_over(case: Case) -> Iterator[Hypothesis]:
    """residual.order: a norm is given another tensor of the layer, or the sum of two."""
    stream = case.program.result
    if isinstance(stream, Leaf) and stream.name and not stream.is_weight and _is_norm(case):
        for name, tensor in case.earlier().items():
            if name != stream.name and tensor.shape == stream.tensor.shape:
                wire = Wire(name, tensor.to(stream.tensor))
                for change in (wire.added_to, wire.given):
                    yield _order(Plan(place=change, wires=(wire,)), case.error.module)


def _is_norm(case: Case) -> bool:
    """Whether the place is the input of a module with one-dimensional weights alone."""
    tap = case.error.pair.reference
    return tap.is_input and {weight.dim() for weight in case.model.get_submodule(tap.module).parameters()} == {1}


def _left_out(case: Case, call: Call, kept: Value, instead: Edit) -> Plan:
    """One summand alone, for the calls on the way to the place: others that take the sum have taps of their own."""
    total = Result(call)
    if isinstance(kept, Leaf) and kept.name and not kept.is_weight and not is_same(total, case.program.result):
        return _wired(case.program, total, Wire(kept.name, kept.tensor), adds=False)
    return Plan({call: instead})


def _others(case: Case, leaf: Leaf, module: str, *, replaces: bool) -> Iterator[Hypothesis]:
    for name, tensor in case.earlier().items():
        if name != leaf.name and tensor.shape == leaf.tensor.shape:
            wire = Wire(name, tensor.to(leaf.tensor))
            yield _order(_wired(case.program, leaf, wire, adds=True), module)
            if replaces and not torch.equal(wire.given(leaf.tensor), leaf.tensor):
                yield _order(_wired(case.program, leaf, wire, adds=False), module)


def _wired(program: Program, taken: Value, wire: Wire, *, adds: bool) -> Plan:
    """The plan in which all calls that take a value take the wire's tensor, or the sum of both; other users do not."""
    change = wire.added_to if adds else wire.given
    users = [call for call in program.calls if any(is_same(value, taken) for value in call.inputs)]
    return Plan({call: taking(call, taken, change) for call in users}, wires=(wire,))


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


FAMILIES = [order, handed_over]
