"""How sure a coefficient is, and how many witnesses there are for it."""

import pytest
import torch
from torch import Tensor, nn

from probe.diagnose.case import Case
from probe.diagnose.evidence import Moments, flips, in_units, moments, weights
from probe.diagnose.hypothesis import Plan
from probe.diagnose.ways import Way, manner_of
from probe.diagnose.witness import Evidence, Witness, of_flips
from probe.replay.program import Leaf, Program


def test_a_coefficient_knows_how_sure_it_is():
    generator = torch.Generator().manual_seed(0)
    d = 0.05 * torch.randn(200, 64, generator=generator)
    noise, other = (torch.randn(200, 64, generator=generator) for _ in range(2))
    units = weights(other, torch.ones_like(d, dtype=torch.bool))
    there, absent = (moments(in_units(d, units), in_units(e, units)) for e in (d + noise, noise))
    assert abs(there.coefficient - 1) < 3 * there.stderr
    assert abs(absent.coefficient) < 3 * absent.stderr
    assert 0.1 < there.stderr < 0.3


@pytest.mark.parametrize("axis", [0, 1])
def test_what_a_row_or_a_channel_has_in_common_is_one_witness(axis: int):
    """A scale of its own in every channel lies along d in each of 64 x 64 elements; still it is 64 witnesses."""
    y = torch.randn(64, 64, generator=torch.Generator().manual_seed(1))
    scales = torch.randn(64, generator=torch.Generator().manual_seed(2)).unsqueeze(axis)
    seen = moments(y, y * scales)
    assert seen.stderr == pytest.approx(64**-0.5, rel=0.5)


def test_only_elements_that_would_change_are_asked():
    plain = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    changed = torch.tensor([[1.0, 2.5, 3.5, 4.5]])
    candidate = torch.tensor([[9.0, 2.5, 3.0, 9.0]])
    seen = flips(plain, changed, candidate, torch.ones_like(plain, dtype=torch.bool))
    assert (seen.dd, seen.coefficient) == (2, 0.5)


@pytest.mark.parametrize(("heads", "tosses", "expected"), [(29, 29, False), (30, 30, True), (44, 50, False)])
def test_six_deviations_of_a_fair_coin(heads: int, tosses: int, expected: bool):
    """One in 1.0e9: thirty heads in a row."""
    tossed = torch.eye(tosses)
    evidence = of_flips(moments(tossed, tossed * (torch.arange(tosses) < heads)))
    assert (evidence is not None) is expected


def random(seed: int) -> Tensor:
    return torch.randn(64, 64, generator=torch.Generator().manual_seed(seed))


def said(**seen: Moments) -> Evidence | None:
    return Witness("norm.eps", 1e-6, 1e-5, "norm", "", (), **seen).verdict


def test_what_the_references_own_rounding_shows_too_is_no_finding():
    d = random(0)
    there, absent = moments(d, d + random(1)), moments(d, random(2))
    assert said(projection=there, control=absent) is not None
    assert said(projection=there, control=there) is None


def test_flips_that_float64_denies_are_no_finding():
    """All elements lie on the hypothesis' side, and the error is not along it: something else moved them."""
    tossed, d = torch.eye(40), random(0)
    flipped = moments(tossed, tossed)
    assert said(flips=flipped, projection=moments(d, d + random(1))) is not None
    assert said(flips=flipped, projection=moments(d, 0.1 * random(1))) is None


@pytest.mark.parametrize(("left", "is_told"), [(0, True), (125, True), (126, False), (500, False)])
def test_a_way_that_leaves_more_than_an_eighth_is_not_the_candidates(left: int, is_told: bool):
    x = torch.ones(100, 100, dtype=torch.int64)
    case = Case(nn.Identity(), None, Program(Leaf(x, "x:out")), x, x)
    manner = manner_of(case, Way(Plan(), x, "rounds once after several steps", 1000, left))
    assert (manner is not None) is is_told
