"""A recorded model's own file, read again: its weights as they are stored, which a dump's sketches do not tell."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from probe.capture.tensors import to_bits
from probe.dump import Dump
from probe.dump.statistics import tensor_hash
from probe.errors import ProbeError


@dataclass(frozen=True, slots=True)
class StoredWeight:
    kind: str
    """The file's word for how it is stored: "F16", "Q8_0", "int8"."""
    values: torch.Tensor
    """What that stands for, channels out first."""
    step: torch.Tensor | None = None
    """Of whole numbers: what one of them is worth, as many as `values` or fewer that are repeated. None: not told."""
    rounding: Callable[[torch.Tensor], torch.Tensor] | None = None
    """What the file does to that which is multiplied by it; None: nothing, or what its kind says."""


Stored = Callable[[str], StoredWeight | None]
"""Given a weight's name in the dump; None for what is not there, or no longer as it was when it was recorded."""


def stored_weights(dump: Dump) -> Stored:
    """Of a dump whose target is a file that runs no code, and is still there; of all others nothing."""
    target = dump.attribute("target")
    if not isinstance(target, dict) or target.get("kind") not in READERS:
        return nothing_stored
    path = Path(str(target.get("place")))
    return READERS[str(target["kind"])](dump, path) if path.is_file() else nothing_stored  # no pipe is waited for


def nothing_stored(name: str) -> StoredWeight | None:
    return None


def _of_gguf(dump: Dump, path: Path) -> Stored:
    from probe.targets.gguf.file import opened, values_of

    try:
        tensors: dict[str, Any] = {tensor.name: tensor for tensor in opened(path).reader.tensors}
    except ProbeError:
        return nothing_stored
    recorded = {weight.name: weight for weight in dump.weights}

    def stored(name: str) -> StoredWeight | None:
        weight = recorded.get(name)
        tensor = tensors.get((weight.tied_to or name) if weight else name)
        if weight is None or tensor is None:
            return None
        values = values_of(tensor)
        if tensor_hash(to_bits(values)) != weight.statistics.hash:
            return None
        return StoredWeight(tensor.tensor_type.name, values)

    return stored


def _of_onnx(dump: Dump, path: Path) -> Stored:
    try:
        from probe.targets.onnx.again import stored_in

        found = stored_in(path)
    except (ProbeError, ImportError):
        return nothing_stored
    recorded = {weight.name: weight for weight in dump.weights}

    def stored(name: str) -> StoredWeight | None:
        weight = recorded.get(name)
        known = found(name) if weight else None
        if weight is None or known is None:
            return None
        values, how = known
        return how if tensor_hash(to_bits(values)) == weight.statistics.hash else None

    return stored


READERS: dict[str, Callable[[Dump, Path], Stored]] = {"gguf": _of_gguf, "onnx": _of_onnx}
