"""Whether pairs are right, told by numbers alone: on runs without a bug, paired taps hold the same ones."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

import probe
from probe.align.mapping import Mapping, Pair, candidate_values
from probe.align.pairs import align
from probe.dump import Dump
from tests.ports.styles import Inputs, Style
from tests.ports.truth import counterpart, kept_tokens, relative
from tests.zoo.architectures import Size

Change = Callable[[nn.Module], None]


@dataclass(frozen=True)
class Runs:
    """The reference and a port of it, recorded and aligned."""

    reference: Dump
    clean: Dump
    """The port without a bug: what the pairs are read from, to see whether they are right."""
    mapping: Mapping
    """Of the reference and the port, a bug and all."""
    style: Style
    models: tuple[nn.Module, nn.Module] = field(repr=False)
    port_inputs: tuple[Inputs, ...] = field(repr=False)

    def wrong(self, tolerance: float = 1e-3) -> dict[str, str]:
        """Firm pairs whose numbers differ, and by how much.

        Measured on all styles: right ones are 1e-6 apart at most, in bfloat16 0.02, and wrong ones 0.4 at least.
        """
        errors = {pair: self._error(pair) for pair in self.mapping.pairs if pair.firm}
        return {
            pair.reference.name: f"{pair.candidate_name}, by {pair.reason}: {error:.2g}"
            for pair, error in errors.items()
            if not error < tolerance
        }

    def the_other_way_round(self) -> "Runs":
        return replace(self, reference=self.clean, clean=self.reference, mapping=align(self.clean, self.reference))

    def with_bug(self, folder: Path, *, spoiled: Change | None = None, misread: Change | None = None) -> "Runs":
        """`spoiled` changes the port, or `misread` the weights that it is converted from."""
        model, port = deepcopy(self.models)
        if misread:
            misread(model)
            port = self.style.candidate(model)
        if spoiled:
            spoiled(port)
        return replace(self, mapping=align(self.reference, record(port, self.port_inputs, folder / "bug.h5")))

    def unpaired(self) -> set[str]:
        """Reference taps that have a counterpart by the port's own account, and no pair."""
        paired = {pair.reference.name for pair in self.mapping.pairs}
        return {name for name in self.with_counterpart() if name not in paired}

    def with_counterpart(self) -> list[str]:
        return [tap.name for tap in self.reference.taps if counterpart(self.style.truth, tap)]

    def _error(self, pair: Pair) -> float:
        kept = kept_tokens(self.reference, pair.reference.step)
        ours = self.reference.read(pair.reference)
        if pair.layout.unpadded:
            assert kept is not None
            ours = ours * kept.reshape(*kept.shape, *[1] * (ours.ndim - 2))
        return relative(ours, candidate_values(pair, self.clean, kept))


def runs(
    style: Style,
    folder: Path,
    *,
    size: Size = Size(),  # noqa: B008 -- it is frozen
    seed: int = 0,
    tokens: Sequence[tuple[int, int]] = ((2, 13),),
    prepared: Change | None = None,
    dtype: torch.dtype = torch.float32,
) -> Runs:
    """`prepared` changes the reference before it is converted; `tokens` is the shape of the token ids, step by step."""
    model = style.reference(size, seed)
    if prepared:
        prepared(model)
    port = style.candidate(model).to(dtype)
    inputs, port_inputs = zip(*(style.fed(seed, shape) for shape in tokens), strict=True)
    reference, clean = record(model, inputs, folder / "r.h5"), record(port, port_inputs, folder / "c.h5")
    return Runs(reference, clean, align(reference, clean), style, (model, port), port_inputs)


def record(model: nn.Module, inputs: Sequence[Inputs], path: Path) -> Dump:
    """Floating-point inputs are cast to the model's dtype."""
    dtype = next(model.parameters()).dtype
    with torch.no_grad(), probe.record(model, path, force=True, functional="none"):
        for step in inputs:
            model(**{name: value.to(dtype) if value.is_floating_point() else value for name, value in step.items()})
    return probe.open(path)
