"""Feed-forward blocks: another activation, gate and up exchanged."""

from probe.diagnose.hypothesis import Family

FAMILIES: list[Family] = []
