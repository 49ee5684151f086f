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
    offset: torch.Tensor | None = None
    """Of types whose blocks of 32 have an offset each that is multiplied by a rounded sum (Q4_1, Q5_1): these, a row of
    them for each row of the file's."""


Stored = Callable[[str], StoredWeight | None]
"""Given a weight's name in the dump; None for what the file says nothing of. Raises Lost."""


class Lost(ProbeError):
    """The file had it when it was recorded, and has it no more, or is gone itself."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A model's own file, as far as it can be read again."""

    weight: Stored
    trouble: str = ""
    """In words, why something of it cannot be read; "" of a run that is none of such a file."""


def nothing_stored(name: str) -> StoredWeight | None:
    return None


NO_FILE = StoredFile(nothing_stored)


def stored_file(dump: Dump) -> StoredFile:
    """Of a dump whose target is a file that runs no code: it is read where it was, and beside the dump."""
    target = dump.attribute("target")
    if not isinstance(target, dict) or target.get("kind") not in READERS:
        return NO_FILE
    read = READERS[str(target["kind"])]
    recorded = Path(str(target.get("place")))
    beside = Path(dump.path).parent / recorded.name
    places = tuple(dict.fromkeys((recorded, beside)))
    trouble = f"its file is gone: it was looked for as {' and as '.join(map(str, places))}"
    found: list[Stored] = []
    for path in places:
        if not path.is_file():  # no pipe is waited for
            continue
        try:
            found.append(read(dump, path))
            trouble = f"its file has changed since: {path} no longer holds what was recorded"
        except (ProbeError, ImportError) as error:
            trouble = f"its file cannot be read: {error}"

    def weight(name: str) -> StoredWeight | None:
        for stored in found:
            try:
                return stored(name)
            except Lost:
                continue
        raise Lost(trouble)

    return StoredFile(weight, trouble)


def _of_gguf(dump: Dump, path: Path) -> Stored:
    from probe.targets.gguf.file import offsets_of, opened, values_of

    tensors: dict[str, Any] = {tensor.name: tensor for tensor in opened(path).reader.tensors}
    recorded = {weight.name: weight for weight in dump.weights}

    def stored(name: str) -> StoredWeight | None:
        weight = recorded.get(name)
        tensor = tensors.get((weight.tied_to or name) if weight else name)
        if weight is None:
            return None
        if tensor is None:
            raise Lost(f"{path} has no {name}")
        values = values_of(tensor)
        if tensor_hash(to_bits(values)) != weight.statistics.hash:
            raise Lost(f"{path} has another {name}")
        return StoredWeight(tensor.tensor_type.name, values, offset=offsets_of(tensor))

    return stored


def _of_onnx(dump: Dump, path: Path) -> Stored:
    from probe.targets.onnx.again import stored_in

    found = stored_in(path)
    recorded = {weight.name: weight for weight in dump.weights}

    def stored(name: str) -> StoredWeight | None:
        weight = recorded.get(name)
        known = found(name) if weight else None
        if weight is None or known is None:
            return None
        values, how = known
        if tensor_hash(to_bits(values)) != weight.statistics.hash:
            raise Lost(f"{path} has another {name}")
        return how

    return stored


READERS: dict[str, Callable[[Dump, Path], Stored]] = {"gguf": _of_gguf, "onnx": _of_onnx}
"""By a target's kind; ProbeError for what is no such file."""
