"""Attention of a module: masks and scores of both sides, queries down and keys across."""

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from probe.align.mapping import Numbers
from probe.errors import ProbeError
from probe.tap import Tap
from probe.views import Grid, attention_scores
from tui.charts import shaded, side_by_side
from tui.reading import Files
from tui.scene import Scene

ROWS = 16
"""Lines of a picture at most."""
PORTS = (("in.mask", "mask"), ("out.scores", "scores"), ("out.probabilities", "probabilities"))
HIDDEN = -1e4
"""What is added to a score where no key is to be seen is less."""


def show(scene: Scene, files: Files, width: int) -> RenderableType:
    taps = {
        tap.name: tap
        for tap in files.opened().dumps[0].taps
        if tap.step == scene.step and tap.module_class == "attention"
    }
    owner = scene.node.module
    found = [tap for tap in taps.values() if owner in (tap.module, tap.owner)]
    if not found:
        return Text("no attention was recorded of this module: look at one that computes it", style="dim")
    parts: list[RenderableType] = []
    for port, title in PORTS:
        for tap in found:
            if tap.port == port:
                parts += [*_both(tap, title, files, scene.step, width), Text()]
    if not any(tap.port == "out.scores" for tap in found):
        parts += _computed(found, files, scene.step, width)
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


def _computed(found: list[Tap], files: Files, step: int, width: int) -> list[RenderableType]:
    """Scores that a fused kernel never had, from the query, key and scale that it was given, before the mask."""
    ports = {tap.port: tap.name for tap in found}
    if not {"in.query", "in.key", "in.scale"} <= ports.keys():
        return []
    sides = [files.opened().tap(step, ports[port]).read() for port in ("in.query", "in.key", "in.scale")]
    room = (width - 3) // 2
    pictures = []
    for side, name in enumerate(("reference", "candidate") if len(files.opened().dumps) > 1 else ("recorded",)):
        query, key, scale = (values[side] for values in sides)
        if query is None or key is None or scale is None:
            continue
        try:
            pictures.append(_picture(name, "scores", attention_scores(query, key, float(scale)), room))
        except ValueError:
            return [Text("its query and key lie in axes of their own: no scores can be made of them", style="dim")]
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
    grid = _flat(numbers)
    return np.asarray(grid > 0 if numbers.dtype.kind == "b" else grid > HIDDEN)


def _flat(numbers: Numbers) -> Grid:
    """[..., T, S] as its largest over what stands before."""
    wide = numbers.astype(np.float64)
    return wide.reshape(-1, *wide.shape[-2:]).max(axis=0) if wide.ndim > 2 else np.atleast_2d(wide)
