"""Attention of a module: masks and scores of both sides, queries down and keys across."""

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from probe.align.attending import calls, scores, values
from probe.align.mapping import Numbers
from probe.errors import ProbeError
from probe.tap import Tap
from probe.views import HIDDEN, Grid, visible
from tui.charts import shaded, side_by_side
from tui.reading import Files
from tui.scene import Scene

ROWS = 16
"""Lines of a picture at most."""
PORTS = (("in.mask", "mask"), ("out.scores", "scores"), ("out.probabilities", "probabilities"))


def show(scene: Scene, files: Files, width: int) -> RenderableType:
    opened = files.opened()
    found = calls(opened, scene.step, scene.node.module)
    if not found:
        return Text("no attention was recorded of this module: look at one that computes it", style="dim")
    parts: list[RenderableType] = []
    for port, title in PORTS:
        for call in found:
            if port in call:
                parts += [*_both(call[port], title, files, scene.step, width), Text()]
    for call in found:
        if "out.scores" not in call:
            parts += _computed(call, files, scene.step, width)
    if not parts:
        return Text("its mask and scores were not kept: record with --functional attention", style="dim")
    return Group(*parts)


def _both(tap: Tap, title: str, files: Files, step: int, width: int) -> list[RenderableType]:
    both = files.opened().tap(step, tap.name)
    try:
        r, c = both.read()
    except ProbeError as error:
        return [Text(f"{title}: {error}", style="yellow")]
    room = (width - 3) // 2
    left = _picture("reference" if len(files.opened().dumps) > 1 else "recorded", title, r, room)
    if c is None:
        return list(left)
    lines: list[RenderableType] = list(side_by_side(left, _picture("candidate", title, c, room)))
    seen = _visible(r) != _visible(c)
    if title == "mask" and seen.any():
        where = ", ".join(f"({int(q)}, {int(k)})" for q, k in np.argwhere(seen)[:4])
        lines.append(Text(f"{int(seen.sum())} of {seen.size} places differ, as (query, key) {where}", style="bold"))
    return lines


def _computed(call: dict[str, Tap], files: Files, step: int, width: int) -> list[RenderableType]:
    """Scores that a fused kernel never had, from the query, key and scale that it was given, before the mask."""
    if not {"in.query", "in.key", "in.scale"} <= call.keys():
        return []
    sides = values(files.opened(), step, {port: call[port] for port in ("in.query", "in.key", "in.scale")})
    names = ("reference", "candidate") if len(files.opened().dumps) > 1 else ("recorded",)
    pictures = []
    for name, side in zip(names, sides, strict=False):
        if side and (made := scores(side)) is None:
            return [Text("its query and key lie in axes of their own: no scores can be made of them", style="dim")]
        if side and made is not None:
            pictures.append(_picture(name, "scores", made, (width - 3) // 2))
    if len(pictures) < 2:
        return [*pictures[0]] if pictures else []
    return [*side_by_side(pictures[0], pictures[1]), Text("made of query, key and scale; before the mask", style="dim")]


def _picture(side: str, title: str, numbers: Numbers, width: int) -> list[Text]:
    grid = _visible(numbers).astype(np.float64) if title == "mask" else _flat(numbers)
    finite = grid[np.isfinite(grid) & (grid > HIDDEN)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    low, high = (0.0, 1.0) if title == "mask" else (low, high)
    head = Text(f"{side} {title}", style="bold")
    scale = "bright: seen" if title == "mask" else f"dark {low:.3g}, bright {high:.3g}"
    return [head, *shaded(np.maximum(grid, low), ROWS, width, low, high), Text(scale, style="dim")]


def _visible(numbers: Numbers) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    """Which keys a query sees in any sentence and head."""
    return _flat(visible(numbers)) > 0


def _flat(numbers: Numbers) -> Grid:
    """[..., T, S] as its largest over what stands before."""
    wide = numbers.astype(np.float64)
    return wide.reshape(-1, *wide.shape[-2:]).max(axis=0) if wide.ndim > 2 else np.atleast_2d(wide)
