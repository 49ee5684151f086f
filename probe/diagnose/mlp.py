"""Feed-forward blocks: another activation, gate and up exchanged."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from probe.diagnose.activations import ACTIVATIONS, Activation, activations
from probe.diagnose.cap import caps
from probe.diagnose.case import Case
from probe.diagnose.edits import is_same, recomputed, result
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.values import MULTIPLY
from probe.replay.program import Program, Result, Value

NONE = "none"
CONFUSED = ("GELU (erf)", "GELU (tanh)", "quick GELU, x sigmoid(1.702 x)", "SiLU")
_HALVES = {"chunk", "split", "tensor_split"}
_FUSED = ("gate_up", "gate_and_up", "w13", "w1w3")


def activation(case: Case) -> Iterator[Hypothesis]:
    """mlp.activation: another function, in all places of a module at once (its experts, for one); no cap's tanh."""
    alike: dict[tuple[str, str], list[Activation]] = defaultdict(list)
    capped = [call for cap in caps(case.program) for call in (cap.tanh, cap.times)]
    for one in activations(case.program):
        if one.calls[-1] not in capped:
            alike[one.calls[-1].module, one.name].append(one)
    for (module, name), places in alike.items():
        yield _activation(case.program, module, name, places)


def _activation(program: Program, module: str, name: str, places: Sequence[Activation]) -> Hypothesis:
    def plan(other: str) -> Plan:
        function: Callable[[Tensor], Tensor] = ACTIVATIONS.get(other, lambda x: x)
        return _all(Plan(recomputed(program, one.result, [one.x], lambda _, x: function(x))) for one in places)

    return Hypothesis(
        "mlp.activation",
        plan,
        lambda other: (
            f"the activation is {other} where the reference has {name}: "
            "look for how the port reads the config's hidden_act"
        ),
        tuple(other for other in (*ACTIVATIONS, NONE) if other != name),
        reference_value=name,
        usual=tuple(other for other in CONFUSED if other != name) if name in CONFUSED else (),
        module=module,
    )


def _all(plans: Iterator[Plan]) -> Plan:
    whole = Plan()
    for one in plans:
        whole = one.joined(whole)
    return whole


def exchanged(case: Case) -> Iterator[Hypothesis]:
    """mlp.gate_up_swapped: the activation stands on the other one of two factors."""
    program = case.program
    gated: dict[str, list[tuple[Activation, Value, Result]]] = defaultdict(list)
    for one in activations(program):
        for product in program.calls:
            factors = [value for value in product.inputs if not is_same(value, one.result)]
            if product.name in MULTIPLY and len(product.inputs) == 2 and len(factors) == 1:
                other, x = program.value(factors[0]), program.value(one.x)
                if other.shape == x.shape and not is_same(factors[0], one.x):
                    gated[product.module].append((one, factors[0], Result(product)))
    for module, places in gated.items():
        yield _exchanged(program, module, places)


def _exchanged(program: Program, module: str, places: Sequence[tuple[Activation, Value, Result]]) -> Hypothesis:
    def plan(_: None) -> Plan:
        return _all(
            Plan(recomputed(program, product, [one.x, up], _on_the_other(ACTIVATIONS[one.name])))
            for one, up, product in places
        )

    return _hypothesis(plan, module)


def _on_the_other(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda _, gate, up: function(up) * gate


def halves(case: Case) -> Iterator[Hypothesis]:
    """mlp.gate_up_swapped where taps part gate and up: the halves of experts' results, or of one matrix's rows."""
    last = case.program.result
    if not isinstance(last, Result):
        return
    call = last.call
    stacked = [leaf for leaf in case.program.leaves if leaf.is_weight and leaf.tensor.dim() == 3]
    if call.name in _HALVES and stacked and last.path in ((0,), (1,)):
        yield _hypothesis(lambda _: Plan({call: result(lambda parts: tuple(reversed(parts)))}), call.module)
    fused = [leaf for leaf in case.program.leaves if leaf.is_weight and any(n in leaf.name for n in _FUSED)]
    if call.name == "linear" and fused:
        turned = {leaf: torch.cat(leaf.tensor.detach().chunk(2)[::-1]) for leaf in fused}
        yield _hypothesis(lambda _: Plan(leaves=turned), call.module)


def _hypothesis(plan: Callable[[None], Plan], module: str) -> Hypothesis:
    return Hypothesis(
        "mlp.gate_up_swapped",
        plan,
        lambda _: (
            "gate and up are exchanged, so that the activation stands on up: "
            "look for the order in which the converter joins or splits them"
        ),
        module=module,
    )


FAMILIES = [activation, exchanged, halves]
