"""Weights of one side that the other has nothing for."""

import math
from dataclasses import replace

from probe.align.audit.verdict import Kind, Verdict, template
from probe.dump import Dump, Weight

ROTARY = ("rope_freqs", "rope_factors_long", "rope_factors_short")
"""So llama.cpp calls what a PyTorch model computes of its config and keeps in a buffer."""


def missing(verdicts: list[Verdict], reference: Dump, unclaimed: list[Weight]) -> list[Verdict]:
    """Absent weights that cannot be absent on purpose: the other layers have theirs, or their module has its others.

    What hides in a candidate weight that nobody claimed is not called missing.
    """
    weights = {weight.name: weight for weight in reference.weights}
    hidden = sorted(math.prod(weight.shape) for weight in unclaimed)
    there = {v.reference for v in verdicts if v.kind is not Kind.ABSENT}
    templates = {template(name)[0] for name in there}
    modules = {weights[name].module for name in there}
    checked = []
    for verdict in verdicts:
        weight = weights[verdict.reference]
        if verdict.kind is Kind.ABSENT and not (hidden and hidden[-1] >= math.prod(weight.shape)):
            if weight.statistics.l2 == 0:
                verdict = replace(verdict, why="it is all zeros")
            elif template(weight.name)[0] in templates:
                verdict = replace(verdict, kind=Kind.MISSING, why="and other layers have theirs")
            elif weight.module in modules:
                verdict = replace(verdict, kind=Kind.MISSING, why="which has the module's other weights")
        checked.append(verdict)
    return checked


def extra(verdicts: list[Verdict], unclaimed: list[Weight]) -> list[Verdict]:
    """Candidate weights in which nothing of the reference is, and that stand in no weight's place."""
    placed = {part for verdict in verdicts for part in (verdict.home,)}
    return [
        Verdict(weight.name, Kind.EXTRA, why=_known(weight))
        for weight in unclaimed
        if weight.name not in placed and not weight.tied_to
    ]


def _known(weight: Weight) -> str:
    is_rotary = weight.module.rpartition(".")[2] in ROTARY
    return "it scales rotary frequencies, which PyTorch models compute" if is_rotary else ""
