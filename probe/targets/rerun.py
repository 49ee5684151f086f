"""Parts of a recorded model run again from its own file: as they are, and without the rounding that it asks for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.dump import Dump
from probe.errors import ProbeError

Array = NDArray[Any]
REAL = 1e30
"""What is larger stands for infinity: nobody wants to see it rounded well."""


@dataclass(frozen=True, slots=True)
class Rounded:
    """What was rounded to whole numbers and back."""

    given: Array
    kind: str
    """Of the whole numbers: "uint8"."""
    step: float
    """What one is worth; the mean where there are several."""
    lowest: float
    highest: float
    """The smallest and the largest number that there is."""
    factor: float
    """How many times too large it comes back, and by how many whole numbers it is moved: 1 and 0 if that is right."""
    shift: float

    @property
    def is_plain(self) -> bool:
        return self.factor == 1 and self.shift == 0

    @property
    def largest(self) -> float:
        """Of the numbers that were given, but for what stands for infinity; 0 where there is none."""
        real = np.abs(self.given[np.abs(self.given) < REAL])
        return float(real.max()) if real.size else 0.0

    @property
    def clipped(self) -> float:
        """||given - what the limits leave|| / ||given||, of numbers that do not stand for infinity."""
        real = self.given[np.abs(self.given) < REAL].astype(np.float64)
        size = float(np.linalg.norm(real))
        return float(np.linalg.norm(real - real.clip(self.lowest, self.highest))) / size if size else 0.0


@dataclass(frozen=True, slots=True)
class Rerun:
    """By names of taps."""

    as_it_is: Mapping[str, Array]
    unrounded: Mapping[str, Array]
    roundings: tuple[Rounded, ...]


Rerunning = Callable[[Mapping[str, Array], Sequence[str], bool], Rerun | None]
"""Given what the candidate had at some taps, and the names of others that are computed from them; and whether all that
is rounded shall come back with the scale and the zero point that it went with. None where nothing is rounded on the
way, or nobody knows how to compute it."""


def nothing_rerun(fed: Mapping[str, Array], targets: Sequence[str], mended: bool) -> Rerun | None:
    return None


def rerunning(dump: Dump) -> Rerunning:
    """Of a dump of one step, whose target is a graph that is still there; of all others nothing."""
    target = dump.attribute("target")
    if not isinstance(target, dict) or target.get("kind") != "onnx" or len(dump.steps) != 1:
        return nothing_rerun
    path = Path(str(target.get("place")))
    if not path.is_file():  # no pipe is waited for
        return nothing_rerun
    try:
        from probe.targets.onnx.again import rerunning_of

        return rerunning_of(path)
    except (ProbeError, ImportError):
        return nothing_rerun
