"""Matrices that are no longer the reference's row by row, and still nearer to one of its matrices than to any other.

Four bits leave a tenth of each row's length as noise: too much to look one row up among all, nothing beside the
distance of two unrelated matrices, over all of their rows together. Only what is left on both sides is asked.
"""

import numpy as np
from numpy.typing import NDArray

from probe.align.match import Match
from probe.align.model import ModuleTable
from probe.align.part import Option, Part
from probe.dump import Axis, Dump, View, Weight

NEAR = 0.3
"""Mean square distance of rows' directions: 0.003 to 0.005 after int4 in blocks of 32, 0.87 to 1.12 of unrelated ones
(three tiny decoders, 32 rows and more)."""
APART = 2.0
"""How many times as far the next one must be."""


def by_nearness(
    reference: Dump, candidate: Dump, ours: ModuleTable, theirs: ModuleTable, matches: dict[str, Match]
) -> dict[str, Match]:
    """Per module with one matrix that has no match the one nearest module that is nobody's; none on a near tie. Tables
    are not asked: the head may hold the same one."""
    used = {part.module for match in matches.values() for part in match.parts}
    mine = [weight for weight in _matrices(reference, ours) if weight.module not in matches]
    others = [weight for weight in _matrices(candidate, theirs) if weight.module not in used]
    found: dict[str, tuple[float, str]] = {}
    for weight in mine:
        distances = sorted((_distance(reference, weight, candidate, one), one.module) for one in others)
        if distances and distances[0][0] < NEAR and all(far > APART * distances[0][0] for far, _ in distances[1:2]):
            found[weight.module] = distances[0]
    homes = [home for _, home in found.values()]
    return {
        module: Match((Part(home),), "weights", confidence=0.9)
        for module, (_, home) in found.items()
        if homes.count(home) == 1
    }


def is_near(reference: Dump, candidate: Dump, module: str, option: Option) -> bool:
    """Whether a module's matrices are all near those of one other module."""
    homes = [part.module for part in option if not part.is_shard and part.columns is None and part.inputs is None]
    mine = [weight for weight in reference.weights if weight.module == module and len(weight.shape) == 2]
    others = [weight for weight in candidate.weights if homes == [weight.module] and len(weight.shape) == 2]
    near = [any(_distance(reference, weight, candidate, other) < NEAR for other in others) for weight in mine]
    return bool(near) and all(near)


def _matrices(dump: Dump, table: ModuleTable) -> list[Weight]:
    weights = (weight for weight in dump.weights if len(weight.shape) == 2 and table.is_leaf(weight.module))
    return [weight for weight in weights if table.input_kind(weight.module) not in ("int", None)]


def _distance(reference: Dump, weight: Weight, candidate: Dump, other: Weight) -> float:
    """Of the rows, against the rows or the columns, whichever is nearer; infinite for another shape."""
    rows = next(view for view in weight.views if view.axis is Axis.ROWS)
    fitting = [
        view
        for view in other.views
        if view.axis in (Axis.ROWS, Axis.COLUMNS) and (view.count, view.length) == (rows.count, rows.length)
    ]
    return min((_apart(_directions(reference, rows), _directions(candidate, view)) for view in fitting), default=np.inf)


def _directions(dump: Dump, view: View) -> NDArray[np.float64]:
    return dump.sketches.directions[view.first : view.first + view.count].astype(np.float64)


def _apart(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    size = float((ours**2).sum() + (theirs**2).sum())
    return float(((ours - theirs) ** 2).sum()) / size if size else np.inf
