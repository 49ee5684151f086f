"""Files that lie about themselves are refused in words: no crash, no code run, no memory taken on their word."""

import io
import json
import resource
import struct
import zipfile

import numpy as np
import pytest

from probe.errors import ProbeError


def npy(shape="(3,)", descr="'<f4'", body=bytes(12), magic=b"\x93NUMPY\x01\x00"):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return magic + struct.pack("<H", len(header) + 1) + header + b"\n" + body


def assert_nothing_was_made(folder):
    """Neither a dump nor a part of one, nor what a file's code would have made."""
    assert not [*folder.rglob("imported*"), *folder.rglob("owned"), *folder.rglob("outside*")]


LYING = {
    "a shape larger than the file": npy("(10**15,)".replace("10**15", str(10**15))),
    "a shape whose product overflows": npy(f"({2**40}, {2**40})"),
    "a negative length": npy("(-1, -3)"),
    "a length that is no number": npy("('a',)"),
    "a shape that is no tuple": npy("3"),
    "fewer bytes than its shape": npy(body=bytes(11)),
    "more bytes than its shape": npy(body=bytes(13)),
    "objects": npy(descr="'|O'"),
    "text": npy(descr="'<U1'"),
    "records": npy(descr="[('a', '<f4')]"),
    "times": npy("(1,)", "'<M8[s]'", bytes(8)),
    "numbers too wide": npy("(1,)", "'<f16'", bytes(16)),
    "code in place of a header": npy("__import__('os').system('touch owned')"),
    "a header that is cut short": npy(descr="('<f4'").replace(b", }", b"   "),
    "another version": npy(magic=b"\x93NUMPY\x09\x00"),
    "no header": b"\x93NUMPY",
    "nothing": b"",
    "a header that never ends": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 60_000,
}


@pytest.mark.parametrize("what", LYING)
@pytest.mark.parametrize("how", ["npy", "stored", "deflated"])
def test_an_array_that_lies_is_refused(what, how, tmp_path, imported):
    path = tmp_path / f"a.{'npy' if how == 'npy' else 'npz'}"
    if how == "npy":
        path.write_bytes(LYING[what])
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if how == "deflated" else zipfile.ZIP_STORED) as archive:
            archive.writestr("a.npy", LYING[what])
    with pytest.raises(ProbeError):
        imported("npz", path)
    assert_nothing_was_made(tmp_path)


def archive_of(**arrays):
    raw = io.BytesIO()
    np.savez_compressed(raw, **arrays)
    return raw.getvalue()


def test_an_archive_cut_anywhere_is_refused(tmp_path, imported):
    path = tmp_path / "x.npz"
    whole = archive_of(a=np.arange(500), b=np.ones(3))
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ProbeError):
            imported("npz", path)


def test_an_archive_with_any_byte_changed_is_read_or_refused(tmp_path, imported):
    """Nothing else is raised; what is read may be anything: stored numbers have no checksum of their own."""
    whole, generator = archive_of(a=np.arange(40), b=np.ones(3)), np.random.default_rng(0)
    for place in range(len(whole)):
        raw = bytearray(whole)
        raw[place] ^= int(generator.integers(1, 256))
        (tmp_path / "x.npz").write_bytes(raw)
        try:
            imported("npz", tmp_path / "x.npz", force=True)
        except ProbeError:
            continue


def test_a_bomb_is_refused_before_it_goes_off(tmp_path, imported):
    """A member that says it is a terabyte of zeros, and one that is more than its bytes can be."""
    path = tmp_path / "x.npz"
    size = 1 << 40
    header = npy(f"({size},)", "'|u1'", b"")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header + bytes(1 << 20))
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        struct.pack_into("<I", raw, raw.index(signature) + at, 0xFFFFFFF0)
    path.write_bytes(raw)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ProbeError):
        imported("npz", path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def safetensors(header, body=bytes(16)):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + body


HEADERS = {
    "a length of the header beyond the file": struct.pack("<Q", 1 << 60) + b"{}",
    "no JSON": safetensors(b"\xff{"),
    "offsets beyond the file": safetensors({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 1 << 50]}}),
    "offsets that overlap": safetensors(
        {name: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for name in "ab"},
    ),
    "a shape that is not its bytes": safetensors({"a": {"dtype": "F32", "shape": [1 << 62], "data_offsets": [0, 16]}}),
    "a type that does not exist": safetensors({"a": {"dtype": "F31", "shape": [4], "data_offsets": [0, 16]}}),
    "nothing": b"",
    "no tensor": safetensors({}, b""),
}


@pytest.mark.parametrize("what", HEADERS)
def test_safetensors_that_lie_are_refused(what, tmp_path, imported):
    (tmp_path / "x.safetensors").write_bytes(HEADERS[what])
    with pytest.raises(ProbeError):
        imported("safetensors", tmp_path / "x.safetensors")


@pytest.mark.parametrize("name", ["../../outside", "a\x1b[31m", "x" * 1000, "a:", "a b:nowhere"])
def test_names_that_name_nothing_are_refused(name, tmp_path, imported):
    np.savez(tmp_path / "x.npz", **{name: np.ones(3)})
    with pytest.raises(ProbeError):
        imported("npz", tmp_path / "x.npz")
    assert_nothing_was_made(tmp_path)


def test_what_is_no_file_of_arrays_is_said_so(tmp_path, imported):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.npz").write_text("hello")
    for kind, path in (("npz", "empty"), ("npz", "text.npz"), ("npz", "nowhere"), ("safetensors", "text.npz")):
        with pytest.raises(ProbeError, match=path):
            imported(kind, tmp_path / path)
