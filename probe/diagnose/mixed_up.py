"""Quantized weights of the candidate's own file that are another weight's numbers, turned ones, or moved ones."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from probe.diagnose.as_stored import HALF_A_STEP, own_of, worst_in_steps
from probe.diagnose.case import Case
from probe.diagnose.edits import taking
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.matrices import matrices
from probe.diagnose.misread import factors_of
from probe.diagnose.multiplied import plainly
from probe.replay.program import Call, Edit, Leaf
from probe.targets.stored import StoredWeight


def mixed_up(case: Case) -> Iterator[Hypothesis]:
    """linear.weight_transposed, linear.weight_swapped, and quant.scale of a wrong zero point."""
    products = {matrix.leaf: matrix for matrix in matrices(case.program)}
    for leaf in case.program.leaves:
        own = own_of(case, leaf)
        if own is None or own.step is None or leaf.tensor.dim() != 2 or _is_rounded(own, leaf.tensor):
            continue
        product, edits = products.get(leaf), dict[Call, Edit]()
        if product and own.rounding:
            edits = {product.call: taking(product.call, product.given, plainly(own.rounding))}
        for cause, told, value in _what(case, leaf, own):
            yield _hypothesis(cause, leaf, own, edits, told, value)


def _what(case: Case, leaf: Leaf, own: StoredWeight) -> Iterator[tuple[str, str, str]]:
    """Causes in words, and the candidate's value."""
    shape = leaf.tensor.shape
    if shape[0] == shape[1] and _is_rounded(own, leaf.tensor.T):
        yield "linear.weight_transposed", "is stored transposed", "transposed"
    for name, other in case.model.named_parameters():
        if name == leaf.name or other.shape != shape:
            continue
        if _is_rounded(own, other):
            yield "linear.weight_swapped", f"is stored with the numbers of {name}", name
        elif factors_of(other, own) is not None:
            yield "linear.weight_swapped", f"is stored with the whole numbers of {name}, not with its scales", name
    moved = _moved(own, leaf.tensor)
    if moved:
        how = f"with a zero point that is off by {abs(moved)}: all its numbers are moved by so many steps"
        yield "quant.scale", f"is stored {how}", f"zero point {moved:+d}"


def _is_rounded(own: StoredWeight, reference: torch.Tensor) -> bool:
    assert own.step is not None
    return worst_in_steps(reference, own.values, own.step) <= HALF_A_STEP


def _moved(own: StoredWeight, reference: torch.Tensor) -> int:
    """Whole numbers by which all are too small, where that is all; else 0."""
    assert own.step is not None
    with torch._C.DisableTorchFunction():
        steps = ((reference.detach().double() - own.values.double()) / own.step.double()).mean()
        moved = round(float(steps))
        return moved if moved and _is_rounded(replace(own, values=own.values + moved * own.step), reference) else 0


def _hypothesis(
    cause: str, leaf: Leaf, own: StoredWeight, edits: dict[Call, Edit], told: str, value: str
) -> Hypothesis:
    return Hypothesis(
        cause,
        lambda _: Plan(edits, {leaf: own.values.to(leaf.tensor.dtype)}),
        lambda _: f"{leaf.name} ({own.kind}) {told}: look at how weights are quantized and stored",
        (True,),
        reference_value=leaf.name,
        candidate_value=lambda _: value,
    )
