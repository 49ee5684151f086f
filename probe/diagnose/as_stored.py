"""Products with weights as the candidate's own file has them: quantized, or narrower than the reference's.

What multiplies by them may be rounded too, as ggml does it on a processor. Both are known to the last bit, so that what
is left of the error is the floor's; what a row lacks beyond what its type leaves is no rounding, and is not offered.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch

from probe.diagnose.blocks import LEAST_DB
from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.matrices import Matrix, matrices
from probe.diagnose.multiplied import multiplied
from probe.replay.program import Leaf
from probe.targets.stored import Lost, StoredWeight

HALF_A_STEP = 0.6
"""Steps. Rounding to the nearest leaves 0.29 in the mean, and 0.30 to 0.36 in the worst row or column: ONNX Runtime's
int8 a column and int4 in blocks of 32, 16 to 384 channels, normal and Student's t with 5 degrees of freedom."""
NARROW = {"F16": "float16", "BF16": "bfloat16"}


def as_stored(case: Case) -> Iterator[Hypothesis]:
    """linear.quantized, and precision.storage of float16 and bfloat16."""
    products = {matrix.leaf: matrix for matrix in matrices(case.program)}
    for leaf in case.program.leaves:
        for own in _known(case, leaf):
            worst = worst_row_db(leaf.tensor, own.values)
            if worst is not None and is_what_is_left(leaf.tensor, own):
                yield _hypothesis(leaf, own, products.get(leaf), worst)


def _known(case: Case, leaf: Leaf) -> Iterator[StoredWeight]:
    """What the file has; where it cannot be read, both types that the reference's numbers may have been rounded to."""
    own = own_of(case, leaf)
    if own is not None:
        yield own
    elif is_lost(case, leaf):
        with torch._C.DisableTorchFunction():
            for kind, name in NARROW.items():
                yield StoredWeight(kind, leaf.tensor.detach().to(getattr(torch, name)))


def own_of(case: Case, leaf: Leaf) -> StoredWeight | None:
    """What the candidate has of a matrix, or of a vector that is quantized, with its axes as the reference has them;
    None where it has none."""
    try:
        own = case.own(leaf.name) if leaf.is_weight and leaf.tensor.dim() <= 2 else None
    except Lost:
        return None
    if own is None or (leaf.tensor.dim() < 2 and own.step is None):
        return None
    is_IO = any(matrix.leaf is leaf and matrix.is_IO for matrix in matrices(case.program))
    turned = replace(own, values=_turned(own.values), step=None if own.step is None else _turned(own.step))
    ways = (turned, own) if is_IO else (own, turned)
    return next((one for one in ways if one.values.shape == leaf.tensor.shape), None)


def _turned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.transpose(0, -1)


def is_lost(case: Case, leaf: Leaf) -> bool:
    """Whether the candidate's file had it, and cannot be read again."""
    try:
        if _is_matrix(leaf):
            case.own(leaf.name)
    except Lost:
        return True
    return False


def _is_matrix(leaf: Leaf) -> bool:
    return leaf.is_weight and leaf.tensor.dim() == 2


def is_what_is_left(reference: torch.Tensor, own: StoredWeight) -> bool:
    """Whether the file's matrix is no further off another one than its type leaves it."""
    if own.values.shape != reference.shape:
        return False
    if own.step is not None:
        return worst_in_steps(reference, own.values, own.step) <= HALF_A_STEP
    worst = worst_row_db(reference, own.values)
    return worst is not None and worst >= LEAST_DB.get(own.kind, math.inf)


def worst_in_steps(reference: torch.Tensor, own: torch.Tensor, step: torch.Tensor) -> float:
    """Root mean square of (own - reference) / step of a row or column, where it is largest: 0.29 after rounding."""
    with torch._C.DisableTorchFunction():
        off = ((own.double() - reference.detach().double()) / step.double().abs().clamp(min=1e-300)).square()
        return float(torch.maximum(off.mean(0).amax(), off.mean(-1).amax()).sqrt())


def _hypothesis(leaf: Leaf, own: StoredWeight, product: Matrix | None, worst: float) -> Hypothesis:
    edits = multiplied(product, own) if product else {}

    def plan(is_rounded: bool, lean: float = 0.0) -> Plan:
        rounded = multiplied(product, own, lean) if is_rounded and product else {}
        return Plan(rounded, {leaf: own.values.to(leaf.tensor.dtype)})

    def message(is_rounded: bool) -> str:
        how = ", and what is multiplied by it is rounded as its kernels do" if is_rounded else ""
        usual = f", where {own.kind} leaves {LEAST_DB[own.kind] + 3} or more" if own.kind in LEAST_DB else ""
        left = f"; its rows keep {worst:.0f} dB or more of signal over noise{usual}" if worst < 200 else ""
        return f"harmless: {leaf.name} is stored as {own.kind}{how}{left}"

    return Hypothesis(
        "precision.storage" if own.kind in NARROW else "linear.quantized",
        plan,
        message,
        (True, False) if edits else (False,),
        reference_value="float32",
        candidate_value=lambda _: NARROW.get(own.kind, own.kind),
        leaning=plan,
    )


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
