"""What may be touched in an HDF5 file that is damaged or hostile.

Only hard links are followed, so nothing leads out of the file. Only the types, layouts and sizes that a dump has are
read, so nothing is allocated on a file's word, and the variable-length types, in whose heap one wrong byte makes HDF5
loop for ever, are never read. What is refused raises one of REFUSED, as do HDF5's own complaints.
"""

import math
import os
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from probe.dump.dtypes import Bits, file_type, storage
from probe.dump.table import Columns, is_row_type

REFUSED = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError)
"""All that h5py raises, whatever is wrong with a file."""


MOST = 2**31
"""A count that is higher counts nothing that a model was fed."""


def attribute(folder: h5py.Group, name: str) -> Any:
    """A number or a bytes of a group or of the file itself, or None where there is no such attribute."""
    if not h5py.h5a.exists(folder.id, name.encode()):
        return None
    found = h5py.h5a.open(folder.id, name.encode())
    kind = found.dtype
    if kind.hasobject or found.shape != () or kind.itemsize > _file_size(folder.file):
        raise ValueError(f"its attribute {name!r} has a type that no dump has")
    value: NDArray[Any] = np.empty((), kind)
    found.read(value)
    return value.item()


def count(folder: h5py.Group, name: str) -> int:
    """An attribute that counts something; 0 where there is no such attribute, ValueError where it is no count."""
    found = attribute(folder, name)
    if found is not None and (type(found) is not int or not 0 <= found <= MOST):
        raise ValueError(f"its attribute {name!r} is no number of things")
    return found or 0


def group(file: h5py.File, *path: str) -> h5py.Group | None:
    """The group of that path, or None where there is none."""
    found = file
    for name in path:
        found = _child(found, name.encode())
        if found is None:
            return None
        if not isinstance(found, h5py.Group):
            raise ValueError(f"{name!r} is no group")
    return found


def dataset(folder: h5py.Group, link: bytes) -> h5py.Dataset | None:
    """The dataset of that name, or None where there is none."""
    found = _child(folder, link)
    if found is not None and not isinstance(found, h5py.Dataset):
        raise ValueError(f"{link!r} is no dataset")
    return found


def _child(folder: h5py.Group, link: bytes) -> Any:
    if not folder.id.links.exists(link):
        return None
    if folder.id.links.get_info(link).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{link!r} is a link to somewhere else")
    return folder[link]


def rows(table: h5py.Dataset, columns: Columns) -> NDArray[np.void]:
    """All rows of a table; ValueError where it has other columns."""
    kind = table.dtype
    if not is_row_type(kind, columns) or len(table.shape) != 1:
        raise ValueError("it has other columns")
    if not table.size:
        return np.empty(0, kind)
    plan = table.id.get_create_plist()
    filters = {plan.get_filter(place)[0] for place in range(plan.get_nfilters())}
    if plan.get_layout() != h5py.h5d.CHUNKED or not filters <= {h5py.h5z.FILTER_FLETCHER32}:
        raise ValueError("it is stored otherwise than probe stores it")
    if max(table.size, *table.chunks) * kind.itemsize > _file_size(table.file):
        raise ValueError("it is larger than the file")
    return np.asarray(table[()])


def place(found: h5py.Dataset, dtype: str, shape: tuple[int, ...]) -> int:
    """Where the bytes of a dataset begin in the file; ValueError unless it lies there in one piece, and whole."""
    if not found.id.get_type().equal(file_type(dtype)):
        raise ValueError(f"it is not of the type that its table gives, {dtype}")
    if found.shape != shape:
        raise ValueError(f"it has shape {found.shape} where its table says {shape}")
    plan = found.id.get_create_plist()
    if plan.get_layout() != h5py.h5d.CONTIGUOUS or plan.get_external_count():
        raise ValueError("its values do not lie in one piece inside the file")
    num_bytes = math.prod(shape) * storage(dtype).itemsize
    if not num_bytes:
        return 0
    offset = found.id.get_offset()
    if offset is None or offset + num_bytes > _file_size(found.file):
        raise ValueError("the file is shorter than its tables say")
    return int(offset)


def read_at(descriptor: int, offset: int, into: Bits) -> None:
    raw = memoryview(into.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    while len(raw):
        count = os.preadv(descriptor, [raw[: 1 << 30]], offset)
        if not count:
            raise ValueError("the file is shorter than its tables say")
        raw, offset = raw[count:], offset + count


def _file_size(file: h5py.File) -> int:
    return int(file.id.get_filesize())
