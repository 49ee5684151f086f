"""Ways to spoil a dump: bytes, bytes under a checksum that fits again, objects, rows of tables. Each by a seed."""

import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

OUTSIDE = 7654321.0
"""What stands in the file that lies elsewhere, and must never be read."""
INTERESTING = (0, 1, 7, 8, 127, 128, 254, 255)
MASK = (1 << 32) - 1
Draw = random.Random


def spoiled_bytes(whole: bytes, path: Path, draw: Draw) -> None:
    raw = bytearray(whole)
    for _ in range(draw.choice([1, 1, 2, 4, 16])):
        start = draw.randrange(len(raw))
        stop = min(len(raw), start + draw.choice([1, 2, 4, 8, 64, 512]))
        match draw.randrange(6):
            case 0:
                del raw[start:]
            case 1:
                raw[start:stop] = bytes(stop - start)
            case 2:
                raw[start:stop] = b"\xff" * (stop - start)
            case 3:
                other = draw.randrange(len(raw))
                raw[start:stop] = raw[other : other + stop - start]
            case 4:
                raw[start:start] = draw.randbytes(draw.choice([1, 8, 512]))
            case _:
                raw[start] = draw.choice([*INTERESTING, draw.randrange(256), raw[start] ^ 1 << draw.randrange(8)])
        if not raw:
            break
    path.write_bytes(raw)


def spoiled_under_checksums(whole: bytes, path: Path, draw: Draw) -> None:
    """HDF5's own bookkeeping, changed, with a checksum that says all is well: what an attacker would do."""
    raw = bytearray(whole)
    headers = [place for place in _all(raw, b"OHDR") if _header(raw, place) is not None]
    start, stop = _header(raw, draw.choice(headers))  # type: ignore[misc]
    for _ in range(draw.choice([1, 1, 2, 3])):
        place = draw.randrange(start + 5, stop)
        if draw.random() < 0.3 and place + 8 <= stop:
            number = draw.choice(
                [0, 1, (1 << 64) - 1, 1 << 63, 1 << 40, 10**9, len(raw), start, draw.randrange(len(raw))]
            )
            raw[place : place + 8] = struct.pack("<Q", number)
        else:
            raw[place] = draw.choice([*INTERESTING, draw.randrange(256), raw[place] ^ 1 << draw.randrange(8)])
    raw[stop : stop + 4] = struct.pack("<I", lookup3(bytes(raw[start:stop])))
    path.write_bytes(raw)


def spoiled_objects(whole: bytes, path: Path, draw: Draw) -> None:
    """Something else in place of a group, a dataset or an attribute, or beside them."""
    path.write_bytes(whole)
    with h5py.File(path, "r+", libver=("v108", "v110")) as file:
        names: list[str] = []
        file.visit(names.append)
        for _ in range(draw.choice([1, 1, 2])):
            name = draw.choice(names)
            if name not in file:
                continue
            if draw.random() < 0.25:
                _spoil_attribute(file, draw)
                continue
            make = draw.choice(OBJECTS)
            shape = getattr(file.get(name), "shape", None) or (3,)
            if draw.random() < 0.8:
                del file[name]
            else:
                name += "x"
            make(file, name, shape, draw)


