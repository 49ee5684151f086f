"""A mapping table from a file. Whatever the file holds: rows, problems of rows, or one ProbeError."""

import math
import os
import stat
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from probe.align.table.rows import Problem, Row, Table, short
from probe.align.table.shipped import shipped_table
from probe.errors import ProbeError

LARGEST = 4 << 20
"""Bytes of a table file; 20,000 rows have less."""
KEYS = {
    "pair": ("reference", "candidate", "layout", "sizes", "scale", "offset", "firm"),
    "skip": ("reference", "reason"),
}


def read_table(path: Path) -> Table:
    """The table at `path`, or the shipped one of this name. ProbeError where there is no table at all."""
    shipped = shipped_table(path)
    name = f"the table {path}" if shipped else str(path)
    return parse_table(read_text(shipped or path), name, shipped=shipped is not None)


def parse_table(text: str, name: str, *, shipped: bool = False) -> Table:
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProbeError(
            f"{name} is no TOML: {str(error).splitlines()[0]}", hint="'probe map --help' shows a table's form"
        ) from None
    unknown = table.keys() - {"pair", "skip", "sizes"}
    if unknown or not table:
        what = f"has an unknown table {min(unknown)!r}" if unknown else "is empty"
        raise ProbeError(f"{name} {what}", hint="a mapping table holds [[pair]] and [[skip]] rows, and [sizes]")
    rows: list[Row] = []
    problems: list[Problem] = []
    kinds: tuple[Literal["pair", "skip"], ...] = ("pair", "skip")
    for kind in kinds:
        found = table.get(kind, [])
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise ProbeError(f"{name}: {kind!r} is no list of rows", hint=f"begin each row with [[{kind}]]")
        for number, entry in enumerate(found, 1):
            wrong = next(_wrong(kind, entry), None)
            if wrong:
                reference = entry.get("reference")
                shown = f" ({short(reference)!r})" if isinstance(reference, str) else ""
                problems.append(Problem(f"{kind} {number}{shown}", *wrong))
            else:
                rows.append(_row(kind, number, entry))
    sizes = table.get("sizes", {})
    if wrong_size := _wrong_sizes(sizes):
        problems.append(Problem("[sizes]", *wrong_size))
        sizes = {}
    return Table(name, tuple(rows), sizes, tuple(problems), shipped)


def read_text(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would keep us waiting
        with os.fdopen(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ProbeError(f"{path} is no file", hint="give the path of a mapping table")
            read = opened.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ProbeError(f"cannot read {path}: {reason}", hint="give the path of a mapping table") from None
    if len(read) > LARGEST:
        raise ProbeError(f"{path} has more than {LARGEST >> 20} MiB", hint="is it a mapping table? Use {i} templates")
    try:
        return read.decode()
    except UnicodeDecodeError as error:
        raise ProbeError(f"{path} is no TOML: byte {error.start} is not UTF-8", hint="save it as UTF-8") from None


def _wrong(kind: str, entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a row's keys and types, and what to do."""
    if not isinstance(entry.get("reference"), str):
        yield "reference is missing, or no text", 'reference = "model.layers.{i}.self_attn.q_proj"'
    for key in sorted(entry.keys() - set(KEYS[kind])):
        near = get_close_matches(key, KEYS[kind], 1)
        yield f"unknown key {key!r}", f"did you mean {near[0]!r}?" if near else f"known are {', '.join(KEYS[kind])}"
    if kind == "skip":
        if not isinstance(entry.get("reason"), str) or not entry["reason"].strip():
            yield "reason is missing, or no text", 'say why it is not compared: reason = "the port has no such point"'
        return
    candidates = entry.get("candidate")
    texts = candidates if isinstance(candidates, list) else [candidates]
    if not texts or len(texts) > 1000 or not all(isinstance(text, str) for text in texts):
        yield "candidate is missing, or no text", 'candidate = "blocks.{i}.wqkv[0:64]", or a list of such'
    if not isinstance(entry.get("layout", ""), str):
        yield "layout is no text", 'layout = "b t (h d) -> b h t d"'
    for key in ("scale", "offset"):
        value = entry.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            yield f"{key} is no finite number", f"{key} = 1.0"
    if entry.get("scale") == 0:
        yield "scale is 0: nothing of the candidate would be compared", "to leave a tap out, write a [[skip]] row"
    if not isinstance(entry.get("firm", True), bool):
        yield "firm is neither true nor false", "firm = false: shown, but not judged"
    if wrong := _wrong_sizes(entry.get("sizes", {})):
        yield wrong


def _wrong_sizes(sizes: Any) -> tuple[str, str] | None:
    hint = 'sizes = {h = "num_attention_heads", d = 64}'
    if not isinstance(sizes, dict):
        return "sizes is no table of names", hint
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, (int, str)) or (isinstance(value, int) and value < 1):
            return f"the size {name!r} is neither a whole number above 0 nor an expression", hint
    return None


def _row(kind: Literal["pair", "skip"], number: int, entry: dict[str, Any]) -> Row:
    if kind == "skip":
        return Row(kind, number, entry["reference"], reason=entry["reason"])
    candidates = entry["candidate"]
    return Row(
        kind,
        number,
        entry["reference"],
        tuple(candidates) if isinstance(candidates, list) else (candidates,),
        entry.get("layout"),
        entry.get("sizes", {}),
        float(entry.get("scale", 1.0)),
        float(entry.get("offset", 0.0)),
        entry.get("firm", True),
    )
