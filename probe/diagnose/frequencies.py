"""The frequencies of a rotary embedding: theta^(-2i/D), and what is done to them for longer contexts."""

import math
from dataclasses import dataclass

import torch

ALIKE = 1e-4
"""Relative: frequencies that lie so near a formula are its."""
NORMAL = 2.0**-14
"""float16 has fewer digits of what is smaller, sines of slow angles among them."""
THETAS = tuple(sorted(a * 10.0**b for a in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8) for b in range(2, 8)))
"""Those that models are published with are among them."""
FACTORS = tuple(2.0 ** (number / 4) for number in range(25))
"""1 to 64: nobody divides positions by less."""


@dataclass(frozen=True)
class Scale:
    """What a list of frequencies is made of."""

    theta: float
    factor: float
    """By which the first is divided: 1 of most models."""
    is_geometric: bool
    """All are theta^(-2i/D) / factor; else those for long contexts are stretched further, and theta may be
    `first_theta` where only the first are not."""
    first_theta: float

    def plain(self, frequencies: torch.Tensor, theta: float) -> torch.Tensor:
        """theta^(-2i/D), with the signs of `frequencies`."""
        return frequencies.sign() * theta ** -_exponents(len(frequencies))

    def based(self, frequencies: torch.Tensor, theta: float) -> torch.Tensor:
        """The same frequencies from another theta."""
        return frequencies * (theta / self.theta) ** -_exponents(len(frequencies))


def scale_of(frequencies: torch.Tensor, alike: float = ALIKE) -> Scale | None:
    """None where they do not fall from one to the next. `alike`: how near a formula they lie, relative, if they do.

    Of a stretched list the slowest two are taken to be stretched alike, as llama3's and yarn's are.
    """
    sizes = frequencies.abs().double()
    if len(sizes) < 2 or not bool((sizes[1:] < sizes[:-1]).all()) or not bool(sizes[-1] > 0):
        return None
    known = sizes >= (NORMAL if alike > ALIKE else 0.0)
    if int(known.sum()) < 2:
        return None
    logs, exponents, count = sizes.log()[known], _exponents(len(sizes))[known], len(sizes)
    slope = float(((logs - logs[0]) * exponents).sum() / exponents.square().sum())
    is_geometric = bool(((logs - logs[0]) - slope * exponents).abs().amax() <= alike)
    first, last = ((float(logs[i + 1] - logs[i]) * count) for i in (0, len(logs) - 2))
    theta = _round(math.exp(-slope if is_geometric else -last), alike)
    return Scale(theta, _round(float(1 / sizes[0]), alike), is_geometric, _round(math.exp(-first), alike))


def _exponents(count: int) -> torch.Tensor:
    return torch.arange(count, dtype=torch.float64) / count


def _round(value: float, alike: float) -> float:
    """The number of the fewest digits that is so near."""
    for digits in range(1, 6):
        rounded = float(f"{value:.{digits - 1}e}")
        if abs(rounded - value) <= alike * abs(value):
            return rounded
    return value
