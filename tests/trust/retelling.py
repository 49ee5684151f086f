"""A dump told again with something else in it: how a mistake of recording is planted."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.dump import Dump, DumpWriter
from probe.tap import Tap

Bits = NDArray[Any]
Retell = Callable[[Dump, Tap], Bits | None]
"""The bits that a tap shall have, in any shape; None leaves the tap out."""


def truly(dump: Dump, tap: Tap) -> Bits | None:
    return dump.bits(tap)


def retold(
    source: Path,
    path: Path,
    retell: Retell = truly,
    *,
    inputs: Callable[[dict[str, Bits]], dict[str, Bits]] = lambda told: told,
    **attributes: Any,
) -> Path:
    """`source` again as `path`, each tap's bits as `retell` has them; attributes take the place of those there."""
    with Dump(source) as dump, DumpWriter(path, force=True) as writer:
        kept = {name: dump.attribute(name) for name in ("environment", "config")}
        writer.describe(**{name: value for name, value in (kept | attributes).items() if value is not None})
        vectors = {
            weight.name: (dump.weight_value(weight.name, weight.dtype), weight.dtype)
            for weight in dump.weights
            if len(weight.shape) < 2
        }
        values = {name: (bits, dtype) for name, (bits, dtype) in vectors.items() if bits is not None}
        writer.add_weights(dump.weights, dump.sketches, values)
        for step in dump.steps:
            told = inputs({name: bits for name, (bits, _) in dump.inputs(step).items()})
            for name, bits in told.items():
                writer.add_input(step, name, np.ascontiguousarray(bits), str(bits.dtype))
        for tap in dump.taps:
            bits = retell(dump, tap)
            if bits is not None:
                writer.add(tap._replace(shape=bits.shape), np.ascontiguousarray(bits))
    return path


def instead(changes: Mapping[str, Callable[[Dump, Tap], Bits | None]]) -> Retell:
    """Truly, but for the taps of these names."""

    def retell(dump: Dump, tap: Tap) -> Bits | None:
        return changes.get(tap.name, truly)(dump, tap)

    return retell


def the_same_as(name: str) -> Callable[[Dump, Tap], Bits]:
    """What another tap of the step holds."""
    return lambda dump, tap: dump.bits(dump.tap(name, tap.step))
