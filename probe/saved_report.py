"""A Report from the JSON that `probe diff --json` printed: what `Report.to_dict` made, read back."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from probe.errors import ProbeError
from probe.report import (
    SCHEMA,
    Finding,
    OutputComparison,
    Place,
    Report,
    Seen,
    Status,
    TapComparison,
    TrustCheck,
    Verdict,
    WeightFinding,
)

Part = TypeVar("Part")
NOT_FINITE = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
"""What stands in JSON for numbers that it has not."""
CLOSED = {"seen": Seen, "status": Status}
"""Fields whose text is of a closed set."""


def read_report(path: Path) -> Report:
    """ProbeError where the file is not there, or is no such report."""
    hint = "write it with: probe diff REF CAND --json > FILE.json"
    try:
        with path.open("rb") as file:
            data = json.load(file)
    except OSError as error:
        raise ProbeError(f"{path} cannot be read: {error.strerror}", hint=hint) from None
    except (ValueError, RecursionError):
        raise ProbeError(f"{path} is not JSON", hint=hint) from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ProbeError(f"{path} is no report of schema {SCHEMA}", hint=hint)
    try:
        return report_of(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProbeError(f"{path} is no whole report: {type(error).__name__} {error}", hint=hint) from None


def report_of(data: dict[str, Any]) -> Report:
    """The inverse of `Report.to_dict`."""
    compared = data["compared"]
    return Report(
        reference_path=str(data["reference"]),
        candidate_path=str(data["candidate"]),
        verdict=Verdict(data["verdict"]),
        trust=tuple(_part(TrustCheck, one) for one in data["trust"]),
        taps=tuple(_rows(TapComparison, data["taps"])),
        reference_only=tuple(map(str, compared["reference_only"])),
        candidate_only=tuple(map(str, compared["candidate_only"])),
        output=_part(OutputComparison, data["output"]) if data["output"] else None,
        first=_part(Place, data["first"]) if data["first"] else None,
        findings=tuple(_part(Finding, one) for one in data["findings"]),
        replayed=bool(data["replayed"]),
        explained=_number(data.get("explained")),
        notes=tuple(map(str, data.get("notes", ()))),
        skipped=tuple((str(one["tap"]), str(one["reason"])) for one in compared.get("skipped", ())),
        next_commands=tuple(map(str, data.get("next", ()))),
        weights=tuple(_part(WeightFinding, one) for one in data.get("weights", ())),
        unjudged=tuple(map(str, data.get("unjudged", ()))),
        digests=tuple(map(str, data.get("digests", ()))),
    )


def _part(kind: type[Part], data: dict[str, Any]) -> Part:
    """Keys that this version does not know are passed over; those it needs must be there, and be what they should."""
    values = {}
    for name, (allowed, is_number) in _fields(kind).items():  # type: ignore[arg-type]
        if name not in data:
            continue
        value = data[name]
        if is_number:
            value = _number(value)
        elif isinstance(value, list):
            value = tuple(value)
        elif name in CLOSED:
            value = CLOSED[name](value)
        if not isinstance(value, allowed):
            raise TypeError(f"{name} of {value!r}")
        values[name] = value
    return kind(**values)


def _rows(kind: type[Part], data: list[dict[str, Any]]) -> Iterable[Part]:
    """`_part` of each, looked at by columns: there may be tens of thousands."""
    if not data or any(one.keys() != data[0].keys() for one in data):
        return [_part(kind, one) for one in data]
    columns = []
    fields = [field for field in _fields(kind).items() if field[0] in data[0]]  # type: ignore[arg-type]
    for name, (allowed, is_number) in fields:
        column = [one[name] for one in data]
        if is_number and str in set(map(type, column)):
            column = list(map(_number, column))
        elif name in CLOSED:
            column = list(map(CLOSED[name], column))
        elif allowed == (tuple,):
            column = [tuple(value) for value in column]
        if not set(map(type, column)) <= set(allowed):
            raise TypeError(f"{name} is not {' or '.join(one.__name__ for one in allowed)} everywhere")
        columns.append(column)
    names = [name for name, _ in fields]
    if names == list(_fields(kind))[: len(names)]:  # type: ignore[arg-type]
        return map(kind, *columns)
    return (kind(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True))


@cache
def _fields(kind: type[Any]) -> dict[str, tuple[tuple[type, ...], bool]]:
    """Of each field the types that its value may have, and whether it may be a number."""
    found = {}
    for name, hint in get_type_hints(kind).items():
        options = [getattr(one, "__origin__", one) for one in getattr(hint, "__args__", ()) or (hint,)]
        options = [hint.__origin__] if hasattr(hint, "__origin__") else options
        is_number = float in options
        found[name] = (*options, *((int,) if is_number else ())), is_number
    return found


def _number(value: Any) -> Any:
    return NOT_FINITE.get(value, value) if isinstance(value, str) else value
