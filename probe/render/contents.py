"""What is in a dump, as text and as JSON data."""

from dataclasses import asdict
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from probe.dump import Dump
from probe.render.text import console, number, printable
from probe.tap import Tap

SAMPLE = 8
"""Values of one tap that are shown."""


def contents(dump: Dump) -> dict[str, Any]:
    return {
        "path": str(dump.path),
        "complete": dump.complete,
        "target": dump.attribute("target"),
        "environment": dump.environment,
        "config": dump.attribute("config"),
        "inputs": {name: {"shape": list(bits.shape), "dtype": dtype} for name, (bits, dtype) in dump.inputs().items()},
        "steps": dump.steps,
        "taps": [_tap(tap) for tap in dump.taps],
        "weights": len(dump.weights),
    }


def one_tap(dump: Dump, tap: Tap) -> dict[str, Any]:
    return {**_tap(tap), "values": [_plain(value) for value in dump.read(tap).reshape(-1)[:SAMPLE].tolist()]}


def print_contents(dump: Dump) -> None:
    out = console()
    target = dump.attribute("target") or {}
    environment = dump.environment
    versions = environment.get("versions", {})
    if not dump.complete:
        out.print(
            Text(
                "UNFINISHED: the run that wrote this was cut short; what it recorded until then is here",
                style="bold yellow",
            )
        )
    named = f"{target.get('kind')}:{target.get('place')}" if target else "a model that was live when it was recorded"
    out.print(Text(f"model     {printable(named)}"))
    ran = [f"{key} {versions[key]}" for key in ("torch", "transformers") if key in versions]
    ran += [str(environment[key]) for key in ("dtype", "device", "attention") if environment.get(key)]
    out.print(Text(f"ran with  {printable(', '.join(ran))}"))
    for name, (bits, dtype) in dump.inputs().items():
        out.print(Text(f"fed       {printable(name)} {list(bits.shape)} {dtype}"))
    steps = f" in {len(dump.steps)} steps" if len(dump.steps) > 1 else ""
    out.print(Text(f"holds     {len(dump.taps)} taps{steps}, {len(dump.weights)} weights"))
    skipped = (dump.attribute("notes") or {}).get("skipped", {})
    if skipped:
        name, reason = next(iter(skipped.items()))
        out.print(Text(f"skipped   {len(skipped)} tensors, as {printable(name)}: {printable(reason)}", style="yellow"))
    out.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("tap", "shape", "dtype"):
        table.add_column(title, overflow="fold")
    for title in ("min", "max", "mean", "std"):
        table.add_column(title, justify="right")
    for tap in dump.taps:
        s = tap.statistics
        bad = "  NaN!" if s.num_nan else "  inf!" if s.num_inf else ""
        name = f"{tap.step}/{tap.name}" if len(dump.steps) > 1 else tap.name
        figures = (number(value) for value in (s.minimum, s.maximum, s.mean, s.std))
        table.add_row(Text(printable(name) + bad), "x".join(map(str, tap.shape)) or "scalar", tap.dtype, *figures)
    out.print(table)


def print_tap(dump: Dump, tap: Tap) -> None:
    out = console()
    out.print(Text(f"{printable(tap.name)}   step {tap.step}, number {tap.order} in order of execution", style="bold"))
    out.print(Text(f"module    {printable(tap.module) or '(the model itself)'}, a {printable(tap.module_class)}"))
    out.print(Text(f"tensor    {list(tap.shape)} {tap.dtype}"))
    s = tap.statistics
    out.print(Text(f"values    {s.minimum:.6g} to {s.maximum:.6g}, mean {s.mean:.6g}, std {s.std:.6g}, l2 {s.l2:.6g}"))
    out.print(
        Text(f"not finite  {s.num_nan} NaN, {s.num_inf} infinite", style="bold red" if s.num_nan or s.num_inf else "")
    )
    values = dump.read(tap)
    with np.printoptions(threshold=60, edgeitems=3, precision=5, suppress=False):
        out.print(Text(np.array2string(values)))


def _tap(tap: Tap) -> dict[str, Any]:
    found = asdict(tap)
    found["statistics"] = {key: _plain(value) for key, value in found["statistics"].items()}
    return found


def _plain(value: Any) -> Any:
    """JSON has no NaN, no infinity and no complex numbers."""
    return value if isinstance(value, (int, float)) and np.isfinite(value) else str(value)
