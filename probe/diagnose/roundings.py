"""Hypotheses about roundings that a candidate's own file declares: honest ones, too narrow or too coarse ones, and such
as are not undone as they were done.

What each did to a place is known from the file run again, and is added to the place's own tensor.
"""

from collections.abc import Sequence

import torch

from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.targets.rerun import Rounded

CLIPPED = 0.1
"""||what the limits cut off|| / ||what was given||, from which they are too narrow. Of 20 honest graphs (Llama, GPT-2,
BERT; four calibration batches, other tokens than those) 0.041 at most; limits of 0.4 and 0.5 of the size are above."""


def too_narrow(one: Rounded) -> bool:
    """Or too coarse: a step larger than all numbers."""
    return one.step > one.largest > 0 or one.clipped > CLIPPED


def _adding(difference: torch.Tensor) -> Plan:
    """What is known of this place alone."""
    with torch._C.DisableTorchFunction():
        held = difference.float()
    return Plan(place=lambda x: x + held.to(x.dtype) if x.shape == held.shape else x)


def rounding(difference: torch.Tensor, roundings: Sequence[Rounded], wrong: Sequence[Rounded]) -> Hypothesis:
    """precision.storage; or, for what the `wrong` ones of them do, quant.activation."""
    kind = roundings[-1].kind
    if not wrong:
        what = f"harmless: what is computed on the way is rounded to {kind} and back, as the file says"
        return Hypothesis(
            "precision.storage", lambda _: _adding(difference), lambda _: what, candidate_value=lambda _: kind
        )
    worst = max(wrong, key=lambda one: (one.step > one.largest, one.clipped))
    if worst.step > worst.largest:
        what = f"in steps of {worst.step:.3g}, where the largest number is {worst.largest:.3g}: all is lost"
        limit = worst.step
    else:
        limit = max(-worst.lowest, worst.highest)
        limits = f"{worst.lowest:.3g} and {worst.highest:.3g}"
        what = f"and clipped at {limits}, where the largest is {worst.largest:.3g}"
    return Hypothesis(
        "quant.activation",
        lambda _: _adding(difference),
        lambda _: f"what is computed on the way is rounded to {kind} {what}; look at how activations are calibrated",
        candidate_value=lambda _: limit,
    )


def returned_otherwise(difference: torch.Tensor, roundings: Sequence[Rounded]) -> Hypothesis:
    """quant.scale, or quant.activation of a zero point: one of them is not undone as it was done."""
    one = next(one for one in roundings if not one.is_plain)
    scaled = one.factor != 1
    what = f"{one.factor:.4g} times as large" if scaled else f"moved by {one.shift:.4g} steps"
    return Hypothesis(
        "quant.scale" if scaled else "quant.activation",
        lambda _: _adding(difference),
        lambda _: (
            f"what is rounded to {one.kind} on the way comes back {what}: QuantizeLinear and DequantizeLinear have "
            f"not the same {'scale' if scaled else 'zero point'}"
        ),
        reference_value=1.0 if scaled else 0.0,
        candidate_value=lambda _: one.factor if scaled else one.shift,
    )
