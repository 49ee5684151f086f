"""Pairing what is left by values: statistics that no order of the axes changes, read from the tables alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.align.layouts import number_kind
from probe.tap import Tap

CLOSE = 1e-4
"""Largest difference of minimum, maximum, mean and standard deviation, relative to the largest element, of two tensors
that are taken to hold the same numbers. Summing in another order moves them by 1e-6; two layers' are 1e-1 apart."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Statistics of taps of one size and step."""

    taps: Sequence[Tap]
    figures: NDArray[np.float64]
    """[N, 4]"""


def by_values(taps: Iterable[Tap], candidates: Iterable[Tap]) -> list[tuple[Tap, list[Tap]]]:
    """Per reference tap the candidate's taps with the same numbers, if all of them hold one tensor.

    Two tensors that differ and are both near would be a guess: none is returned then. What a candidate computed
    wrongly, and all that follows from it, finds no counterpart here.
    """
    tables: dict[tuple[int, int], list[Tap]] = {}
    for tap in candidates:
        if _tells(tap):
            tables.setdefault((tap.step, tap.num_elements), []).append(tap)
    figures = {key: np.array([_figures(tap) for tap in found]) for key, found in tables.items()}
    found = []
    for tap in taps:
        key = (tap.step, tap.num_elements)
        if key not in tables or not _tells(tap):
            continue
        own = np.array(_figures(tap))
        size = max(abs(tap.statistics.minimum), abs(tap.statistics.maximum))
        near = np.flatnonzero(np.abs(figures[key] - own).max(axis=1) <= CLOSE * size)
        alike = [tables[key][index] for index in near]
        if alike and len({_numbers(other) for other in alike}) == 1:
            found.append((tap, alike))
    return found


def _tells(tap: Tap) -> bool:
    """Whether its statistics say anything: not those of masks, of a single value, or of a few elements."""
    s = tap.statistics
    return (
        number_kind(tap.dtype) == "float"
        and tap.num_elements >= 32
        and s.minimum < s.mean < s.maximum
        and not s.num_nan
        and not s.num_inf
    )


def _figures(tap: Tap) -> tuple[float, float, float, float]:
    s = tap.statistics
    return s.minimum, s.maximum, s.mean, s.std


def _numbers(tap: Tap) -> tuple[float, float]:
    """Equal for one tensor in any order of its axes, to the digits that its sums have."""
    return tap.statistics.minimum, tap.statistics.maximum