def spoiled_rows(whole: bytes, path: Path, draw: Draw) -> None:
    """What a table claims."""
    path.write_bytes(whole)
    with h5py.File(path, "r+", libver=("v108", "v110")) as file:
        for _ in range(draw.choice([1, 1, 2, 4])):
            table = file[draw.choice(["taps", "taps", "weights", "repetition"])]
            if draw.random() < 0.1:
                _inflate(file, table.name, draw)
                return
            rows = table[()]
            column = draw.choice(rows.dtype.names)
            row = draw.randrange(len(rows))
            kind = rows.dtype[column]
            if kind.kind == "S":
                rows[column][row] = draw.choice(TEXTS) if draw.random() < 0.7 else rows[draw.choice(_texts(rows))][row]
            elif kind.kind == "f":
                rows[column][row] = draw.choice([np.nan, np.inf, -np.inf, -1.0, 1e308, 0.0])
            else:
                limits = np.iinfo(kind)
                rows[column][row] = draw.choice([limits.min, limits.max, 0, 1, 10**9, 3, limits.max // 2])
            table[...] = rows


def _inflate(file: h5py.File, name: str, draw: Draw) -> None:
    """The same columns, and rows without end that take no room on the disk."""
    kind, count = file[name].dtype, draw.choice([10**6, 10**8, 10**9])
    del file[name]
    chunk = draw.choice([1000, min(count, (1 << 32) // kind.itemsize - 1)])
    file.create_dataset(name, (count,), kind, chunks=(chunk,), compression=draw.choice(["gzip", None]))


def _texts(rows: Any) -> list[str]:
    return [name for name in rows.dtype.names if rows.dtype[name].kind == "S"]


TEXTS = [b"", b"1000000000", b"1000000,1000000", b"-1", b"0", b"2,12", b"\xff\xfe", b"object", b"float64", b"bool"]
TEXTS += [b"grad.out", b"in", b"/", b"..", b"0:in", b"layers.0", b"0,0,0", b",", b"9" * 15]


def _soft(file: h5py.File, name: str, shape: Sequence[int], draw: Draw) -> None:
    file[name] = h5py.SoftLink(draw.choice(["/", "/steps/0/0:out", "/nowhere", f"/{name}", ".", "/taps"]))


def _external(file: h5py.File, name: str, shape: Sequence[int], draw: Draw) -> None:
    outside = str(Path(file.filename).parent.parent / "outside.h5")
    file[name] = h5py.ExternalLink(
        draw.choice([outside, "../outside.h5", "/etc/passwd"]), draw.choice(["/x", f"/{name}"])
    )


def _loop(file: h5py.File, name: str, shape: Sequence[int], draw: Draw) -> None:
    parent = file[name.rpartition("/")[0] or "/"]
    parent[name.rpartition("/")[2]] = draw.choice([file, parent])


def _external_storage(file: h5py.File, name: str, shape: Sequence[int], draw: Draw) -> None:
    raw = str(Path(file.filename).parent.parent / "outside.raw")
    file.create_dataset(name, shape, "f4", external=[(raw, 0, max(4, 4 * int(np.prod(shape))))])


def _virtual(file: h5py.File, name: str, shape: Sequence[int], draw: Draw) -> None:
    layout = h5py.VirtualLayout(tuple(shape), "f4")
    layout[...] = h5py.VirtualSource(str(Path(file.filename).parent.parent / "outside.h5"), "x", tuple(shape))
    file.create_virtual_dataset(name, layout)


def _huge(file: h5py.File, name: str, shape: Sequence[int], draw: Draw) -> None:
    claimed = draw.choice([(10**9,), (10**12,), (1 << 31, 1 << 20), (*shape, 10**9)])
    more: dict[str, Any] = draw.choice([{}, {"chunks": True, "compression": "gzip"}, {"chunks": True}])
    file.create_dataset(name, claimed, draw.choice(["f4", "f2", "i8", "S100", "u1"]), **more)


def _packed(file: h5py.File, name: str, shape: Sequence[int], draw: Draw) -> None:
    """Little on the disk, much in memory; or chunks that are not what their filters make."""
    values = np.zeros((1 << 16,), draw.choice(["f4", "f8"]))
    made = file.create_dataset(name, data=values, chunks=(1 << 14,), compression=draw.choice(["gzip", "lzf"]))
    if draw.random() < 0.5:
        made.id.write_direct_chunk((0,), draw.randbytes(draw.choice([1, 100, 5000])))


def _of_type(file: h5py.File, name: str, shape: Sequence[int], draw: Draw) -> None:
    kinds = ["f8", ">f4", "i1", "S3", "V7", h5py.string_dtype(), h5py.vlen_dtype("f4"), h5py.ref_dtype, [("a", "f4")]]
    file.create_dataset(name, tuple(shape), draw.choice(kinds))


def _other(file: h5py.File, name: str, shape: Sequence[int], draw: Draw) -> None:
    match draw.randrange(4):
        case 0:
            file.create_group(name)
        case 1:
            file[name] = np.dtype("f4")
        case 2:
            file[name] = h5py.Empty("f4")
        case _:
            pass  # nothing at all


OBJECTS: list[Callable[[h5py.File, str, Sequence[int], Draw], None]] = [
    *(_soft, _external, _loop, _external_storage, _virtual, _huge, _packed, _of_type, _other)
]


def _spoil_attribute(file: h5py.File, draw: Draw) -> None:
    where, name = draw.choice(
        [
            (file, name)
            for name in ("format", "version", "complete", "target", "environment", "config", "notes", "repetition")
        ]
        + [(file.get("inputs/1", file), "past")]
    )
    values = [
        7,
        -1,
        10**12,
        b"[",
        b"[" * 5000,
        "text",
        np.zeros(3),
        np.nan,
        h5py.Empty("f4"),
        b"{}",
        b"\xff",
        "1" * 5000,
    ]
    values += [b'{"dtype": 3, "versions": 4, "skipped": 5, "attention": {}}', b"null", b'"x"', np.bool_(True), b"NaN"]
    if draw.random() < 0.2 and name in where.attrs:
        del where.attrs[name]
    else:
        where.attrs[name] = draw.choice(values)


def _all(raw: bytearray, mark: bytes) -> list[int]:
    found, place = [], raw.find(mark)
    while place >= 0:
        found.append(place)
        place = raw.find(mark, place + 1)
    return found


def _header(raw: bytearray, start: int) -> tuple[int, int] | None:
    """Start and end of an object header's first part (HDF5 file format 3.0, IV.A.1.b); None where it is none."""
    if raw[start + 4] != 2:
        return None
    flags = raw[start + 5]
    place = start + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    stop = place + width + int.from_bytes(raw[place : place + width], "little")
    fits = stop + 4 <= len(raw) and struct.pack("<I", lookup3(bytes(raw[start:stop]))) == raw[stop : stop + 4]
    return (start, stop) if fits else None


def lookup3(key: bytes) -> int:
    """Bob Jenkins' hashlittle with an initial value of 0, which HDF5 takes as its metadata checksum."""

    def rotated(value: int, by: int) -> int:
        return (value << by | value >> 32 - by) & MASK

    a = b = c = 0xDEADBEEF + len(key) & MASK
    blocks = [*range(0, len(key), 12)]
    for start in blocks:
        x, y, z = struct.unpack("<3I", key[start : start + 12].ljust(12, b"\0"))
        a, b, c = a + x & MASK, b + y & MASK, c + z & MASK
        if start == blocks[-1]:
            for by in (14, 11, 25, 16, 4, 14, 24):
                c = (c ^ b) - rotated(b, by) & MASK
                a, b, c = b, c, a
            return b
        for by in (4, 6, 8, 16, 19, 4):
            a = (a - c ^ rotated(c, by)) & MASK
            c = c + b & MASK
            a, b, c = b, c, a
    return c


KINDS = {
    "bytes": spoiled_bytes,
    "bytes under checksums": spoiled_under_checksums,
    "objects": spoiled_objects,
    "rows": spoiled_rows,
}
