"""The mapping table: TOML, made to be read and edited. Its rows come before anything that is inferred.

[[pair]]
reference = "model.layers.{i}.self_attn.q_proj"      # a module, or a tap ("...q_proj:out")
candidate = "blocks.{i}.attn.wqkv[0:64]"             # channels of the output; a list is joined side by side
layout = "b t (h d) -> b h t d"                      # einops, candidate -> reference; only if shapes do not tell

[[skip]]
reference = "model.layers.{i}.self_attn"
reason = "the port has no such point"
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from probe.align.evidence import Part
from probe.align.mapping import Layout, Mapping
from probe.align.modules import Match, match_modules
from probe.align.pairs import pair_taps
from probe.dump import Dump
from probe.errors import ProbeError
from probe.tap import template

_PART = re.compile(r"^(?P<module>[^\[\]]*)(?:\[(?P<ranges>\d+:\d+(?:,\d+:\d+)*)\])?$")


def apply_table(path: Path, mapping: Mapping, reference: Dump, candidate: Dump) -> Mapping:
    """`mapping`, with the table's rows in place of what was inferred. ProbeError says which row is wrong and why."""
    table = _read(path)
    matches, _ = match_modules(reference, candidate)
    ours = dict.fromkeys(tap.module for tap in reference.taps)
    theirs = {tap.module for tap in candidate.taps}
    layouts: dict[str, Layout] = {}
    for number, row in enumerate(table.get("pair", []), 1):
        where = f"{path}, pair {number}"
        wanted = _text(row, "reference", where)
        modules = [module for module in ours if template(module)[0] == template(wanted)[0] or module == wanted]
        modules = [module for module in modules if module == wanted or "{" in wanted]
        if not modules:
            raise ProbeError(
                f"{where}: the reference has no module {wanted!r}", hint=f"'probe show {reference.path}' lists them"
            )
        for module in modules:
            parts = _parts(row.get("candidate"), template(module)[1], where)
            missing = [part.module for part in parts if part.module not in theirs]
            if missing:
                raise ProbeError(
                    f"{where}: the candidate has no module {missing[0]!r}",
                    hint=f"'probe show {candidate.path}' lists them",
                )
            matches[module] = Match(parts, "table")
            if "layout" in row:
                layouts[module] = Layout(_text(row, "layout", where))
    for number, row in enumerate(table.get("skip", []), 1):
        wanted = _text(row, "reference", f"{path}, skip {number}")
        for module in [module for module in ours if module == wanted or template(module)[0] == wanted]:
            matches.pop(module, None)
    return pair_taps(reference, candidate, matches, mapping.remarks, layouts)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as opened:
            table = tomllib.load(opened)
    except OSError as error:
        raise ProbeError(f"cannot read {path}: {error.strerror}", hint="give the path of a mapping table") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProbeError(
            f"{path} is no TOML: {error}", hint="see 'probe diff --help' for a mapping table's form"
        ) from None
    unknown = table.keys() - {"pair", "skip"}
    if unknown or not table:
        what = f"has an unknown table {sorted(unknown)[0]!r}" if unknown else "is empty"
        raise ProbeError(f"{path} {what}", hint="a mapping table holds [[pair]] and [[skip]] rows")
    return table


def _text(row: Any, key: str, where: str) -> str:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str):
        raise ProbeError(f"{where}: {key} is missing, or no text", hint='reference = "...", candidate = "..."')
    return value


def _parts(value: Any, indices: tuple[int, ...], where: str) -> tuple[Part, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ProbeError(f"{where}: candidate is missing, or no text", hint='candidate = "blocks.{i}.wqkv[0:64]"')
    parts = []
    for text in texts:
        for letter, index in zip("ijklmnopqrstuvwxyz", indices, strict=False):
            text = text.replace("{" + letter + "}", str(index))
        found = _PART.match(text)
        if not found:
            raise ProbeError(
                f"{where}: cannot read {text!r}", hint="write a module's name, and channels as [0:64,128:192]"
            )
        ranges = found["ranges"]
        columns = tuple(tuple(map(int, part.split(":"))) for part in ranges.split(",")) if ranges else None
        parts.append(Part(found["module"], columns))  # type: ignore[arg-type]
    return tuple(parts)
