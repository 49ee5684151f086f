"""Angles that are position times frequency: another base, another scaling; and other positions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from probe.diagnose.case import Case
from probe.diagnose.frequencies import ALIKE, FACTORS, THETAS, Scale, scale_of
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.rope_positions import counted, restarted
from probe.diagnose.spun import Spun, respun
from probe.diagnose.turns import sides
from probe.replay.program import Program

ANGLES = frozenset({"cos", "sin", "polar"})


def of_angles(case: Case, spun: Sequence[Spun]) -> Iterator[Hypothesis]:
    """All are changed alike."""
    spins = [one.spin for one in spun if one.spin is not None]
    if not spins or len(spins) < len(spun):
        return
    yield from restarted(case, spun)
    yield from counted(spun)
    scale = scale_of(spins[0].frequencies, max(ALIKE, spins[0].accuracy))
    if scale is not None:
        yield theta(spun, scale)
        yield linear(spun, scale) if scale.is_geometric else unscaled(spun, scale)


def theta(spun: Sequence[Spun], scale: Scale) -> Hypothesis:
    """rope.theta: fitted."""
    return Hypothesis(
        "rope.theta",
        lambda value: _other_frequencies(spun, lambda frequencies: scale.based(frequencies, value)),
        lambda value: (
            f"the rotary base is {value:g} where the reference has {scale.theta:g}: "
            "look for rope_theta that is not read from the config"
        ),
        tuple(sorted({*THETAS, scale.theta})),
        scale="log",
        reference_value=scale.theta,
    )


def linear(spun: Sequence[Spun], scale: Scale) -> Hypothesis:
    """rope.scaling: all positions divided by a number."""
    return Hypothesis(
        "rope.scaling",
        lambda value: _other_frequencies(spun, lambda frequencies: frequencies * (scale.factor / value)),
        lambda value: (
            f"positions are divided by {value:g} where the reference divides by {scale.factor:g}: "
            "look at the factor of rope_scaling in the config"
        ),
        tuple(sorted({*FACTORS, scale.factor})),
        scale="log",
        reference_value=scale.factor,
    )


def unscaled(spun: Sequence[Spun], scale: Scale) -> Hypothesis:
    """rope.scaling: bands that are stretched in the reference alone."""
    return Hypothesis(
        "rope.scaling",
        lambda value: _other_frequencies(spun, lambda frequencies: scale.plain(frequencies, value)),
        lambda value: (
            f"all rotary frequencies are those of the base {value:g}, where the reference stretches the slow ones: "
            "look for rope_scaling that is parsed and not used"
        ),
        (scale.theta, scale.first_theta),
        reference_value="stretched",
        candidate_value=lambda _: "plain",
        usual=(scale.theta,),
    )


def stretched(case: Case) -> Iterator[Hypothesis]:
    """rope.scaling below the floor, where it is in a prompt that is short against the stretched wavelengths.

    Measured on 4 to 64 tokens, llama3's scaling by 8: 0 to 1.2 floors in bfloat16. Another theta or another scale of
    scores is above the floor from 12 tokens on, unless scores are a tenth of what they usually are.
    """
    for spun in list(sides(case.program).values())[:1] if _has_angles(case.program) else []:
        spins = [one.spin for one in spun if one.spin is not None]
        scale = scale_of(spins[0].frequencies, max(ALIKE, spins[0].accuracy)) if len(spins) == len(spun) else None
        if scale is not None and not scale.is_geometric:
            yield unscaled(spun, scale)


def _has_angles(program: Program) -> bool:
    """Whether scores are made of angles, or of a table that is no tap: in a tap of its own it is above the floor."""
    names = {call.name for call in program.calls}
    tables = (leaf.tensor.dim() > 1 for leaf in program.leaves if leaf.is_weight or leaf.tensor.is_complex())
    return "softmax" in names and (not names.isdisjoint(ANGLES) or any(tables))


def _other_frequencies(spun: Sequence[Spun], change: Callable[[torch.Tensor], torch.Tensor]) -> Plan:
    return respun(spun, lambda spin: replace(spin, frequencies=change(spin.frequencies)))
