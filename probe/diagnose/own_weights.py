"""The candidate's own weights, by the reference's names: of runtimes whose file of weights can be read again."""

from collections.abc import Callable
from dataclasses import replace

import torch

from probe.align.mapping import Mapping, Source
from probe.targets.stored import Stored, StoredWeight

OwnWeight = Callable[[str], StoredWeight | None]
"""Given a weight's name in the reference; its rows are in the reference's order."""


def own_weights(mapping: Mapping, stored: Stored) -> OwnWeight:
    """By what the modules' outputs are paired with: channels of an output are rows of its matrix."""
    sources: dict[str, tuple[Source, ...]] = {}
    for pair in mapping.pairs:
        if not pair.reference.is_input and all(source.block is None for source in pair.sources):
            sources.setdefault(pair.reference.module, pair.sources)

    def own(name: str) -> StoredWeight | None:
        with torch._C.DisableTorchFunction():  # a replay's mode would read it in float64
            return read(name)

    def read(name: str) -> StoredWeight | None:
        module, _, part = name.rpartition(".")
        found = [(source, stored(f"{source.tap.module}.{part}")) for source in sources.get(module, ())]
        weights = [(source, weight) for source, weight in found if weight is not None]
        if not weights or len(weights) < len(found):
            return None
        values = torch.cat([_rows(weight.values, source) for source, weight in weights])
        steps = [(source, weight.step) for source, weight in weights]
        offsets = [(source, weight.offset) for source, weight in weights]
        return replace(weights[0][1], values=values, step=_joined(steps), offset=_joined(offsets))

    return own


def _joined(parts: list[tuple[Source, torch.Tensor | None]]) -> torch.Tensor | None:
    """None where one of them has none."""
    known = [_rows(values, source) for source, values in parts if values is not None]
    return torch.cat(known) if len(known) == len(parts) else None


def _rows(values: torch.Tensor, source: Source) -> torch.Tensor:
    if source.columns is None:
        return values
    return torch.cat([values[start:stop] for start, stop in source.columns])
