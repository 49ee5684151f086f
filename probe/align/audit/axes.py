"""Weights of three axes and more, whose axes one side has in another order than the other."""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from probe.dump import Axis
from probe.dump.weight import is_kernel


def axes_of_vectors(axis: Axis, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes of the axes that a view's vectors are counted over; () where that is one alone, or not known."""
    match axis:
        case Axis.COLUMNS:
            return shape[1:] if len(shape) > 2 else ()
        case Axis.INNER_ROWS:
            return shape[:-1]
        case Axis.MIDDLE:
            return (shape[0], *shape[2:]) if is_kernel(shape) else (*shape[:-2], shape[-1])
    return ()


def moves_axes(order: NDArray[np.int64], sizes: tuple[int, ...]) -> bool:
    """Whether `order` (reference vector -> candidate vector) is what another order of the axes `sizes` makes."""
    if len(sizes) < 2 or np.prod(sizes) != len(order):
        return False
    rows = np.arange(len(order))
    return any(
        np.array_equal(order[rows.reshape(sizes).transpose(moved).reshape(-1)], rows)
        for moved in permutations(range(len(sizes)))
        if moved != tuple(range(len(sizes)))
    )
