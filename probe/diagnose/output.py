"""The model's result on both sides, and the reference's with what was found in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from probe.align.mapping import Mapping, Pair, candidate_values
from probe.capture.structure import output_tensors
from probe.diagnose.merge import Found
from probe.diagnose.planting import planted
from probe.dump import Dump
from probe.dump.unpadded import kept_tokens
from probe.replay.feeding import own_inputs


@dataclass(frozen=True)
class Output:
    """The model's result, on both sides."""

    reference: Dump
    model: nn.Module
    pair: Pair
    candidate: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def of(cls, reference: Dump, candidate: Dump, mapping: Mapping, model: nn.Module) -> "Output | None":
        """Of several results the logits; None where there is none that is compared."""
        results = [pair for pair in mapping.pairs if pair.reference.module == "" and not pair.reference.is_input]
        results = [pair for pair in results if "float" in pair.reference.dtype]
        pair = next((pair for pair in results if "logits" in pair.reference.port), results[0] if results else None)
        if pair is None:
            return None
        kept = kept_tokens(reference, pair.reference.step)
        c = torch.from_numpy(candidate_values(pair, candidate, kept).copy()).double().reshape(pair.reference.shape)
        counts = c.isfinite()
        if pair.layout.unpadded and kept is not None:
            counts &= torch.from_numpy(kept).reshape(*kept.shape, *[1] * (c.dim() - 2))
        return cls(reference, model, pair, c, counts)

    def planted(self, found: Sequence[Found]) -> torch.Tensor | None:
        """The reference's, with the findings in it; None where it cannot be run so."""
        inputs = own_inputs(self.reference, self.pair.reference.step, self.model)
        plantings = [planting for one in found for planting in one.plantings]
        try:
            with torch.no_grad(), planted(self.model, plantings):
                output = self.model(**inputs)
        except Exception:  # the model is the user's code, and runs as nobody meant it to
            return None
        for port, tensor in output_tensors(output):
            if port == self.pair.reference.port and tensor.shape == self.pair.reference.shape:
                return tensor.detach().cpu().double()
        return None

    def distance(self, one: torch.Tensor | None, other: torch.Tensor | None) -> float:
        """NaN where one of them is not there."""
        if one is None or other is None:
            return math.nan
        return float(torch.linalg.vector_norm((one - other)[self.counts]))
