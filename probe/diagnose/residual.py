"""What is added to the residual stream, and with which factor."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from probe.diagnose.case import Case
from probe.diagnose.experts import is_mixture
from probe.diagnose.hypothesis import Hypothesis, Plan, changed
from probe.diagnose.values import ADD, MULTIPLY
from probe.replay.program import Call, Edit, Leaf, Result, Value

HELPS = 0.9
"""Of the error before: a factor that leaves more than this is not tried."""


def sums(case: Case) -> list[Call]:
    """Additions of two tensors (B, T, C) or (N, C), neither a weight nor both embeddings, outside of mixtures."""
    found = []
    for call in case.program.calls:
        if call.name not in ADD or len(call.args) < 2 or len(call.inputs) != 2:
            continue
        shapes = {tuple(case.program.value(value).shape) for value in call.inputs}
        weights = any(isinstance(value, Leaf) and value.is_weight for value in call.inputs)
        embeddings = all(_is_embedding(case.model, value) for value in call.inputs)
        same = len(shapes) == 1 and len(next(iter(shapes))) in (2, 3)
        if same and not weights and not embeddings and not is_mixture(case.model, call.module):
            found.append(call)
    return found


def _is_embedding(model: nn.Module, value: Value) -> bool:
    if isinstance(value, Result):
        return value.call.name == "embedding"
    name = value.name.rpartition(":")[0]
    return name in dict(model.named_modules()) and isinstance(model.get_submodule(name), nn.Embedding)


def scale(case: Case) -> Iterator[Hypothesis]:
    """residual.scale: one of two summands with another factor."""
    for call in sums(case):
        for position in (0, 1):
            factor = _best_factor(case, call, position)
            if factor is not None:
                yield scaled(call, position, factor)


def times(position: int, factor: float) -> Edit:
    def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return function(*args[:position], args[position] * factor, *args[position + 1 :], **kwargs)

    return edit


def _best_factor(case: Case, call: Call, position: int) -> float | None:
    """By least squares, twice, since a norm may follow; None where it does not help."""
    factor, counts = 1.0, case.counts
    for _ in range(4):
        here = Plan({call: times(position, factor)}).run(case)
        slope = (Plan({call: times(position, factor + 1e-4)}).run(case) - here)[counts] / 1e-4
        size = float(slope.square().sum())
        if not size > 0:
            return None
        factor += float((slope * (case.candidate - here)[counts]).sum()) / size
    after = case.distance(Plan({call: times(position, factor)}).run(case))
    return factor if abs(factor) > 1e-3 and after <= HELPS * case.before else None


def scaled(call: Call, position: int, factor: float) -> Hypothesis:
    present = factor_of(call.inputs[position])
    return Hypothesis(
        "residual.scale",
        lambda value: Plan({call: times(position, value / present)}),
        lambda value: (
            f"what is added to the residual stream is multiplied by {value:.3g} where the reference multiplies it by "
            f"{present:.3g}: look for a residual multiplier of the config that is not read"
        ),
        tuple(sorted(present * factor * near for near in (0.9, 1.0, 1.1))),
        scale="linear",
        reference_value=present,
        usual=(float(f"{present * factor:.1e}"),),
        module=call.module,
    )


def factor_of(value: Value) -> float:
    """The constant that a summand is multiplied by already."""
    if isinstance(value, Leaf) or value.call.name not in MULTIPLY:
        return 1.0
    numbers = [argument for argument in value.call.args if isinstance(argument, (int, float)) and argument]
    return float(numbers[0]) if len(numbers) == 1 else 1.0


def branch_scale(case: Case) -> Iterator[Hypothesis]:
    """residual.scale where a place is a branch's output in the reference, and a multiple of it here."""
    result = case.program.result
    ours, theirs = case.exact[case.counts], case.candidate[case.counts]
    if isinstance(result, Leaf) and not result.is_weight and case.error.pair.reference.name.endswith((":out", ":in")):
        size = float(ours.double().square().sum())
        module = _gives_on(case, result)
        if module and size > 0:
            factor = float((ours * theirs).sum()) / size
            if factor:
                yield _branch_scale(result, module, factor)


def _gives_on(case: Case, leaf: Leaf) -> str:
    """Whose code hands on what a module within gave: as its own output, or to a norm behind its branch; else ""."""
    tap, maker = case.error.pair.reference, leaf.name.rpartition(":")[0]
    if tap.name.endswith(":out"):
        return tap.module if tap.module and leaf.name.startswith(tap.module + ".") else ""
    is_product = leaf.name.endswith(":out") and _has_matrix(case.model, maker) and not _is_embedding(case.model, leaf)
    return case.error.module if is_product and maker.count(".") > tap.module.count(".") else ""


def _has_matrix(model: nn.Module, name: str) -> bool:
    return any(weight.dim() > 1 for weight in dict(model.named_modules())[name].parameters(recurse=False))


def _branch_scale(leaf: Leaf, module: str, factor: float) -> Hypothesis:
    return Hypothesis(
        "residual.scale",
        lambda value: changed(leaf, lambda given: given * value),
        lambda value: f"what {module} gives is multiplied by {value:.3g}: look for a multiplier that the port adds",
        tuple(sorted(factor * near for near in (0.9, 1.0, 1.1))),
        scale="linear",
        reference_value=1.0,
        module=module,
    )


FAMILIES = [scale, branch_scale]
