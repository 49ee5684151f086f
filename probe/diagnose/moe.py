"""Mixtures of experts: router, order and number of experts."""

from probe.diagnose.hypothesis import Family

FAMILIES: list[Family] = []
