"""Arithmetic: where values are rounded, and how sums are added."""

from probe.diagnose.hypothesis import Family

FAMILIES: list[Family] = []
