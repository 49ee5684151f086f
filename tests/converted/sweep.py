"""One conversion, run by llama.cpp, compared and judged; all of them that there are."""

import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers

from probe.errors import ProbeError
from probe.report import Report
from tests.converted.convert import contents, quantized
from tests.converted.models import tiny
from tests.converted.plants import MIDDLE, PLANTS, Plant
from tests.converted.runs import compared

KINDS = ("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K")
PLANTED_KINDS = ("F32", "F16", "Q8_0", "Q4_0", "Q4_K")
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference and the file that is made of it."""

    model: str
    kind: str
    width: int
    seed: int
    plant: str = ""
    """By its name; "" of an honest conversion."""

    @property
    def name(self) -> str:
        return f"{self.plant or 'honest'} {self.model} {self.kind} width {self.width} seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the report says of a pair."""

    pair: Pair
    verdict: str = ""
    place: bool = False
    """What is blamed first is where the bug is."""
    named: bool = False
    """A finding there has its cause."""
    unknown: int = 0
    """Findings of unknown cause."""
    wrong: tuple[str, ...] = ()
    """Findings that blame something else by name; of an honest conversion whatever blames."""
    said: tuple[str, ...] = ()
    """All findings."""
    explained: float | None = None
    told_db: float | None = None
    """Least SQNR of the matrices that the audit of weights tells as quantized."""
    true_db: float | None = None
    """Least SQNR of the matrices in the file."""
    trouble: str = ""
    seconds: float = 0.0

    @property
    def mark(self) -> str:
        if self.trouble:
            return "trouble"
        if self.wrong:
            return "wrong"
        if not self.pair.plant:
            return "ok" if self.verdict != "diverged" and not self.unknown else "blamed"
        if self.verdict != "diverged":
            return "missed"
        return ("ok" if self.named else UNKNOWN) if self.place else "place"


def honest(models: Sequence[str], kinds: Sequence[str], widths: Sequence[int], seeds: Sequence[int]) -> list[Pair]:
    return [
        Pair(model, kind, width, seed)
        for kind in kinds
        for model in models
        for width in widths
        if not kind.endswith("_K") or width % 256 == 0
        for seed in seeds
    ]


def planted(models: Sequence[str], kinds: Sequence[str], widths: Sequence[int], seeds: Sequence[int]) -> list[Pair]:
    return [
        Pair(one.model, one.kind, one.width, one.seed, plant.name)
        for plant in PLANTS
        for one in honest([model for model in plant.models if model in models], kinds, widths, seeds)
    ]


def quiet() -> None:
    """llama.cpp writes what it does to the process's own stderr."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)


def run(pair: Pair) -> Outcome:
    plant = next((plant for plant in PLANTS if plant.name == pair.plant), None)
    how = {"kind": pair.kind, "width": pair.width, "seed": pair.seed}
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = compared(pair.model, Path(folder), **how, **({"change": plant.change} if plant else {}))
        except ProbeError as error:
            return Outcome(pair, trouble=str(error))
    return judged(pair, plant, report, time.perf_counter() - begun)


def judged(pair: Pair, plant: Plant | None, report: Report, seconds: float) -> Outcome:
    blamed = [finding for finding in report.findings if not finding.is_honest]
    first = blamed[0].module if blamed else report.first.module if report.first else ""
    right = [finding for finding in blamed if plant and finding.cause in plant.causes and _is_in(finding.module, plant)]
    wrong = [finding for finding in blamed if finding.cause != UNKNOWN and finding not in right]
    lies = [weight.message for weight in report.weights if weight.suspicious and not plant]
    lies += [check.message for check in report.trust if check.status != "ok" and not plant]
    told = [weight.sqnr_db for weight in report.weights if weight.kind == "quantized" and weight.sqnr_db is not None]
    return Outcome(
        pair,
        str(report.verdict),
        place=plant is not None and _is_at(first, plant),
        named=bool(right),
        unknown=sum(finding.cause == UNKNOWN for finding in blamed),
        wrong=(*(f"{finding.cause} at {finding.module}" for finding in wrong), *lies),
        said=tuple(f"{finding.cause} at {finding.module} ({len(finding.modules)})" for finding in report.findings),
        explained=report.explained,
        told_db=min(told, default=None),
        true_db=None if plant else least_db(pair),
        seconds=seconds,
    )


def _is_at(module: str, plant: Plant) -> bool:
    return module.startswith(plant.module)


def _is_in(module: str, plant: Plant) -> bool:
    """Of a bug of one layer, whether it is that layer; one of all layers may be seen anywhere."""
    return not plant.module.startswith(MIDDLE) or module.startswith(MIDDLE)


def least_db(pair: Pair) -> float | None:
    """10 log10 of ||w||^2 / ||w - v||^2 of the matrix that its type leaves least of; None of F32."""
    if pair.kind == "F32":
        return None
    stored = gguf.GGMLQuantizationType[pair.kind]
    found = []
    for values in contents(tiny(pair.model, pair.seed, pair.width)).tensors.values():
        if values.ndim == 2:
            off = values - gguf.quants.dequantize(quantized(values, stored), stored)
            found.append(10 * np.log10(np.sum(values**2) / np.sum(off**2)))
    return float(min(found))
