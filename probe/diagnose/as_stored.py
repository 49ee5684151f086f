"""Products with weights as the candidate's own file has them: quantized, or narrower than the reference's.

What multiplies by them may be rounded too, as ggml does it on a processor. Both are known to the last bit, so that what
is left of the error is the floor's; what a row lacks beyond what its type leaves is no rounding, and is not offered.
"""

from collections.abc import Iterator

import torch

from probe.diagnose.blocks import LEAST_DB, Rounding, rounding_of
from probe.diagnose.case import Case
from probe.diagnose.edits import taking
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.matrices import matrices
from probe.replay.program import Call, Edit, Leaf
from probe.targets.stored import StoredWeight

NARROW = {"F16": "float16", "BF16": "bfloat16"}


def as_stored(case: Case) -> Iterator[Hypothesis]:
    """linear.quantized, and precision.storage of float16 and bfloat16."""
    products = {matrix.leaf: matrix for matrix in matrices(case.program) if not matrix.is_IO}
    for leaf in case.program.leaves:
        own = case.own(leaf.name) if leaf.is_weight and leaf.tensor.dim() == 2 else None
        worst = None if own is None else worst_row_db(leaf.tensor, own.values)
        if own is None or worst is None or worst < LEAST_DB.get(own.kind, 0):
            continue
        rounding, product = rounding_of(own.kind), products.get(leaf)
        edits = {product.call: taking(product.call, product.given, _plainly(rounding))} if rounding and product else {}
        yield _hypothesis(leaf, own, edits, worst)


def _hypothesis(leaf: Leaf, own: StoredWeight, edits: dict[Call, Edit], worst: float) -> Hypothesis:
    def plan(is_rounded: bool) -> Plan:
        return Plan(edits if is_rounded else {}, {leaf: own.values.to(leaf.tensor.dtype)})

    def message(is_rounded: bool) -> str:
        how = ", and what is multiplied by it is rounded as ggml's kernels do" if is_rounded else ""
        left = f"; its rows keep {worst:.0f} dB or more of signal over noise" if worst < 200 else ""
        return f"harmless: {leaf.name} is stored as {own.kind}{how}{left}"

    return Hypothesis(
        "precision.storage" if own.kind in NARROW else "linear.quantized",
        plan,
        message,
        (True, False) if edits else (False,),
        reference_value="float32",
        candidate_value=lambda _: NARROW.get(own.kind, own.kind),
    )


def _plainly(rounding: Rounding) -> Rounding:
    def rounded(given: torch.Tensor) -> torch.Tensor:
        with torch._C.DisableTorchFunction():  # a replay's mode would compute in float64
            return rounding(given)

    return rounded


def worst_row_db(reference_OI: torch.Tensor, own_OI: torch.Tensor) -> float | None:
    """10 log10 of ||w||^2 / ||w - v||^2, of the row where it is least; None for another shape. Rows of zeros say
    nothing."""
    with torch._C.DisableTorchFunction():
        if reference_OI.shape != own_OI.shape:
            return None
        reference_OI, own_OI = reference_OI.detach().double(), own_OI.double()
        signal, noise = reference_OI.square().sum(1), (reference_OI - own_OI).square().sum(1)
        ratios = (signal / noise.clamp(min=1e-300))[signal > 0]
        return float(10 * ratios.min().log10()) if len(ratios) else None
