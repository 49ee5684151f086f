"""Positions and frequencies, read from a table of rotations: [..., D/2] complex numbers, D channels a head.

T rows, a row a token; F = D/2 frequencies; N numbers of positions.
"""

from dataclasses import dataclass

import torch

CLOSE = 1e-5
"""Relative: a reference's own tables are float32's at best, and its rotation is off by 1e-7 from any formula."""
NARROW = {torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}
"""Of a table whose cosines and sines are stored in this dtype: how far its numbers may be from any formula's."""
CLEAR = 8.0
"""Times the accuracy of a table: angles that are larger count positions."""


@dataclass(frozen=True)
class Spin:
    """Angles that are position times frequency."""

    positions: torch.Tensor
    """Whole numbers, (..., 1)."""
    frequencies: torch.Tensor
    """[D/2]: radians a position."""
    accuracy: float = CLOSE
    """Relative, of the frequencies."""

    @property
    def angles(self) -> torch.Tensor:
        return self.positions * self.frequencies

    @property
    def table(self) -> torch.Tensor:
        return torch.polar(torch.ones_like(self.angles), self.angles)


def spin_of(table: torch.Tensor, narrow: torch.dtype | None = None) -> Spin | None:
    """Positions and frequencies of a table's angles, if most tokens stand one position after the one before.

    Steps of position are counted in the slowest frequency that is not lost in the table's own rounding.
    """
    accuracy = CLOSE if narrow is None else NARROW[narrow]
    unit = table / table.abs()
    rows = unit.reshape(-1, unit.shape[-1])
    steps = (rows[1:] * rows[:-1].conj()).angle()
    moved = steps[steps.abs().amax(-1) > CLOSE]
    if len(moved) == 0:
        return None
    frequencies = moved.median(0).values
    sizes = frequencies.abs()
    clear = sizes >= min(CLEAR * accuracy, float(sizes.amax()))
    slowest = int(torch.where(clear, sizes, torch.inf).argmin())
    if not frequencies[slowest]:
        return None
    counts = (torch.cat([rows[:1].angle(), steps])[:, slowest] / frequencies[slowest]).round()
    counts[1:] = _jumps(steps, frequencies, counts[1:], accuracy)
    positions = counts.cumsum(0)[:, None]
    rest = (rows * Spin(positions, frequencies).table.conj()).angle()
    frequencies = frequencies + (rest * positions).sum(0) / positions.square().sum()
    spin = Spin(positions.reshape(*table.shape[:-1], 1), frequencies, accuracy)
    return spin if bool((spin.table - unit).abs().amax() <= 10 * accuracy) else None


def _jumps(
    steps_TF: torch.Tensor, frequencies_F: torch.Tensor, counts_T: torch.Tensor, accuracy: float
) -> torch.Tensor:
    """The same counts, but where one does not give its step: there the one that does best, of all within the table.

    From one sequence of a batch to the next, positions fall by more than one frequency alone can tell.
    """
    given_TF = torch.polar(torch.ones_like(steps_TF), counts_T[:, None] * frequencies_F)
    odd = (torch.polar(torch.ones_like(steps_TF), steps_TF) - given_TF).abs().amax(-1) > 10 * accuracy
    if int(odd.sum()) > len(odd) // 2:
        return counts_T
    every_N = torch.arange(-len(odd), len(odd) + 1, dtype=steps_TF.dtype)
    angles_NF = every_N[:, None] * frequencies_F
    fit_TN = steps_TF[odd].cos() @ angles_NF.cos().T + steps_TF[odd].sin() @ angles_NF.sin().T
    return counts_T.masked_scatter(odd, every_N[fit_TN.argmax(1)])
