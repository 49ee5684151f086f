"""Both sides' statistics, the metrics, and the worst elements with both values."""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from probe.align.mapping import Numbers
from probe.errors import ProbeError
from probe.printable import printable
from probe.tap import Statistics, Tap
from probe.words import number
from tui.reading import Files
from tui.scene import NOTHING, Scene, both_of

WORST = 8
"""Elements that are listed."""


def show(scene: Scene, files: Files, width: int) -> RenderableType:
    both = both_of(scene, files)
    if both is None or scene.entry is None:
        return NOTHING
    parts: list[RenderableType] = [_statistics([both.reference, *both.candidate]), Text()]
    if scene.row is not None:
        parts += [_metrics(scene), Text()]
    try:
        r, c = both.read()
        parts.append(_first(r) if c is None else _worst(r, c))
    except ProbeError as error:
        parts.append(Text(str(error), style="yellow"))
    return Group(*parts)


def _statistics(taps: list[Tap]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    table.add_column("", style="dim")
    sides = ["reference", *(["candidate"] * (len(taps) - 1))] if len(taps) > 1 else ["recorded"]
    for side, tap in zip(sides, taps, strict=True):
        table.add_column(Text(side + "\n" + printable(tap.name)), justify="right", overflow="fold")
    table.add_row("shape", *(" x ".join(map(str, tap.shape)) or "one number" for tap in taps))
    table.add_row("dtype", *(tap.dtype for tap in taps))
    for field in Statistics._fields:
        values = [getattr(tap.statistics, field) for tap in taps]
        if field == "hash":
            table.add_row(field, *(f"{value:016x}" for value in values))
        else:
            table.add_row(field, *(f"{value:,}" if isinstance(value, int) else f"{value:.6g}" for value in values))
    return table


def _metrics(scene: Scene) -> Table:
    row = scene.row
    assert row is not None
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(2):
        table.add_column(style="dim", overflow="fold")
        table.add_column(justify="right", no_wrap=True)
    table.add_row("relative error", number(row.rel_l2), "of its own", number(row.local_error) or "not replayed")
    table.add_row("largest", number(row.max_abs), "floor", number(row.floor))
    table.add_row("NMSE", number(row.nmse), "own / floor", number(row.ratio))
    table.add_row("cosine", f"{row.cosine:.9f}", "SQNR", f"{row.sqnr_db:.1f} dB")
    return table


def _worst(r: Numbers, c: Numbers) -> RenderableType:
    """Elements that differ most; one that is NaN on one side alone differs most of all."""
    if r.size == 0:
        return Text("no elements", style="dim")
    kind = np.complex128 if r.dtype.kind == "c" else np.float64
    with np.errstate(all="ignore"):
        apart = np.abs(c.astype(kind) - r.astype(kind)).ravel()
    apart[np.isnan(apart)] = np.inf
    apart[(r == c).ravel() | (np.isnan(r) & np.isnan(c)).ravel()] = 0.0
    if not apart.any():
        return Text("every element is the same")
    count = min(WORST, apart.size)
    top = np.argpartition(apart, -count)[-count:]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("worst at", "reference", "candidate", "difference"):
        table.add_column(title, justify="right")
    for place in top[np.argsort(-apart[top], kind="stable")]:
        index = np.unravel_index(int(place), r.shape)
        where = ", ".join(str(int(one)) for one in index)
        table.add_row(f"[{where}]", f"{r[index]:.6g}", f"{c[index]:.6g}", number(float(apart[place])))
    return table


def _first(r: Numbers) -> RenderableType:
    few = ", ".join(f"{value:.6g}" for value in r.ravel()[:WORST])
    return Text.assemble(("values  ", "dim"), few + (", ..." if r.size > WORST else ""))
