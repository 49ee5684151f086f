"""Embeddings and the head: a scale, rounding, another matrix, a cap on the logits."""

from probe.diagnose.hypothesis import Family

FAMILIES: list[Family] = []
