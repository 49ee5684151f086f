"""Norms in a program: torch's own, and those written out as x / sqrt(mean(x^2) + eps), whatever module they are in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from probe.diagnose.values import bare
from probe.replay.program import Call, Leaf, Program, Result, Value

TORCH = {
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "native_layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "rms_norm": ("input", "normalized_shape", "weight", "eps"),
    "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    "batch_norm": ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
}
"""Names of the arguments, in order."""
PARTS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Norm:
    """Where a norm stands in a program."""

    call: Call
    """Of torch's own, the call; else what multiplies with the root, or divides by it."""
    input: Value
    """What is normalized; of a norm that takes the mean off, what that leaves."""
    mean: Call | None = None
    """Where written out: the mean of squares, or the variance."""
    square: Call | None = None
    """Where written out: what squares `input`; None of a variance."""
    centering: Call | None = None
    """Where written out: what takes the mean off."""
    uses: Mapping[Call, Value] = field(default_factory=dict)
    """Where written out: the calls that multiply with the weight and add the bias, and what they do that to."""
    parts: Mapping[str, Leaf] = field(default_factory=dict)
    """Of PARTS, those that there are."""
    offset: float = 0.0
    """What is added to the weight before it is used: 1 in Gemma's norms."""

    @property
    def is_torch(self) -> bool:
        return self.call.name in TORCH

    @property
    def over_last(self) -> bool:
        """Whether channels are the last dimension, as the weight has them."""
        return self.call.name not in ("group_norm", "batch_norm")

    @property
    def subtracts_mean(self) -> bool:
        return self.call.name in ("layer_norm", "native_layer_norm") or self.centering is not None


def argument(call: Call, name: str) -> Any:
    """Of one of torch's own norms, by name; None where it is not given."""
    place = key(call, name)
    return call.args[place] if isinstance(place, int) else call.kwargs.get(name)


def key(call: Call, name: str) -> int | str:
    """Where one of torch's own norms is given an argument: a position, or the name itself."""
    place = TORCH[call.name].index(name)
    return place if len(call.args) > place else name


def of_torch(call: Call, program: Program) -> Norm:
    parts: dict[str, Leaf] = {}
    offset = 0.0
    for name in PARTS:
        value = argument(call, name) if name in TORCH[call.name] else None
        leaf, added = stored(value, program)
        if leaf is not None:
            parts[name] = leaf
            offset = added if name == "weight" else offset
    return Norm(call, argument(call, "input"), parts=parts, offset=offset)


def stored(value: Value | None, program: Program) -> tuple[Leaf | None, float]:
    """The weight that a value is, casts and views aside, and what was added to it; None of anything else."""
    if value is None:
        return None, 0.0
    leaves = Program(value).leaves if isinstance(value, Result) else (value,)
    named = [leaf for leaf in leaves if leaf.name]
    if len(named) != 1 or ":" in named[0].name:
        return None, 0.0
    tensor, used = named[0].tensor, program.value(value)
    if used.numel() != tensor.numel() or not tensor.is_floating_point():
        return None, 0.0
    if isinstance(bare(value), Leaf):
        return named[0], 0.0
    added = used.double().flatten() - tensor.double().flatten()
    whole = float(added[0].round()) if added.numel() else 0.0
    is_constant = torch.allclose(added, torch.full_like(added, whole), 0, 1e-9)
    return (named[0], whole) if is_constant else (None, 0.0)
