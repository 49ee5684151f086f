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
    row_a_N, row_b_N = a_NC.sum(1), b_NC.sum(1)
    sums = [float(row_a_N.sum()), float(row_b_N.sum())]
    for a, b in ((a_NC, b_NC), (row_a_N, row_b_N), (a_NC.sum(0), b_NC.sum(0))):
        sums += [_dot(a, a), _dot(a, b), _dot(b, b)]
    return Moments(*sums)


def _dot(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(torch.dot(one.reshape(-1), other.reshape(-1)))


def apart(theirs: torch.Tensor, ours: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """A candidate's error without what it has in common with the reference's own rounding.

    Where both compute alike, what is left are the elements that differ; where they do not, all of it is left.
    """
    both, own = (_dot(in_units(x, weights), in_units(ours, weights)) for x in (theirs, ours))
    return theirs - min(max(both / own, 0.0), 1.0) * ours if own > 0 else theirs


def weights(noise: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """1 / the size that an honest difference has in a row; 0 for what does not count.

    A row without noise does not: nothing says how large its errors may be.
    """
    size = torch.where(counts, noise, 0.0).square().mean(-1, keepdim=True).sqrt()
    return torch.where(counts & (size > 0), 1 / size, 0.0)


def in_units(difference: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """A difference from the exact values, in units of noise."""
    return torch.where(weights > 0, difference * weights, 0.0)


def along(d: torch.Tensor, e: torch.Tensor) -> Moments:
    """Those that the coefficient takes, and not how sure it is."""
    return Moments(_dot(d, e), _dot(d, d))


def flips(plain: torch.Tensor, changed: torch.Tensor, candidate: torch.Tensor, counts: torch.Tensor) -> Moments:
    """Of the elements that a hypothesis rounds to another number: does the candidate have that one, or the plain one?

    All three in the candidate's own precision. The coefficient is the share that has the hypothesis' number; an
    element with neither says nothing.
    """
    moved = counts & (plain != changed)
    if not moved.any():
        return NONE
    is_new, is_old = (changed == candidate), (plain == candidate)
    seen = moved & (is_new | is_old)
    return moments(seen.double(), (seen & is_new).double())
