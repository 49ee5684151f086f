"""The rows of `/taps`, `/weights` and `/repetition`: how a Tap and a Weight lie in an HDF5 table.

Text is of fixed length, the longest of its column: HDF5's variable-length text lies in a heap of its own, where one
wrong byte sends the library into an endless loop.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import h5py
import numpy as np

from probe.dump.dtypes import DTYPES
from probe.dump.names import clean
from probe.dump.weight import Weight
from probe.tap import Statistics, Tap

Row = tuple[Any, ...]
Columns = Mapping[str, str]
"""Of each column its numpy type, or TEXT."""

TEXT = "text"
SHORTEST_TEXT = 16
_STATISTICS = {
    "min": "f8",
    "max": "f8",
    "mean": "f8",
    "std": "f8",
    "l2": "f8",
    "nan": "i8",
    "inf": "i8",
    "hash": "u8",
}
TAPS: Columns = {
    "step": "i4",
    "order": "i4",
    "tap": TEXT,
    "module": TEXT,
    "class": TEXT,
    "call": "i4",
    "port": TEXT,
    "shape": TEXT,
    "dtype": TEXT,
    **_STATISTICS,
}
WEIGHTS: Columns = {
    "name": TEXT,
    "module": TEXT,
    "tied": TEXT,
    "shape": TEXT,
    "dtype": TEXT,
    **_STATISTICS,
    "first_row": "i8",
    "rows": "i8",
    "first_column": "i8",
    "columns": "i8",
}

REPETITION: Columns = {"distance": "f8", "own": "f8"}
"""Of each row of `/taps`: see probe.capture.repeat."""


def row_type(columns: Columns, rows: Sequence[Row], narrower: np.dtype[np.void] | None = None) -> np.dtype[np.void]:
    """A type with room for the text of every row, and no narrower than `narrower` anywhere."""
    fields = []
    for place, (name, kind) in enumerate(columns.items()):
        if kind == TEXT:
            longest = max((len(row[place]) for row in rows), default=0)
            least = narrower[name].itemsize if narrower is not None else SHORTEST_TEXT
            fields.append((name, h5py.string_dtype("utf-8", max(least, 1 << (longest - 1).bit_length()))))
        else:
            fields.append((name, np.dtype(kind)))
    return np.dtype(fields)


def is_row_type(found: np.dtype[np.void], columns: Columns) -> bool:
    """Whether `found` is what `row_type` makes, whatever the length of its text."""
    if found.names != tuple(columns):
        return False
    kinds = [found[name] if kind == TEXT and found[name].kind == "S" else kind for name, kind in columns.items()]
    return TEXT not in kinds and found == np.dtype(list(zip(columns, kinds, strict=True)))


@lru_cache(maxsize=4096)
def _text(text: str) -> bytes:
    return clean(text).encode()


@lru_cache(maxsize=256)
def _shape_text(shape: tuple[int, ...]) -> bytes:
    return ",".join(map(str, shape)).encode()


def _shape(text: bytes) -> tuple[int, ...]:
    shape = tuple(int(size) for size in text.decode().split(",")) if text else ()
    if any(size < 0 for size in shape):
        raise ValueError(f"a shape of {text!r}")
    return shape


def _dtype(text: bytes) -> str:
    if text.decode() not in DTYPES:
        raise ValueError(f"a dtype of {text!r}")
    return text.decode()


def _statistics_row(statistics: Statistics) -> Row:
    s = statistics
    return (s.minimum, s.maximum, s.mean, s.std, s.l2, s.num_nan, s.num_inf, s.hash)


def _statistics(row: Any) -> Statistics:
    low, high, mean, std, l2 = (float(row[key]) for key in ("min", "max", "mean", "std", "l2"))
    return Statistics(low, high, mean, std, l2, int(row["nan"]), int(row["inf"]), int(row["hash"]))


def tap_row(tap: Tap) -> Row:
    texts = (_text(tap.name), _text(tap.module), _text(tap.module_class))
    place = (tap.call, _text(tap.port), _shape_text(tap.shape), _text(tap.dtype))
    return (tap.step, tap.order, *texts, *place, *_statistics_row(tap.statistics))


def tap_of(row: Any) -> Tap:
    """ValueError where a row says what no tap is."""
    return Tap(
        name=row["tap"].decode(),
        module=row["module"].decode(),
        module_class=row["class"].decode(),
        call=int(row["call"]),
        port=row["port"].decode(),
        step=int(row["step"]),
        order=int(row["order"]),
        shape=_shape(row["shape"]),
        dtype=_dtype(row["dtype"]),
        statistics=_statistics(row),
    )


def weight_row(weight: Weight) -> Row:
    texts = (_text(weight.name), _text(weight.module), _text(weight.tied_to))
    kind = (_shape_text(weight.shape), _text(weight.dtype))
    places = (weight.first_row, weight.num_rows, weight.first_column, weight.num_columns)
    return (*texts, *kind, *_statistics_row(weight.statistics), *places)


def weight_of(row: Any, num_sketches: int) -> Weight:
    """ValueError where a row says what no weight is, or has its sketches where there are none."""
    weight = Weight(
        name=row["name"].decode(),
        module=row["module"].decode(),
        tied_to=row["tied"].decode(),
        shape=_shape(row["shape"]),
        dtype=_dtype(row["dtype"]),
        statistics=_statistics(row),
        first_row=int(row["first_row"]),
        num_rows=int(row["rows"]),
        first_column=int(row["first_column"]),
        num_columns=int(row["columns"]),
    )
    if any(min(view.first, view.count) < 0 or view.first + view.count > num_sketches for view in weight.views):
        raise ValueError(f"{weight.name!r} has sketches that are not there")
    return weight
