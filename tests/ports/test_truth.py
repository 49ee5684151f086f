"""The language in which ports say where their reference's numbers lie; and a truth that is wrong does not pass."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import probe
from probe.dump import Dump
from probe.tap import Tap
from tests.ports.truth import counterpart, relative, true_values


class Echo(nn.Module):
    """Two taps of (2, 3, 4): 0 to 23, and those negated."""

    def __init__(self) -> None:
        super().__init__()
        self.ours, self.other = nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.ours(x) + self.other(-x)


VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture
def dump(tmp_path: Path) -> Dump:
    model = Echo()
    with probe.record(model, tmp_path / "echo.h5", functional="none"):
        model(torch.from_numpy(VALUES))
    return probe.open(tmp_path / "echo.h5")


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ("ours:out", VALUES),
        ("ours:out", VALUES.reshape(6, 4)),
        ("ours:out[2:4,0:1]", VALUES[..., [2, 3, 0]]),
        ("ours:out[0:1] + other:out[3:4]", np.stack([VALUES[..., 0], -VALUES[..., 3]], axis=-1)),
        ("ours:out | b t c -> t b c", VALUES.transpose(1, 0, 2)),
        ("ours:out | b t (h d) -> b h t d", VALUES.reshape(2, 3, 2, 2).transpose(0, 2, 1, 3)),
        ("ours:out | b t (d n) -> b t (n d), n=2", VALUES[..., [0, 2, 1, 3]]),
        ("ours:out | n b c -> b (n c) | [4:8]", VALUES[1]),
    ],
)
def test_what_is_said_is_read(dump: Dump, said, values):
    assert np.array_equal(true_values(said, dump, values.shape, None), values)


def test_rows_without_padding_go_to_their_tokens(dump: Dump):
    kept = np.array([[True, True], [True, False]])
    found = true_values("ours:out | b t c -> t b c | unpadded", dump, (2, 2, 2, 4), kept)
    assert np.array_equal(found[kept], VALUES.transpose(1, 0, 2))
    assert not found[~kept].any()


TRUTH = {"h.{i}.a:out": "blocks.{i}:out", "*:in.mask": None}


def tap(module: str, port: str) -> Tap:
    return Tap(f"{module}:{port}", module, "Linear", 0, port, 0, 0, (1,), "float32")


def test_a_layer_s_number_is_filled_in():
    assert counterpart(TRUTH, tap("h.12.a", "out")) == "blocks.12:out"
    assert counterpart(TRUTH, tap("h.12.b", "in.mask")) is None


def test_a_tap_of_which_nothing_is_said_is_an_error():
    with pytest.raises(KeyError, match=r"says nothing of 'h\.\{i\}\.b:out'"):
        counterpart(TRUTH, tap("h.12.b", "out"))


def test_another_channel_s_numbers_are_far_off():
    assert relative(VALUES[..., 0], VALUES[..., 0] * (1 + 1e-7)) < 1e-6
    assert relative(VALUES[..., 0], VALUES[..., 1]) > 0.05
