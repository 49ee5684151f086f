"""One rotation of queries or keys by their position: a table of complex numbers, one for every pair of channels.

Whatever form a rotary embedding is written in (halves, neighbours, complex numbers, a matrix), pairs of channels keep
their length, and all heads of a token are turned by the same angle. D channels are D/2 complex numbers here.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from probe.diagnose.edits import result
from probe.diagnose.spin import Spin
from probe.replay.program import Call, Edit

Layout = Literal["halves", "neighbours"]
LAYOUTS: tuple[Layout, Layout] = ("halves", "neighbours")


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
    narrow: torch.dtype | None = None
    """Of the table's cosines and sines, where they are rounded: those of a candidate in bf16 that are a tap."""

    def to(self, table: torch.Tensor, layout: Layout | None = None) -> Edit:
        """The tensor turned by another table of unit numbers, in another layout.

        A function of what the call returns: the rotation is undone first.
        """

        def change(turned: torch.Tensor) -> torch.Tensor:
            other = layout or self.layout
            return joined(pairs(self.undone(turned), other) * self.length * table, other).to(turned.dtype)

        return result(change)

    def at(self, spin: Spin) -> Edit:
        """The tensor turned by other positions or frequencies.

        A rounded table is rounded again; else, what the formula leaves of the table stays.
        """
        assert self.spin is not None
        if self.narrow is not None:
            return self.to(rounded(self.length * spin.table, self.narrow) / self.length)
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
    def length(self) -> torch.Tensor:
        """The factor that some scalings have on top."""
        return self.table.abs().square().mean().sqrt()

    @property
    def unit(self) -> torch.Tensor:
        return self.table / self.length


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


def rounded(table: torch.Tensor, narrow: torch.dtype) -> torch.Tensor:
    with torch._C.DisableTorchFunction():  # a mode of another precision would answer with that
        return torch.complex(*(part.to(narrow).double() for part in (table.real, table.imag)))
