"""Weights in another layer than those around them: where names are a port's own, the mapping follows the values."""

import re
from collections import Counter, defaultdict
from dataclasses import replace

from probe.align.audit.verdict import SUSPICIOUS, Kind, Verdict

MOST = 0.6
"""Share of a layer's weights that must be in one layer of the candidate."""
FEWEST = 3
"""Such weights."""
_LAYER = re.compile(r"(.*?[._]?)(\d+)(?=[.])")


def in_other_layers(verdicts: list[Verdict]) -> list[Verdict]:
    """The same verdicts; two of one name that are in each other's layers are called so."""
    settled = {v.reference: v for v in verdicts if v.kind not in SUSPICIOUS and v.place == v.home and v.place}
    homes: dict[str, Counter[str]] = defaultdict(Counter)
    for name, verdict in settled.items():
        if _layer(name) and _layer(verdict.home):
            homes[_layer(name)][_layer(verdict.home)] += 1
    usual = {
        layer: found.most_common(1)[0][0]
        for layer, found in homes.items()
        if found.most_common(1)[0][1] >= max(FEWEST, MOST * found.total())
    }
    back = {there: layer for layer, there in usual.items()}
    held: dict[str, Verdict] = {}
    for name, verdict in settled.items():
        there = _layer(verdict.home)
        if there and usual.get(_layer(name), there) != there and there in back:
            held[back[there] + name.removeprefix(_layer(name))] = verdict
    crosswise = {name: v for name, v in held.items() if name in settled and v.reference in held}
    return [
        replace(verdict, kind=Kind.OTHER_LAYER, place=found.place, home=found.home, holds=found.reference, why="")
        if (found := crosswise.get(verdict.reference))
        else verdict
        for verdict in verdicts
    ]


def _layer(name: str) -> str:
    """`model.layers.3.mlp.up.weight` -> `model.layers.3`; "" outside of layers."""
    found = _LAYER.match(name)
    return found[0] if found else ""
