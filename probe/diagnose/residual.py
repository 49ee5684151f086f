"""What is added to the residual stream: scale and order."""

from probe.diagnose.hypothesis import Family

FAMILIES: list[Family] = []
