"""Quantization: honest, with wrong scales, with one scale where there are many, and of activations."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.matrices import Matrix, matrices
from probe.diagnose.products import Products, nearer, products
from probe.diagnose.schemes import SCHEMES, Scheme
from probe.replay.program import Edit

Change = Callable[[torch.Tensor], torch.Tensor]
SCALES: dict[str, tuple[str, Change]] = {
    "the row before's": ("quant.scale", lambda s: s.roll(1, 0)),
    "the row after's": ("quant.scale", lambda s: s.roll(-1, 0)),
    "rounded to powers of two": ("quant.scale", lambda s: torch.exp2(torch.log2(s).round())),
    "rounded up to powers of two": ("quant.scale", lambda s: torch.exp2(torch.log2(s).ceil())),
    "rounded down to powers of two": ("quant.scale", lambda s: torch.exp2(torch.log2(s).floor())),
    "in the opposite order": ("quant.scale", lambda s: s.flip(0)),
    "left out": ("quant.scale", torch.ones_like),
    "the inverse": ("quant.scale", lambda s: 1 / s),
    "the first row's for all rows": ("quant.granularity", lambda s: s[:1].expand_as(s)),
    "the last row's for all rows": ("quant.granularity", lambda s: s[-1:].expand_as(s)),
    "the largest for all rows": ("quant.granularity", lambda s: s.amax().expand_as(s)),
    "the mean for all rows": ("quant.granularity", lambda s: s.mean().expand_as(s)),
}
"""What a weight that was quantized with one scale a row may be read with."""
FINER = (2e-3, 1e-4, 5e-6)
"""Relative steps in which a limit is looked for: as long as it is off, some numbers are rounded to the other side."""


def quantized(case: Case) -> Iterator[Hypothesis]:
    """linear.quantized: the reference's matrix, rounded as a known scheme does it."""
    for matrix in matrices(case.program):
        schemes = SCHEMES if products(case, matrix) else [scheme for scheme in SCHEMES if scheme.by_row]
        weights = ((scheme, scheme.rounded(matrix.weight_OI)) for scheme in schemes if scheme.fits(matrix.weight_OI))
        likely = tuple(nearer(case, matrix, weights))
        if likely:
            yield _quantized(matrix, likely)


def _quantized(matrix: Matrix, schemes: tuple[Scheme, ...]) -> Hypothesis:
    return Hypothesis(
        "linear.quantized",
        lambda scheme: matrix.holding(scheme.rounded(matrix.weight_OI)),
        lambda scheme: f"{matrix.leaf.name} is quantized: {scheme.name}",
        schemes,
        reference_value="as stored",
        candidate_value=lambda scheme: scheme.name,
    )


def scales(case: Case) -> Iterator[Hypothesis]:
    """quant.scale and quant.granularity: quantized row by row, and read with other scales."""
    for matrix in matrices(case.program):
        for cause in ("quant.scale", "quant.granularity") if products(case, matrix) else ():
            values = [(scheme, how) for scheme in SCHEMES if scheme.by_row for how in SCALES if SCALES[how][0] == cause]
            weights = ((value, _misread(matrix.weight_OI, *value)) for value in values)
            likely = tuple(nearer(case, matrix, weights))
            if likely:
                yield _misread_scales(matrix, cause, likely)


def _misread(weight_OI: torch.Tensor, scheme: Scheme, how: str) -> torch.Tensor:
    whole_OI, scale_O1 = scheme.parts(weight_OI)
    return whole_OI * SCALES[how][1](scale_O1)


def _misread_scales(matrix: Matrix, cause: str, values: tuple[tuple[Scheme, str], ...]) -> Hypothesis:
    return Hypothesis(
        cause,
        lambda value: matrix.holding(_misread(matrix.weight_OI, *value)),
        lambda value: (
            f"{matrix.leaf.name} is quantized ({value[0].name}) and read with other scales: {value[1]}; "
            "look at how scales are stored and indexed"
        ),
        values,
        reference_value="one scale a row",
        candidate_value=lambda value: value[1],
    )


def activations(case: Case) -> Iterator[Hypothesis]:
    """quant.activation: a matrix' inputs rounded to eight bits with one scale, and clipped where that is too small."""
    for matrix in matrices(case.program):
        given, seen = case.program.value(matrix.given), products(case, matrix)
        if seen is not None and bool(given.any()):
            yield _activations(matrix, seen, float(given.abs().amax()))


def _activations(matrix: Matrix, seen: Products, largest: float) -> Hypothesis:
    at = matrix.call.inputs.index(matrix.given)

    def plan(limit: float) -> Plan:
        return Plan({matrix.call: eight_bits(at, limit)})

    def distance(limit: float) -> float:
        return replace(seen, given_NI=_rounded(seen.given_NI, limit)).distance(matrix.weight_OI)

    best = min((largest * 0.05 * 1.05**step for step in range(67)), key=distance)
    for step in FINER:
        best = min((best * (1 + step * number) for number in range(-25, 26)), key=distance)
    return Hypothesis(
        "quant.activation",
        plan,
        lambda limit: (
            f"what {matrix.leaf.name} is given is rounded to eight bits and clipped at {limit:.4g}, "
            f"where the largest is {largest:.4g}: look at how the scale of activations is calibrated"
        ),
        (best * (1 - FINER[-1]), best, best * (1 + FINER[-1])),
        scale="log",
        reference_value=largest,
    )


def eight_bits(argument: int, limit: float) -> Edit:
    """The call with one argument rounded to a 127th of `limit`, and no larger than that."""

    def edit(function, args, kwargs):  # type: ignore[no-untyped-def]
        rounded = _rounded(args[argument], limit)
        return function(*args[:argument], rounded, *args[argument + 1 :], **kwargs)

    return edit


def _rounded(given: torch.Tensor, limit: float) -> torch.Tensor:
    scale = limit / 127
    return (given / scale).round().clamp(-127, 127) * scale


FAMILIES = [quantized, scales, activations]
