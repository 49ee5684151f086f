"""What `sketch=K` keeps of each tensor is what the map of probe.dump.projection makes of it, whatever the dtype."""

import numpy as np
import pytest
import torch
from torch import nn

import probe
from probe.capture.sketch import sketch
from probe.dump.detail import Detail
from probe.dump.projection import projected, projection
from probe.errors import NotKept, ProbeError

DETAIL = Detail(16)
ROUNDING = 1e-6


def rows(tensor, detail=DETAIL):
    return sketch(tensor, detail).rows.double().numpy()


@pytest.mark.parametrize("num_channels", [17, 64, 65, 200])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_on_the_device_it_is_what_the_map_says(dtype, num_channels):
    x_BTC = torch.randn(2, 5, num_channels, generator=torch.Generator().manual_seed(0)).to(dtype)
    made = rows(x_BTC)
    wide = x_BTC.double().numpy()
    by = projection(num_channels, 16, 0)
    np.testing.assert_allclose(made[..., :-1].reshape(10, 16), projected(wide.reshape(10, -1), by), atol=10 * ROUNDING)
    np.testing.assert_allclose(made[..., -1], np.linalg.norm(wide, axis=-1), rtol=ROUNDING)


def test_neither_autocast_nor_coarse_products_nor_strides_change_it():
    x_TC = torch.randn(7, 300)
    plain = rows(x_TC)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(rows(x_TC), plain)
    np.testing.assert_allclose(rows(x_TC.T.contiguous().T), plain, atol=10 * ROUNDING)
    torch.set_float32_matmul_precision("medium")
    try:
        np.testing.assert_allclose(rows(x_TC), plain, atol=10 * ROUNDING)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_what_is_not_finite_is_counted_and_shows_where_it_is():
    x_TC = torch.randn(6, 200)
    clean = rows(x_TC)
    x_TC[1, 3], x_TC[2, 5], x_TC[3, 7], x_TC[4, 9] = torch.nan, torch.inf, -torch.inf, torch.finfo(torch.float32).min
    made = sketch(x_TC, DETAIL)
    assert (made.num_nan, made.num_inf) == (1, 2)
    assert made.rows.isfinite().all()
    changed = np.abs(rows(x_TC) - clean).max(axis=1) > 1e-3
    assert changed.tolist() == [False, True, True, True, True, False]
    moved = x_TC.clone()
    moved[1, 3], moved[1, 4] = 0.5, torch.nan
    assert not np.allclose(rows(moved)[1], rows(x_TC)[1])


def test_numbers_whose_squares_leave_float32_keep_their_norms():
    for size in (1e-30, 1e25):
        x_TC = torch.full((2, 100), size)
        np.testing.assert_allclose(rows(x_TC)[:, -1], 10 * size, rtol=ROUNDING)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = nn.Linear(300, 200)
        self.narrow = nn.Linear(200, 8)

    def forward(self, x):
        return self.narrow(self.wide(x))


@pytest.fixture
def recorded(tmp_path):
    torch.manual_seed(0)
    model, x_TC = Block(), torch.randn(4, 300)
    for name, how in (("full", {}), ("sketch", {"sketch": 16}), ("statistics", {"stats_only": True})):
        with torch.no_grad(), probe.record(model, tmp_path / f"{name}.h5", **how):
            model(x_TC)
    return tmp_path


def test_wide_taps_are_sketched_and_narrow_ones_kept(recorded):
    with probe.open(recorded / "full.h5") as full, probe.open(recorded / "sketch.h5") as dump:
        assert [(tap.name, tap.shape, tap.dtype) for tap in dump.taps] == [
            (t.name, t.shape, t.dtype) for t in full.taps
        ]
        np.testing.assert_array_equal(dump["narrow:out"], full["narrow:out"])
        assert dump.tap("wide:out").statistics.l2 == pytest.approx(full.tap("wide:out").statistics.l2, rel=1e-6)
        with pytest.raises(NotKept, match="holds of 'wide:out' its sketch alone"):
            dump["wide:out"]
        mine, other = (side.sketch(side.tap("wide:out"), dump.detail) for side in (dump, full))
        np.testing.assert_allclose(mine.projections, other.projections, atol=1e-5)
        np.testing.assert_allclose(mine.norms, other.norms, rtol=1e-6)


def test_a_tensor_that_is_given_on_is_sketched_once(recorded):
    with probe.open(recorded / "sketch.h5") as dump:
        returned, given = dump.tap("wide:out"), dump.tap("narrow:in")
        assert returned.statistics.hash == given.statistics.hash
        one, other = (dump.sketch(tap, dump.detail) for tap in (returned, given))
        np.testing.assert_array_equal(one.projections, other.projections)
    assert (recorded / "sketch.h5").stat().st_size < (recorded / "full.h5").stat().st_size


def test_statistics_alone_are_the_very_statistics(recorded):
    with probe.open(recorded / "full.h5") as full, probe.open(recorded / "statistics.h5") as dump:
        assert dump.taps == full.taps
        with pytest.raises(NotKept, match="its statistics alone"):
            dump["wide:out"]


def test_in_inference_mode_a_tensor_that_was_changed_in_place_is_sketched_again(tmp_path):
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Identity(), nn.Identity()

        def forward(self, x):
            return self.second(self.first(x + 0).mul_(2))

    model = InPlace()
    with torch.inference_mode(), probe.record(model, tmp_path / "dump.h5", sketch=4):
        model(torch.ones(2, 100))
    with probe.open(tmp_path / "dump.h5") as dump:
        before, after = (dump.sketch(dump.tap(name), dump.detail) for name in ("first:out", "second:in"))
        np.testing.assert_allclose(after.projections, 2 * before.projections)


@pytest.mark.parametrize("how", [{"sketch": 0}, {"sketch": 1 << 20}, {"sketch": 8, "stats_only": True}])
def test_what_makes_no_sense_is_refused_before_anything_is_written(tmp_path, how):
    with pytest.raises(ProbeError), probe.record(Block(), tmp_path / "dump.h5", **how):
        pass
    assert not list(tmp_path.iterdir())
