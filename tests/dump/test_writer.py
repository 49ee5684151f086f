"""A dump has its name only when it is whole, and takes nobody else's."""

import json

import h5py
import numpy as np
import pytest

from probe.dump import Dump, DumpWriter
from probe.errors import ProbeError
from tests.dump.small import everything, small_dump, tap

ONES = np.ones((2, 3), np.float32)


def refusal(path, **keywords):
    with pytest.raises(ProbeError) as caught:
        DumpWriter(path, **keywords)
    assert caught.value.hint
    return str(caught.value)


def test_a_file_that_exists_is_not_replaced(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    assert refusal(path) == f"{path} exists already"
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    assert path.read_text() == "mine"


def test_force_replaces_it_only_when_the_new_one_is_whole(tmp_path):
    path = tmp_path / "x.h5"
    path.write_text("mine")
    with DumpWriter(path, force=True) as writer:
        writer.add(tap("layer:out", ONES, "float32"), ONES)
        writer.flush()
        assert path.read_text() == "mine"
    assert everything(path) == 1


def test_nothing_has_the_final_name_before_the_end(tmp_path):
    path = tmp_path / "x.h5"
    with DumpWriter(path) as writer:
        writer.add(tap("layer:out", ONES, "float32"), ONES)
        writer.flush()
        assert [file.name for file in tmp_path.iterdir()] == ["x.h5.partial"]
    assert [file.name for file in tmp_path.iterdir()] == ["x.h5"]
    with Dump(path) as dump:
        assert dump.complete


def test_an_exception_leaves_a_readable_file_that_says_it_is_not_whole(tmp_path):
    def stopped():
        with DumpWriter(tmp_path / "x.h5") as writer:
            writer.add(tap("layer:out", ONES, "float32"), ONES)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert [file.name for file in tmp_path.iterdir()] == ["x.h5.partial"]
    assert everything(tmp_path / "x.h5.partial") == 1
    with Dump(tmp_path / "x.h5.partial") as dump:
        assert not dump.complete
        assert np.array_equal(dump["layer:out"], ONES)


def test_two_writers_do_not_share_a_name(tmp_path):
    path = tmp_path / "x.h5"
    with DumpWriter(path) as writer:
        writer.add(tap("layer:out", ONES, "float32"), ONES)
        assert refusal(path) == f"another run is writing {path}"
        assert refusal(path, force=True) == f"another run is writing {path}"
        writer.add(tap("layer:in", ONES, "float32"), ONES)
    assert everything(path) == 2


def test_what_a_killed_run_left_is_no_obstacle(tmp_path):
    (tmp_path / "x.h5.partial").write_bytes(b"left over " * 10_000)
    small_dump(tmp_path / "x.h5")
    assert everything(tmp_path / "x.h5") == 4
    assert [file.name for file in tmp_path.iterdir()] == ["x.h5"]


def test_a_file_that_appears_meanwhile_is_kept_and_so_is_the_recording(tmp_path):
    path = tmp_path / "x.h5"
    writer = DumpWriter(path)
    writer.add(tap("layer:out", ONES, "float32"), ONES)
    path.write_text("mine")
    with pytest.raises(ProbeError, match="meanwhile") as caught:
        writer.finish()
    assert str(writer.partial) in caught.value.hint
    assert path.read_text() == "mine"
    assert everything(writer.partial) == 1


@pytest.mark.parametrize("name", ["missing/x.h5", "x" * 300, "file/x.h5", "nul\0.h5"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, name):
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / name).startswith(f"cannot write {tmp_path / name}: ")


def test_a_folder_is_no_place_for_a_dump(tmp_path):
    assert refusal(tmp_path, force=True) == f"{tmp_path} is a folder"
    assert list(tmp_path.iterdir()) == []


def test_descriptions_may_be_long_and_hold_any_text(tmp_path):
    config = {"id2label": {str(n): f"label \0 \ud800 \N{PILE OF POO} {n}" for n in range(20_000)}, "eps": float("inf")}
    with DumpWriter(tmp_path / "x.h5") as writer:
        writer.describe(config=config, target=None, environment={"folder": tmp_path})
    with Dump(tmp_path / "x.h5") as dump:
        assert dump.attribute("config") == json.loads(json.dumps(config))
        assert dump.attribute("target") is None
        assert dump.environment == {"folder": str(tmp_path)}
        assert dump.attribute("notes") is None


def test_hdf5_tools_find_every_tap_and_read_its_name_as_text(tmp_path):
    names = ["z:out", "a:out", "m:out"]
    with DumpWriter(tmp_path / "x.h5") as writer:
        for name in names:
            writer.add(tap(name, ONES, "float32"), ONES)
    with h5py.File(tmp_path / "x.h5", locking=False) as file:
        assert set(file["steps/0"]) == set(names)
        assert [row["tap"].decode() for row in file["taps"]] == names
        assert file["taps"].dtype["tap"].kind == "S"
