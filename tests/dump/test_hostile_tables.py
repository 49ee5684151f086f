"""What a table's rows claim is checked before anything is allocated or decoded."""

import h5py
import numpy as np
import pytest

from probe.align.mapping import Layout, Pair, Source
from probe.dump import Dump
from probe.dump.amend import add_repetition
from probe.dump.table import TAPS, WEIGHTS, row_type
from probe.errors import ProbeError
from probe.replay.repetition import noise
from tests.dump.small import everything, small_dump


def refusal(path):
    with pytest.raises(ProbeError) as caught:
        everything(path)
    assert caught.value.hint == "copy it or record it again"
    return str(caught.value)


def with_table(path, change, name="taps", **storage):
    """A small dump whose table is what `change` makes of its rows."""
    with h5py.File(small_dump(path), "r+") as file:
        changed = change(file[name][()])
        del file[name]
        file.create_dataset(name, data=changed, **(storage or {"chunks": (8,), "maxshape": (None,)}))
    return path


def claiming(column, value):
    def change(rows):
        rows[column][0] = value
        return rows

    return change


def retyped(**kinds):
    """The same columns, some of another type."""

    def change(rows):
        fields = [(name, kinds.get(name, rows.dtype[name])) for name in rows.dtype.names]
        return np.zeros(0, fields)

    return change


def test_a_table_that_is_only_written_anew_is_read(tmp_path):
    assert everything(with_table(tmp_path / "x.h5", lambda rows: rows)) == 4


def test_a_row_that_claims_a_trillion_elements_allocates_nothing(tmp_path):
    path = with_table(tmp_path / "x.h5", claiming("shape", b"1000000,1000000"))
    with Dump(path) as dump:
        tap = dump.taps[0]
        assert tap.num_elements == 10**12
        for read in (dump.read, dump.bits, lambda tap: next(dump.blocks(tap, 10**12))):
            with pytest.raises(ProbeError, match="where its table says"):
                read(tap)


@pytest.mark.parametrize("shape", [b"-1,24", b"2,x", b",", b"2;12", b"9" * 16, b"\xff\xfe", b"2.0"])
def test_a_shape_that_is_none_is_refused(tmp_path, shape):
    assert "is damaged" in refusal(with_table(tmp_path / "x.h5", claiming("shape", shape)))


@pytest.mark.parametrize("dtype", [b"float33", b"object", b"", b"\xff", b"qint8", b"float64"])
def test_a_dtype_that_is_none_or_not_the_tensors_is_refused(tmp_path, dtype):
    assert "is damaged" in refusal(with_table(tmp_path / "x.h5", claiming("dtype", dtype)))


@pytest.mark.parametrize(
    ("column", "value"),
    [("tap", b"elsewhere:in"), ("tap", b""), ("tap", b"."), ("tap", b"\xff\xff"), ("step", 7), ("step", -1)],
)
def test_a_row_of_a_tap_that_is_not_there_is_refused(tmp_path, column, value):
    assert "is damaged" in refusal(with_table(tmp_path / "x.h5", claiming(column, value)))


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[["step", "order", "tap"]],
        lambda rows: np.arange(5),
        lambda rows: rows.reshape(2, 2),
        retyped(step="f8"),
        retyped(order="S8"),
        retyped(shape="i8"),
        retyped(dtype=h5py.string_dtype()),
        retyped(tap=h5py.vlen_dtype(np.uint8)),
        retyped(module=h5py.ref_dtype),
        retyped(hash=("u8", (3,))),
    ],
    ids=["fewer", "numbers", "two axes", "float", "text", "number", "heap text", "heap bytes", "reference", "array"],
)
def test_a_table_with_other_columns_is_refused(tmp_path, change):
    path = with_table(tmp_path / "x.h5", change, track_times=False)
    assert "its table /taps: it has other columns" in refusal(path)


@pytest.mark.parametrize("name", ["taps", "weights"])
@pytest.mark.parametrize("layout", [{"compression": "gzip"}, {"scaleoffset": 0}, {"track_times": False}])
def test_a_table_that_is_packed_is_refused(tmp_path, name, layout):
    change = (lambda rows: rows) if layout != {"scaleoffset": 0} else (lambda rows: np.arange(9))
    assert f"its table /{name}" in refusal(with_table(tmp_path / "x.h5", change, name, **layout))


@pytest.mark.parametrize(("name", "columns"), [("taps", TAPS), ("weights", WEIGHTS)])
@pytest.mark.parametrize(("rows", "chunk"), [(10**12, 1000), (10, 10_000_000)])
def test_a_table_larger_than_the_file_is_not_allocated(tmp_path, name, columns, rows, chunk):
    with h5py.File(small_dump(tmp_path / "x.h5"), "r+") as file:
        del file[name]
        file.create_dataset(name, (rows,), row_type(columns, []), chunks=(chunk,), maxshape=(None,))
    assert "it is larger than the file" in refusal(tmp_path / "x.h5")


def test_a_table_whose_bytes_changed_is_refused(tmp_path):
    path = small_dump(tmp_path / "x.h5")
    raw = path.read_bytes()
    place = raw.index(b"float32\0") + 40  # among the statistics of some row
    path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
    assert "its table" in refusal(path)


@pytest.mark.parametrize("name", ["taps", "steps"])
def test_a_dump_without_its_tables_is_refused(tmp_path, name):
    with h5py.File(small_dump(tmp_path / "x.h5"), "r+") as file:
        del file[name]
    assert "it is missing" in refusal(tmp_path / "x.h5")


def test_a_run_without_weights_or_inputs_is_a_dump_all_the_same(tmp_path):
    with h5py.File(small_dump(tmp_path / "x.h5"), "r+") as file:
        for name in ("weights", "weight_sketches", "weight_values", "inputs"):
            del file[name]
    assert everything(tmp_path / "x.h5") == 4
    with Dump(tmp_path / "x.h5") as dump:
        assert (dump.weights, dump.inputs(), dump.weight_value("0.bias", "float32")) == ([], {}, None)
        assert dump.sketches.directions.shape == (0, 8)


@pytest.mark.parametrize(
    ("rows", "kind"),
    [(3, [("distance", "f8"), ("own", "f8")]), (4, [("distance", "f8")]), (4, [("distance", "f8"), ("own", "S8")])],
)
def test_a_repetition_that_is_not_of_these_taps_is_refused(tmp_path, rows, kind):
    path = small_dump(tmp_path / "x.h5")
    with h5py.File(path, "r+") as file:
        file.create_dataset("repetition", data=np.zeros(rows, kind), chunks=(8,), maxshape=(None,))
    with Dump(path) as dump, pytest.raises(ProbeError, match="is damaged: its table /repetition"):
        _ = dump.repetition


def test_distances_that_make_no_sense_are_no_floor(tmp_path):
    path = small_dump(tmp_path / "x.h5")
    add_repetition(path, [(float("nan"), 1.0), (float("inf"), -1.0), (0.5, float("nan")), (0.25, 0.125)])
    with Dump(path) as dump:
        pairs = [Pair(tap, (Source(tap),), Layout(), "name") for tap in dump.taps]
        found = [noise(pair, dump, own=own) for own in (False, True) for pair in pairs]
        sizes = [tap.statistics.l2 for tap in dump.taps]
    assert found == [0, 0, 0.5 * sizes[2], 0.25 * sizes[3], sizes[0], 0, 0, 0.125 * sizes[3]]
