"""How much of the candidate's output error the findings explain: they are planted into the reference, end to end."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from probe.align.mapping import Mapping, Pair, candidate_values
from probe.align.tokens import kept_tokens
from probe.capture.structure import output_tensors
from probe.diagnose.merge import Found
from probe.diagnose.planting import Planting, planted
from probe.dump import Dump
from probe.replay.feeding import own_inputs
from probe.report import Finding

MOST_SINGLY = 6
"""Findings that are each planted alone too: a forward of the reference for every one."""


def proved(
    reference: Dump, candidate: Dump, mapping: Mapping, model: nn.Module, found: Sequence[Found]
) -> tuple[tuple[Finding, ...], float | None]:
    """The findings, each with its share, and the share of all of them together; None where that cannot be measured.

    A share is 1 - (||c - r'|| / ||c - r||)**2 of the model's output: c the candidate's, r the reference's, r' the
    reference's with the finding planted; 1 explains all of it, and what makes it worse counts as 0.
    """
    pair = _output(mapping)
    if pair is None or not found:
        return tuple(one.finding for one in found), None
    kept = kept_tokens(reference, pair.reference.step)
    c = torch.from_numpy(candidate_values(pair, candidate, kept).copy()).double().reshape(pair.reference.shape)
    counts = torch.ones_like(c, dtype=torch.bool)
    if pair.layout.unpadded and kept is not None:
        counts &= torch.from_numpy(kept).reshape(*kept.shape, *[1] * (c.dim() - 2))

    def distance(plantings: Sequence[Planting]) -> float:
        r = _run(reference, model, pair, plantings)
        difference = (c - r)[counts & c.isfinite()] if r is not None else torch.tensor(float("nan"))
        return float(torch.linalg.vector_norm(difference))

    before = distance(())
    if not before > 0:
        return tuple(one.finding for one in found), None
    singly = list(found) if 1 < len(found) <= MOST_SINGLY else []
    together = _share(distance([p for one in found for p in one.plantings]), before)
    shares = [_share(distance(one.plantings), before) for one in singly] or [together if len(found) == 1 else None]
    shares += [None] * (len(found) - len(shares))
    return tuple(replace(one.finding, share=share) for one, share in zip(found, shares, strict=True)), together


def _share(after: float, before: float) -> float | None:
    share = 1 - (after / before) ** 2
    return max(share, 0.0) if share == share else None


def _output(mapping: Mapping) -> Pair | None:
    """The pair of the model's own result; of several, its logits."""
    results = [pair for pair in mapping.pairs if pair.reference.module == "" and not pair.reference.is_input]
    results = [pair for pair in results if "float" in pair.reference.dtype]
    return next((pair for pair in results if "logits" in pair.reference.port), results[0] if results else None)


def _run(reference: Dump, model: nn.Module, pair: Pair, plantings: Sequence[Planting]) -> torch.Tensor | None:
    """The model's result with the findings planted, in its own dtype; None where it cannot be run so."""
    inputs = own_inputs(reference, pair.reference.step, model)
    try:
        with torch.no_grad(), planted(model, plantings):
            output = model(**inputs)
    except Exception:  # the model is the user's code, and runs as nobody meant it to
        return None
    for port, tensor in output_tensors(output):
        if port == pair.reference.port and tensor.shape == pair.reference.shape:
            return tensor.detach().cpu().double()
    return None
