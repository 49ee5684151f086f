"""What is no whole dump of this version is refused in a sentence, with what to do next; never with a crash."""

import os

import h5py
import numpy as np
import pytest

from probe.dump import Dump
from probe.errors import ProbeError
from tests.dump.small import everything, small_dump


def refusal(path):
    """What the user is told, in full."""
    with pytest.raises(ProbeError) as caught:
        everything(path)
    assert caught.value.hint
    return f"{caught.value} | {caught.value.hint}"


def test_a_missing_file_is_said_to_be_missing_and_its_neighbours_are_named(tmp_path):
    assert refusal(tmp_path / "x.h5").startswith(f"{tmp_path / 'x.h5'}: no such file | record one with 'probe dump")
    small_dump(tmp_path / "ref.h5")
    assert f"no such file; {tmp_path} holds ref.h5 |" in refusal(tmp_path / "x.h5")
    assert "no such file" in refusal(tmp_path / "no folder" / "x.h5")


def test_a_run_that_did_not_end_is_offered_instead(tmp_path):
    small_dump(tmp_path / "x.h5").rename(tmp_path / "x.h5.partial")
    assert f"{tmp_path / 'x.h5.partial'} is a run that did not end" in refusal(tmp_path / "x.h5")


@pytest.mark.parametrize("name", ["x" * 300, "nul\0.h5", "file/x.h5"])
def test_an_impossible_name_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / name).startswith(f"cannot read {tmp_path / name}: ")


def test_a_folder_or_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path).startswith(f"{tmp_path} is no file | ")
    assert refusal(tmp_path / "pipe").startswith(f"{tmp_path / 'pipe'} is no file | ")


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x93NUMPY\x01\x00", b"PK\x03\x04" + bytes(10_000)])
def test_another_kind_of_file_is_not_hdf5(tmp_path, content):
    (tmp_path / "x.h5").write_bytes(content)
    assert refusal(tmp_path / "x.h5").startswith(f"{tmp_path / 'x.h5'} is not an HDF5 file | ")


@pytest.mark.parametrize("format_attribute", [None, "other", 7, ["probe-dump"], h5py.Empty("f4")])
def test_another_programs_hdf5_file_is_no_dump(tmp_path, format_attribute):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["taps"] = np.arange(3)
        if format_attribute is not None:
            file.attrs["format"] = format_attribute
    assert "is an HDF5 file, but not a dump of probe | record one" in refusal(tmp_path / "x.h5")


@pytest.mark.parametrize(("version", "advice"), [(3, "update probe"), (1, "record it again")])
def test_another_version_is_named_and_says_which_side_is_old(tmp_path, version, advice):
    with h5py.File(small_dump(tmp_path / "x.h5"), "r+") as file:
        file.attrs["version"] = version
    assert refusal(tmp_path / "x.h5").endswith(f"dump version {version}, and this probe reads version 2 | {advice}")


@pytest.mark.parametrize("version", ["two", [1, 1], np.nan, h5py.Empty("f4"), None])
def test_a_version_that_is_no_number_is_refused(tmp_path, version):
    with h5py.File(small_dump(tmp_path / "x.h5"), "r+") as file:
        del file.attrs["version"]
        if version is not None:
            file.attrs["version"] = version
    assert refusal(tmp_path / "x.h5")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": 1', "\udc80", "9" * 5000])
def test_an_attribute_that_is_no_json_is_damage(tmp_path, text):
    with h5py.File(small_dump(tmp_path / "x.h5"), "r+") as file:
        raw = text.encode("utf-8", "surrogateescape")
        file.attrs.create("config", raw, dtype=h5py.string_dtype("utf-8", len(raw)))
    assert "is damaged: its attribute 'config'" in refusal(tmp_path / "x.h5")


def test_a_copy_that_was_cut_short_anywhere_is_refused(tmp_path):
    whole = small_dump(tmp_path / "x.h5").read_bytes()
    lengths = [*range(0, len(whole), 97), *range(len(whole) - 40, len(whole))]
    told = []
    for length in lengths:
        (tmp_path / "cut.h5").write_bytes(whole[:length])
        told.append(refusal(tmp_path / "cut.h5"))
    assert sum("is truncated: part of the file is missing | copy it again" in text for text in told) > 400


def test_an_absent_tap_is_named_with_its_neighbours(tmp_path):
    with Dump(small_dump(tmp_path / "x.h5")) as dump:
        with pytest.raises(ProbeError, match=r"has no tap '0:out\.1' in step 0") as caught:
            dump["0:out.1"]
        assert caught.value.hint == "did you mean 0:in, 0:out?"
        with pytest.raises(ProbeError, match="in step 1") as caught:
            dump.tap("nowhere:out", step=1)
        assert "lists the taps" in caught.value.hint


def test_a_dump_may_be_closed_twice(tmp_path):
    dump = Dump(small_dump(tmp_path / "x.h5"))
    dump.close()
    dump.close()
