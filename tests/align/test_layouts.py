"""Layouts found from shapes, and what they do to values."""

import numpy as np
import pytest
import torch
from torch import nn

import probe
from probe.align.layouts import layout_for
from probe.align.mapping import Layout, Pair, Source, candidate_values
from probe.errors import ProbeError
from probe.tap import Tap

BATCH = (2, 5)


@pytest.mark.parametrize(
    ("reference", "candidate", "layout"),
    [
        ((2, 5, 8), (2, 5, 8), Layout()),
        ((2, 5, 8), (10, 8), Layout()),
        ((1, 5, 8), (5, 8), Layout()),
        ((2, 5, 8), (2, 5, 4, 2), Layout()),
        ((2, 4, 5, 3), (2, 5, 4, 3), Layout("b t h d -> b h t d")),
        ((2, 4, 5, 3), (2, 5, 12), Layout("b t (h d) -> b h t d")),
        ((2, 4, 5, 3), (10, 12), Layout("(b t) (h d) -> b h t d")),
        ((2, 5, 12), (2, 4, 5, 3), Layout("b h t d -> b t (h d)")),
        ((2, 5, 8), (7, 8), Layout(unpadded=True)),
        ((2, 5, 8), (1, 7, 8), Layout(unpadded=True)),
        ((2, 5, 4, 2), (7, 8), Layout(unpadded=True)),
        ((2, 5, 8), (2, 5, 9), None),
        ((2, 5, 8), (6, 8), None),
        ((2, 5, 8), (8, 10), None),
        ((2, 3, 8), (7, 8), None),
    ],
)
def test_shapes_tell_the_layout(reference, candidate, layout):
    assert layout_for(reference, candidate, BATCH, num_kept=7) == layout


def test_without_padding_fewer_rows_have_no_layout():
    assert layout_for((2, 5, 8), (7, 8), BATCH, num_kept=None) is None


class Returns(nn.Module):
    """A model that returns what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


@pytest.fixture
def read(tmp_path):
    """`read(array, shape, layout, columns, kept)`: the array as a candidate's tap, in the reference's shape."""

    def run(array, shape, layout, columns=None, kept=None):
        model = Returns()
        with probe.record(model, tmp_path / "c.h5", force=True):
            model(torch.from_numpy(array))
        with probe.open(tmp_path / "c.h5") as dump:
            reference = Tap("m:out", "m", "Linear", 0, "out", 0, 0, shape, "float32")
            pair = Pair(reference, (Source(dump.tap("inner:out"), columns),), layout, "test")
            return candidate_values(pair, dump, kept)

    return run


ARRAY = np.arange(2 * 5 * 12, dtype=np.float32)


def test_heads_are_moved_before_tokens(read):
    found = read(ARRAY.reshape(2, 5, 12), (2, 4, 5, 3), Layout("b t (h d) -> b h t d"))
    assert np.array_equal(found, ARRAY.reshape(2, 5, 4, 3).transpose(0, 2, 1, 3))


def test_channels_are_cut_out_in_the_order_given(read):
    found = read(ARRAY.reshape(10, 12), (2, 5, 4), Layout(), columns=((8, 10), (0, 2)))
    assert np.array_equal(found, ARRAY.reshape(2, 5, 12)[..., [8, 9, 0, 1]])


def test_unpadded_rows_go_to_the_tokens_that_were_kept(read):
    kept = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], bool)
    rows = np.arange(1, 7 * 3 + 1, dtype=np.float32).reshape(7, 3)
    found = read(rows, (2, 5, 3), Layout(unpadded=True), kept=kept)
    assert np.array_equal(found[kept], rows)
    assert not found[~kept].any()


def test_a_layout_that_does_not_fit_says_so_and_how_to_go_on(read):
    with pytest.raises(ProbeError, match="cannot compare 'm:out'") as raised:
        read(ARRAY.reshape(10, 12), (2, 5, 12), Layout("b t h d -> b h t d"))
    assert "mapping table" in (raised.value.hint or "")
