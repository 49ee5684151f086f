"""The rules of other tools, on the same aligned taps: which module each would blame first.

Every rule reads pairs of outputs in order of execution and blames the first over its default threshold; none knows
inherited error from local. Thresholds are the tools' own defaults, as their sources had them in November 2026.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from probe.align.mapping import candidate_values
from probe.align.pairs import align
from probe.dump import Dump
from probe.report import Report, TapComparison

Rule = Callable[[TapComparison], bool]
SCALARS: dict[str, Rule] = {
    "cosine < 0.997 (Polygraphy)": lambda row: not row.cosine >= 0.997,
    "cosine < 0.99 (MAX)": lambda row: not row.cosine >= 0.99,
    "NMSE >= 1e-2 (llama.cpp)": lambda row: not row.nmse < 1e-2,
    "rel > 1e-3 (SGLang)": lambda row: not _sglang(row) <= 1e-3,
}
ELEMENTWISE = "elementwise 1e-5 (Polygraphy)"
TORCHLENS = "first op not allclose (TorchLens)"
RATIOS = {"bf16 ratio >= 1.2 (Neuron)": 1.2, "bf16 ratio >= 3 (Neuron plugin)": 3.0}
EPSILON = {"float64": 2.2e-16, "float32": 1.2e-7, "float16": 9.8e-4, "bfloat16": 7.8e-3}
BF16_NOISE = 4.5e-3
"""Relative L2 of one bfloat16 module against float32, where no bfloat16 run of the reference is at hand."""


def _sglang(row: TapComparison) -> float:
    """||c - r||^2 / (||c||^2 + ||r||^2), from the relative error and the cosine."""
    if not np.isfinite(row.rel_l2):
        return float("inf")
    root = row.cosine**2 - 1 + row.rel_l2**2
    size = abs(row.cosine + max(root, 0.0) ** 0.5) if row.cosine == row.cosine else 0.0
    return row.rel_l2**2 / (1 + size**2)


def judge(report: Report, paths: tuple[Path, Path], places: set[str]) -> dict[str, bool]:
    """Of each rule, whether the module it blames first is one of `places`; without places, whether it blames any."""
    rows = [row for row in report.taps if ":out" in row.reference and row.reference.rpartition(":")[0]]
    blamed = {name: next((row.reference for row in rows if rule(row)), None) for name, rule in SCALARS.items()}
    for name, threshold in RATIOS.items():
        blamed[name] = next((row.reference for row in rows if not row.rel_l2 < threshold * _noise(row)), None)
    blamed |= _elementwise(rows, paths)
    if not places:
        return {name: tap is not None for name, tap in blamed.items()}
    return {name: tap is not None and _module(tap) in places for name, tap in blamed.items()}


def _noise(row: TapComparison) -> float:
    """Of the three-way rule's baseline: what the candidate's dtype is allowed."""
    return {"bfloat16": BF16_NOISE, "float16": BF16_NOISE / 8}.get(row.dtype, 3.5e-7)


def _elementwise(rows: list[TapComparison], paths: tuple[Path, Path]) -> dict[str, str | None]:
    """Rules that need every number: |d| > 1e-5 and |d| > 1e-5 |r|; and allclose at the dtype's own tolerance."""
    found: dict[str, str | None] = {ELEMENTWISE: None, TORCHLENS: None}
    wanted = {row.reference: row for row in rows}
    with Dump(paths[0]) as ours, Dump(paths[1]) as theirs:
        for pair in align(ours, theirs).pairs:
            row = wanted.get(pair.reference.name)
            if row is None or pair.layout.unpadded:
                continue
            r = ours.read(pair.reference).astype(np.float64)
            d = np.abs(candidate_values(pair, theirs, None).astype(np.float64) - r)
            eps = EPSILON.get(row.dtype, 1.2e-7)
            if found[ELEMENTWISE] is None and not ((d <= 1e-5) | (d <= 1e-5 * np.abs(r))).all():
                found[ELEMENTWISE] = pair.reference.name
            if found[TORCHLENS] is None and not (d <= 10 * eps + eps**0.5 * np.abs(r)).all():
                found[TORCHLENS] = pair.reference.name
            if None not in found.values():
                break
    return found


def _module(tap: str) -> str:
    return tap.rpartition(":")[0].partition("@")[0]
