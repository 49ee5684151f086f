"""rope.* where the candidate's table of rotations is rounded: it is a rotation still."""

import pytest
import torch
from torch import Tensor

from probe.diagnose.rotation import pairs
from probe.diagnose.rotation_table import table_between
from probe.diagnose.spin import spin_of
from tests.conftest import Compare
from tests.zoo.bugs import bug_named
from tests.zoo.pairs import pair

ROUNDED = [
    ("theta 1e6 for 1e4", "rope.theta", "mixtral", "bf16"),
    ("second half counted from zero", "rope.position", "mixtral", "bf16"),
    ("second half counted from zero", "rope.position", "qwen3-moe", "fp16"),
    ("no rotation", "rope.missing", "mixtral", "fp16"),
    ("rotated twice", "rope.twice", "llama", "bf16"),
]


@pytest.mark.parametrize(("name", "cause", "view", "dtype"), ROUNDED)
def test_a_table_that_the_candidate_rounds_is_a_rotation_too(
    compare: Compare, name: str, cause: str, view: str, dtype: str
):
    """Two taps of each layer show it, attention's weights and what they mix: one bug, which is planted once."""
    planted = pair(bug_named(name), view, seed=3, dtype=dtype)
    report = compare(planted.reference, planted.candidate, planted.inputs, candidate_inputs=planted.candidate_inputs)
    (finding,) = [one for one in report.findings if not one.cause.startswith("precision.")]
    assert finding.cause == cause
    assert finding.module in planted.places[0]
    assert report.explained > 0.9


def turned_by(table: Tensor, x: Tensor) -> Tensor:
    z = pairs(x, "halves") * table
    return torch.cat([z.real, z.imag], dim=-1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_positions_and_frequencies_are_read_from_a_rounded_table(dtype: torch.dtype):
    x = torch.randn(2, 4, 200, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    frequencies = 10000.0 ** (-torch.arange(8, dtype=torch.float64) / 8)
    places = torch.cat([torch.arange(150), torch.arange(50)])[:, None]
    angles = places * frequencies
    rounded = torch.complex(angles.cos().to(dtype).double(), angles.sin().to(dtype).double())
    table = table_between(x, turned_by(rounded, x), "halves")
    assert table is not None
    assert table.narrow == dtype
    assert torch.equal(table.numbers.squeeze(), rounded)
    spin = spin_of(table.numbers, table.narrow)
    assert spin is not None
    assert torch.equal(spin.positions.reshape(-1, 1), places)
    assert torch.allclose(spin.frequencies, frequencies, 2e-2)


def test_a_small_change_of_every_number_is_no_rotation_by_a_rounded_table():
    generator = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(2, 4, 20, 16, dtype=torch.float64, generator=generator) for _ in range(2))
    assert table_between(x, x * (1 + 1e-3 * noise), "halves") is None
    assert table_between(x, x.to(torch.bfloat16).double(), "halves") is None
