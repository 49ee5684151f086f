"""quant.scale of the candidate's own file: its whole numbers are the reference's, and what one is worth is not."""

from collections.abc import Iterator

import torch

from probe.diagnose.as_stored import HALF_A_STEP, own_of, worst_in_steps
from probe.diagnose.case import Case
from probe.diagnose.edits import taking
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.matrices import matrices
from probe.diagnose.multiplied import plainly
from probe.replay.program import Call, Edit, Leaf
from probe.targets.stored import StoredWeight

CLEARLY = 0.4
"""Steps by which a row's or a column's numbers are off in the mean for its factor's sake. Rounding to the nearest moves
one by 0.2 at most, of int8 and int4 alike (as in as_stored)."""


def misread(case: Case) -> Iterator[Hypothesis]:
    """quant.scale: one factor for the whole matrix, or one a row or a column."""
    products = {matrix.leaf: matrix for matrix in matrices(case.program)}
    for leaf in case.program.leaves:
        own = own_of(case, leaf)
        if own is None or own.step is None or leaf.tensor.dim() != 2:
            continue
        factors = factors_of(leaf.tensor, own)
        if factors is None:
            continue
        product, edits = products.get(leaf), dict[Call, Edit]()
        if product and own.rounding:
            edits = {product.call: taking(product.call, product.given, plainly(own.rounding))}
        yield _hypothesis(leaf, own.values, own.kind, factors, edits)


def factors_of(reference: torch.Tensor, own: StoredWeight) -> torch.Tensor | None:
    """How many times too large the scales of rows are, or those of columns; see `_factors`."""
    if own.step is None:
        return None
    along = (_factors(reference, own.values, own.step, axis) for axis in (1, 0))
    return next((found for found in along if found is not None), None)


def _factors(reference: torch.Tensor, own: torch.Tensor, step: torch.Tensor, axis: int) -> torch.Tensor | None:
    """How many times too large the scales are, along rows (axis 1) or columns, 1 where no more than rounding shows;
    None where that is not all, or nothing."""
    with torch._C.DisableTorchFunction():
        reference, step = reference.detach().double(), step.double().abs().clamp(min=1e-300)
        squares = reference.square().sum(axis, keepdim=True).clamp(min=1e-300)
        factors = (own * reference).sum(axis, keepdim=True) / squares
        off = (factors - 1).abs() * (reference / step).square().mean(axis, keepdim=True).sqrt()
        factors = torch.where(off > CLEARLY, factors, 1.0)
        if not (factors != 1).any() or not factors.all():
            return None
        rounded = worst_in_steps(reference, own / factors, step / factors) <= HALF_A_STEP
        return factors.flatten() if rounded else None


def _hypothesis(leaf: Leaf, own: torch.Tensor, kind: str, factors: torch.Tensor, edits: dict[Call, Edit]) -> Hypothesis:
    wrong = factors[factors != 1]
    typical = float(wrong.median())
    which = "its scale is" if len(wrong) == len(factors) else f"{len(wrong)} of its {len(factors)} scales are"
    return Hypothesis(
        "quant.scale",
        lambda _: Plan(edits, {leaf: own.to(leaf.tensor.dtype)}),
        lambda _: (
            f"{leaf.name} is quantized ({kind}), and {which} {typical:.4g} times what the reference's numbers need: "
            "look at how scales are computed and stored"
        ),
        (True,),
        reference_value=1.0,
        candidate_value=lambda _: typical,
    )


FAMILIES = [misread]
