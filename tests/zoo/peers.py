"""The rules of other tools, on the same aligned taps: which module each would blame first.

Every rule reads pairs of outputs in order of execution and blames the first over its default threshold; none knows
inherited error from local. Thresholds are the tools' own defaults, as their sources had them in November 2026. They
read outputs of modules alone, so a module inside the one at fault is right for them too.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from probe.align.mapping import candidate_values
from probe.align.pairs import align
from probe.dump import Dump
from probe.report import Report, TapComparison
from tests.zoo.draw import Inputs
from tests.zoo.outputs import relative

Rule = Callable[[TapComparison], bool]
SCALARS: dict[str, Rule] = {
    "cosine < 0.997 (Polygraphy)": lambda row: not row.cosine >= 0.997,
    "cosine < 0.99 (MAX)": lambda row: not row.cosine >= 0.99,
    "NMSE >= 1e-2 (llama.cpp)": lambda row: not row.nmse < 1e-2,
    "rel > 1e-3 (SGLang)": lambda row: not _sglang(row) <= 1e-3,
}
ELEMENTWISE = "elementwise 1e-5 (Polygraphy)"
TORCHLENS = "first op not allclose (TorchLens)"
RATIOS = {"ratio to own noise >= 1.2 (Neuron)": 1.2, "ratio to own noise >= 3 (Neuron plugin)": 3.0}
EPSILON = {"float64": 2.2e-16, "float32": 1.2e-7, "float16": 9.8e-4, "bfloat16": 7.8e-3}
FP32_NOISE = 3.5e-7
"""Relative L2 of one float32 module against float64: what an fp32 candidate is held against."""


def _sglang(row: TapComparison) -> float:
    """||c - r||^2 / (||c||^2 + ||r||^2), from the relative error and the cosine."""
    if not np.isfinite(row.rel_l2):
        return float("inf")
    root = row.cosine**2 - 1 + row.rel_l2**2
    size = abs(row.cosine + max(root, 0.0) ** 0.5) if row.cosine == row.cosine else 0.0
    return row.rel_l2**2 / (1 + size**2)


def judge(report: Report, paths: tuple[Path, Path], noise: dict[str, float], places: set[str]) -> dict[str, bool]:
    """Of each rule, whether the module it blames first is right; without places, whether it blames any.

    `noise` is of `own_noise`.
    """
    rows = [row for row in report.taps if row.reference.endswith(":out")]
    blamed = {name: next((row.reference for row in rows if rule(row)), None) for name, rule in SCALARS.items()}
    for name, threshold in RATIOS.items():
        known = ((row, noise.get(_module(row.reference), None if noise else FP32_NOISE)) for row in rows)
        over = (row.reference for row, own in known if own is not None and not row.rel_l2 < threshold * own)
        blamed[name] = next(over, None)
    blamed |= _elementwise(rows, paths)
    if not places:
        return {name: tap is not None for name, tap in blamed.items()}
    return {name: tap is not None and _is_right(_module(tap), places) for name, tap in blamed.items()}


def _is_right(module: str, places: set[str]) -> bool:
    return module in places or any(module.startswith(f"{place}.") for place in places if "." in place)


def own_noise(model: nn.Module, inputs: Inputs, dtype: torch.dtype) -> dict[str, float]:
    """Of each module's output, how far the reference in `dtype` is from itself in fp32; nothing to say of fp32."""
    if dtype == torch.float32:
        return {}
    wide, narrow = (_outputs(copy.deepcopy(model).to(kind), inputs, kind) for kind in (torch.float32, dtype))
    both = [name for name in wide if name in narrow and wide[name].is_floating_point()]
    return {name: max(relative(wide[name], narrow[name].float()), 1e-30) for name in both}


def _outputs(model: nn.Module, inputs: Inputs, dtype: torch.dtype) -> dict[str, Tensor]:
    outputs: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, given: object, output: object) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, Tensor):
                outputs.setdefault(name, first.clone())

        return keep

    handles = [module.register_forward_hook(hook(name)) for name, module in model.named_modules()]
    with torch.no_grad():
        model(**{name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items()})
    for handle in handles:
        handle.remove()
    return outputs


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
