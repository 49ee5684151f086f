"""The rows of `/taps` and `/weights`: how a Tap and a Weight lie in an HDF5 table."""

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from probe.tap import Statistics, Tap

_TEXT = h5py.string_dtype()
_STATISTICS: list[tuple[str, Any]] = [
    ("min", "f8"),
    ("max", "f8"),
    ("mean", "f8"),
    ("std", "f8"),
    ("l2", "f8"),
    ("nan", "i8"),
    ("inf", "i8"),
    ("hash", "u8"),
]
TAPS = np.dtype(
    [
        ("step", "i4"),
        ("order", "i4"),
        ("tap", _TEXT),
        ("module", _TEXT),
        ("class", _TEXT),
        ("call", "i4"),
        ("port", _TEXT),
        ("shape", _TEXT),
        ("dtype", _TEXT),
        *_STATISTICS,
    ]
)
WEIGHTS = np.dtype(
    [
        ("name", _TEXT),
        ("module", _TEXT),
        ("tied", _TEXT),
        ("shape", _TEXT),
        ("dtype", _TEXT),
        *_STATISTICS,
        ("first_row", "i8"),
        ("rows", "i8"),
        ("first_column", "i8"),
        ("columns", "i8"),
    ]
)
NUM_PROJECTIONS = 8


@dataclass(frozen=True, slots=True)
class Weight:
    """One parameter, or persistent floating-point buffer, of the model that was run."""

    name: str
    """As in state_dict: "model.layers.0.mlp.up_proj.weight"."""
    module: str
    tied_to: str
    """Name of the earlier parameter that shares this one's memory, or ""."""
    shape: tuple[int, ...]
    dtype: str
    statistics: Statistics
    first_row: int
    """Where this weight's rows begin in `/weight_sketches`; its first axis gives the rows, all others the columns."""
    num_rows: int
    first_column: int
    num_columns: int


@dataclass(frozen=True, slots=True)
class Sketches:
    """Of every row (and every column) of all weights: its norm, and projections that survive a change of dtype."""

    norms: NDArray[np.float32]
    """(num_rows,): Euclidean norms."""
    directions: NDArray[np.float16]
    """(num_rows, 8): the row, divided by its norm, projected on eight fixed pseudo-random vectors: `projections`."""


def projections(length: int) -> NDArray[np.float32]:
    """(length, 8): uniform numbers of [-1, 1), splitmix64 of 8 i + k, the same in every version of everything."""
    state = np.arange(1, length * NUM_PROJECTIONS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    unit = (state >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return unit.reshape(length, NUM_PROJECTIONS)


def _shape_text(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape))


def _shape(text: bytes) -> tuple[int, ...]:
    return tuple(int(size) for size in text.decode().split(",")) if text else ()


def _statistics_row(statistics: Statistics) -> tuple[Any, ...]:
    s = statistics
    return (s.minimum, s.maximum, s.mean, s.std, s.l2, s.num_nan, s.num_inf, s.hash)


def _statistics(row: Any) -> Statistics:
    low, high, mean, std, l2 = (float(row[key]) for key in ("min", "max", "mean", "std", "l2"))
    return Statistics(low, high, mean, std, l2, int(row["nan"]), int(row["inf"]), int(row["hash"]))


def tap_row(tap: Tap) -> tuple[Any, ...]:
    return (
        tap.step,
        tap.order,
        clean(tap.name),
        clean(tap.module),
        clean(tap.module_class),
        tap.call,
        clean(tap.port),
        _shape_text(tap.shape),
        tap.dtype,
        *_statistics_row(tap.statistics),
    )


def tap_of(row: Any) -> Tap:
    return Tap(
        name=row["tap"].decode(),
        module=row["module"].decode(),
        module_class=row["class"].decode(),
        call=int(row["call"]),
        port=row["port"].decode(),
        step=int(row["step"]),
        order=int(row["order"]),
        shape=_shape(row["shape"]),
        dtype=row["dtype"].decode(),
        statistics=_statistics(row),
    )


def weight_row(weight: Weight) -> tuple[Any, ...]:
    return (
        clean(weight.name),
        clean(weight.module),
        clean(weight.tied_to),
        _shape_text(weight.shape),
        weight.dtype,
        *_statistics_row(weight.statistics),
        weight.first_row,
        weight.num_rows,
        weight.first_column,
        weight.num_columns,
    )


def weight_of(row: Any) -> Weight:
    return Weight(
        name=row["name"].decode(),
        module=row["module"].decode(),
        tied_to=row["tied"].decode(),
        shape=_shape(row["shape"]),
        dtype=row["dtype"].decode(),
        statistics=_statistics(row),
        first_row=int(row["first_row"]),
        num_rows=int(row["rows"]),
        first_column=int(row["first_column"]),
        num_columns=int(row["columns"]),
    )


def clean(text: str) -> str:
    """Text that HDF5 can hold: NUL ends its strings, and lone surrogates have no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def link_name(tap: str) -> bytes:
    """A tap's name as one HDF5 link: "/" would make a group, and "." means the group itself."""
    quoted = clean(tap).replace("%", "%25").replace("/", "%2F")
    return (quoted.replace(".", "%2E") if quoted.strip(".") == "" else quoted).encode()
