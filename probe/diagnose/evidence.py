"""How surely many small differences point where a hypothesis says, in standard deviations."""

import math
from dataclasses import dataclass, fields

import torch


@dataclass(frozen=True)
class Moments:
    """Sums over the elements of places: e is what was found, d what the hypothesis makes of it, both in noise's units.

    A and B are sums of d e and d d within one element, one row or one channel. Errors that a row or a channel has in
    common (a rounded weight, a rounded mean) are no independent witnesses; so the least sure of the three counts.
    """

    de: float = 0.0
    dd: float = 0.0
    element_aa: float = 0.0
    element_ab: float = 0.0
    element_bb: float = 0.0
    row_aa: float = 0.0
    row_ab: float = 0.0
    row_bb: float = 0.0
    channel_aa: float = 0.0
    channel_ab: float = 0.0
    channel_bb: float = 0.0

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def coefficient(self) -> float:
        """1 where the candidate does what the hypothesis says, 0 where it does what the reference does."""
        return self.de / self.dd if self.dd else 0.0

    @property
    def stderr(self) -> float:
        """Of the coefficient; infinite where the hypothesis changes nothing."""
        if not self.dd:
            return math.inf
        c = self.coefficient
        residuals = (
            self.element_aa - 2 * c * self.element_ab + c * c * self.element_bb,
            self.row_aa - 2 * c * self.row_ab + c * c * self.row_bb,
            self.channel_aa - 2 * c * self.channel_ab + c * c * self.channel_bb,
        )
        return math.sqrt(max(0.0, *residuals)) / self.dd


NONE = Moments()


def moments(d: torch.Tensor, e: torch.Tensor) -> Moments:
    """Of two tensors of one shape; the last axis is the channels. What does not count is 0 in both."""
    d_NC, e_NC = (x.reshape(-1, x.shape[-1]) if x.dim() else x.reshape(1, 1) for x in (d.double(), e.double()))
    a_NC, b_NC = d_NC * e_NC, d_NC * d_NC
    sums = [float(a_NC.sum()), float(b_NC.sum())]
    for a, b in ((a_NC, b_NC), (a_NC.sum(1), b_NC.sum(1)), (a_NC.sum(0), b_NC.sum(0))):
        sums += [float((a * a).sum()), float((a * b).sum()), float((b * b).sum())]
    return Moments(*sums)


def apart(theirs: torch.Tensor, ours: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """A candidate's error without what it has in common with the reference's own rounding.

    Where both compute alike, what is left are the elements that differ; where they do not, all of it is left.
    """
    sizes = torch.where(counts, ours, 0.0).square().mean(-1, keepdim=True)
    weight = torch.where(counts & (sizes > 0), 1 / sizes, 0.0)
    both, own = (float((weight * torch.where(counts, x * ours, 0.0)).sum()) for x in (theirs, ours))
    return theirs - min(max(both / own, 0.0), 1.0) * ours if own > 0 else theirs


def projection(d: torch.Tensor, e: torch.Tensor, noise: torch.Tensor, counts: torch.Tensor) -> Moments:
    """d and e are differences from the exact values; `noise` is an honest difference, whose size in a row is the unit.

    A row without noise is left out: nothing says how large its errors may be.
    """
    size = torch.where(counts, noise, 0.0).square().mean(-1, keepdim=True).sqrt()
    seen = counts & (size > 0)
    unit = torch.where(size > 0, size, 1.0)
    return moments(torch.where(seen, d / unit, 0.0), torch.where(seen, e / unit, 0.0))


def flips(plain: torch.Tensor, changed: torch.Tensor, candidate: torch.Tensor, counts: torch.Tensor) -> Moments:
    """Of the elements that a hypothesis rounds to another number: does the candidate have that one, or the plain one?

    All three in the candidate's own precision. The coefficient is the share that has the hypothesis' number; an
    element with neither says nothing.
    """
    is_new, is_old = (changed == candidate), (plain == candidate)
    seen = counts & (plain != changed) & (is_new | is_old)
    return moments(seen.double(), (seen & is_new).double())
