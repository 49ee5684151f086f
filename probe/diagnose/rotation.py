"""One rotation of queries or keys by their position: a table of complex numbers, one for every pair of channels.

Whatever form a rotary embedding is written in (halves, neighbours, complex numbers, a matrix), pairs of channels keep
their length, and all heads of a token are turned by the same angle. D channels are D/2 complex numbers here.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from probe.diagnose.edits import result
from probe.replay.program import Call, Edit

Layout = Literal["halves", "neighbours"]
LAYOUTS: tuple[Layout, Layout] = ("halves", "neighbours")
CLOSE = 1e-5
"""Relative: a reference's own tables are float32's at best, and its rotation is off by 1e-7 from any formula."""


@dataclass(frozen=True)
class Spin:
    """Angles that are position times frequency."""

    positions: torch.Tensor
    """Whole numbers, (..., 1)."""
    frequencies: torch.Tensor
    """[D/2]: radians a position."""

    @property
    def angles(self) -> torch.Tensor:
        return self.positions * self.frequencies

    @property
    def table(self) -> torch.Tensor:
        return torch.polar(torch.ones_like(self.angles), self.angles)


@dataclass(frozen=True)
class Turn:
    """One rotation: of the queries, of the keys, or of both in one tensor."""

    call: Call
    """What returns the turned tensor."""
    layout: Layout
    table: torch.Tensor
    """By what each pair is multiplied, complex; 1 long on the axes on which it does not depend."""
    spin: Spin | None
    """None where the angles are not position times frequency."""

    def to(self, table: torch.Tensor, layout: Layout | None = None) -> Edit:
        """The tensor turned by another table of unit numbers, in another layout.

        A function of what the call returns: the rotation is undone first.
        """
        length = self.table.abs()

        def change(turned: torch.Tensor) -> torch.Tensor:
            other = layout or self.layout
            return joined(pairs(self.undone(turned), other) * length * table, other).to(turned.dtype)

        return result(change)

    def at(self, spin: Spin) -> Edit:
        """The tensor turned by other positions or frequencies; what the formula leaves of the table stays."""
        assert self.spin is not None
        return self.to(self.unit * self.spin.table.conj() * spin.table)

    def permuted(self, written: Layout, read: Layout) -> Edit:
        """The tensor with its channels in the order of another layout before it is turned."""

        def change(turned: torch.Tensor) -> torch.Tensor:
            channels = joined(pairs(self.undone(turned), read), written)
            return joined(pairs(channels, self.layout) * self.table, self.layout).to(turned.dtype)

        return result(change)

    def undone(self, turned: torch.Tensor) -> torch.Tensor:
        return joined(pairs(turned, self.layout) / self.table, self.layout)

    @property
    def unit(self) -> torch.Tensor:
        """The table without the factor that some scalings have on top."""
        return self.table / self.table.abs()


def pairs(x: torch.Tensor, layout: Layout) -> torch.Tensor:
    """(..., D) to complex (..., D/2): channels i and i + D/2, or 2i and 2i + 1."""
    x = x.double()
    first, second = x.chunk(2, dim=-1) if layout == "halves" else (x[..., ::2], x[..., 1::2])
    return torch.complex(first.contiguous(), second.contiguous())


def joined(z: torch.Tensor, layout: Layout) -> torch.Tensor:
    """The other way round."""
    if layout == "halves":
        return torch.cat([z.real, z.imag], dim=-1)
    return torch.stack([z.real, z.imag], dim=-1).flatten(-2)


def table_between(before: torch.Tensor, after: torch.Tensor, layout: Layout) -> torch.Tensor | None:
    """What turns one into the other: numbers of one length that are equal on as many axes as can be; else None.

    A tensor turned by one angle everywhere (minus itself, its halves exchanged) is no rotation by position.
    """
    z_before, z_after = pairs(before, layout), pairs(after, layout)
    axes: tuple[int, ...] = ()
    table = _ratio(z_before, z_after, axes)
    if not _turns(z_before, z_after, table):
        return None
    for axis in range(z_before.dim() - 1):
        fewer = _ratio(z_before, z_after, (*axes, axis))
        if _turns(z_before, z_after, fewer):
            axes, table = (*axes, axis), fewer
    return None if table[..., 0].numel() == 1 else table


def _ratio(before: torch.Tensor, after: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """The least-squares factor, of the length that all have in common; 1 where nothing is turned."""
    product, square = after * before.conj(), before.abs().square()
    length = after.abs().square().sum().sqrt() / square.sum().sqrt()
    if axes:
        product = product.sum(axes, keepdim=True)
    size = product.abs()
    return torch.where(size > 0, product / size.clamp(min=1e-300), torch.ones_like(product)) * length


def _turns(before: torch.Tensor, after: torch.Tensor, table: torch.Tensor) -> bool:
    return bool((after - before * table).abs().square().sum().sqrt() <= CLOSE * after.abs().square().sum().sqrt())


def spin_of(table: torch.Tensor) -> Spin | None:
    """Positions and frequencies of a table's angles, if most tokens stand one position after the one before."""
    rows = table.reshape(-1, table.shape[-1])
    steps = (rows[1:] * rows[:-1].conj()).angle()
    moved = steps[steps.abs().amax(-1) > CLOSE]
    if len(moved) == 0:
        return None
    frequencies = moved.median(0).values
    slowest = int(frequencies.abs().argmin())
    if not frequencies[slowest]:
        return None
    counts = torch.cat([rows[:1].angle(), steps])[:, slowest] / frequencies[slowest]
    positions = counts.cumsum(0).round()[:, None]
    rest = (rows * Spin(positions, frequencies).table.conj()).angle()
    frequencies = frequencies + (rest * positions).sum(0) / positions.square().sum()
    spin = Spin(positions.reshape(*table.shape[:-1], 1), frequencies)
    unit = table / table.abs()
    return spin if bool((spin.table - unit).abs().amax() <= 10 * CLOSE) else None
