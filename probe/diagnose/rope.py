"""Rotary embeddings: base, scaling, layout, positions, order."""

from probe.diagnose.hypothesis import Family

FAMILIES: list[Family] = []
