"""Weights of norms: never loaded, with 1 too much or too little."""

from collections.abc import Iterator

import torch

from probe.diagnose.case import Case
from probe.diagnose.hypothesis import Hypothesis, Plan
from probe.diagnose.norm_written import norms
from probe.replay.program import Leaf

_INITIAL = {"weight": (1.0, 2.0, 0.0), "bias": (0.0,), "running_mean": (0.0,), "running_var": (1.0,)}
"""What a part is where nothing was loaded; of a weight, with what is added to it: 2 is ones where 1 is added."""


def missing(case: Case) -> Iterator[Hypothesis]:
    """norm.weight_missing: ones, or zeros where 1 is added; a bias of zeros."""
    for norm in norms(case.program):
        for part, leaf in norm.parts.items():
            if not _is_constant(leaf.tensor):
                yield _missing(part, leaf, norm.offset if part == "weight" else 0.0)


def _missing(part: str, leaf: Leaf, offset: float) -> Hypothesis:
    return Hypothesis(
        "norm.weight_missing",
        lambda value: Plan(leaves={leaf: torch.full_like(leaf.tensor, value - offset)}),
        lambda value: (
            f"{leaf.name} was never loaded, what is used is {value:g} everywhere: "
            "look for keys of the checkpoint that nobody read"
        ),
        _INITIAL[part],
        reference_value=leaf.name,
        candidate_value=lambda value: f"{value:g} everywhere",
    )


def offset(case: Case) -> Iterator[Hypothesis]:
    """norm.weight_offset: 1 + w for w, or w for 1 + w."""
    for norm in norms(case.program):
        if "weight" in norm.parts:
            yield _offset(norm.parts["weight"], norm.offset)


def _offset(leaf: Leaf, added: float) -> Hypothesis:
    return Hypothesis(
        "norm.weight_offset",
        lambda value: Plan(leaves={leaf: leaf.tensor + value}),
        lambda value: (
            f"the norm multiplies by {_sum(added + value)} where the reference has {_sum(added)}, w being {leaf.name}: "
            "1 is to be added once, by the converter or by the norm"
            if added
            else f"the norm multiplies by {_sum(value)} where the reference has w, which is {leaf.name}: "
            "the converter or the norm takes it for one of Gemma's kind"
        ),
        (-1.0, 1.0),
        reference_value=_sum(added),
        candidate_value=lambda value: _sum(added + value),
    )


def _sum(added: float) -> str:
    if added == 0:
        return "w"
    return f"{added:g} + w" if added > 0 else f"w - {-added:g}"


def _is_constant(tensor: torch.Tensor) -> bool:
    return tensor.numel() > 0 and bool((tensor == tensor.flatten()[0]).all())
