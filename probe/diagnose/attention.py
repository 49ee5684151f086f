"""Attention: scale, softcap, mask, heads, sinks."""

from probe.diagnose.hypothesis import Family

FAMILIES: list[Family] = []
