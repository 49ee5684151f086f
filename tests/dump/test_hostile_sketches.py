"""A sketch that a stranger wrote is checked against the table, and the detail against what a dump can say."""

import json

import h5py
import numpy as np
import pytest

from probe.dump import Dump, DumpWriter
from probe.dump.detail import Detail
from probe.errors import NotKept, ProbeError
from tests.dump.small import tap

DETAIL = Detail(16)
X_TC = np.random.default_rng(0).standard_normal((4, 100)).astype(np.float32)


def sketched(path, detail=None, shape=(4, 17), dtype=np.float32):
    with DumpWriter(path) as writer:
        writer.describe(detail=DETAIL.to_json() if detail is None else detail)
        writer.add_sketch(tap("0:out", X_TC, "float32"), np.zeros(shape, dtype))
    return path


@pytest.mark.parametrize("shape", [(4, 16), (4, 100), (5, 17), (4,), (1 << 20, 17)])
def test_a_sketch_of_another_shape_than_the_table_s_is_damage(tmp_path, shape):
    with Dump(sketched(tmp_path / "x.h5", shape=shape)) as dump, pytest.raises(ProbeError, match="damaged: the sketch"):
        dump.sketch(dump.tap("0:out"), DETAIL)


def test_a_sketch_of_another_type_is_damage(tmp_path):
    with (
        Dump(sketched(tmp_path / "x.h5", dtype=np.float64)) as dump,
        pytest.raises(ProbeError, match="not of the type that its table gives, float32"),
    ):
        dump.sketch(dump.tap("0:out"), DETAIL)


def test_a_sketch_that_is_a_link_to_elsewhere_is_not_followed(tmp_path):
    with h5py.File(sketched(tmp_path / "x.h5"), "r+") as file:
        del file["steps/0/0:out"]
        file["steps/0/0:out"] = h5py.ExternalLink("/etc/passwd", "/x")
    with Dump(tmp_path / "x.h5") as dump, pytest.raises(ProbeError, match="is a link to somewhere else"):
        dump.sketch(dump.tap("0:out"), DETAIL)


@pytest.mark.parametrize(
    "detail",
    [
        {},
        [],
        "full",
        {**DETAIL.to_json(), "num_projections": -1},
        {**DETAIL.to_json(), "num_projections": 10**12},
        {**DETAIL.to_json(), "num_projections": 16.0},
        {**DETAIL.to_json(), "num_projections": True},
        {**DETAIL.to_json(), "seed": 1 << 80},
        {**DETAIL.to_json(), "has_values": None},
        {**DETAIL.to_json(), "tokens": [0]},
        {**DETAIL.to_json(), "tokens": [0, "8"]},
        {**DETAIL.to_json(), "tokens": [1 << 70, None]},
        {**DETAIL.to_json(), "tokens": 8},
    ],
    ids=json.dumps,
)
def test_a_detail_that_no_dump_has_is_damage(tmp_path, detail):
    with Dump(sketched(tmp_path / "x.h5", detail)) as dump, pytest.raises(ProbeError, match="is damaged"):
        dump.detail  # noqa: B018


def test_a_sketch_is_no_value_and_one_of_another_seed_is_none_either(tmp_path):
    with Dump(sketched(tmp_path / "x.h5")) as dump:
        found = dump.tap("0:out")
        for read in (dump.read, dump.bits, lambda tap: next(dump.blocks(tap, 4))):
            with pytest.raises(NotKept, match="its sketch alone"):
                read(found)
        with pytest.raises(NotKept):
            dump.sketch(found, Detail(16, seed=1))
        assert dump.sketch(found, DETAIL).projections.shape == (4, 16)
