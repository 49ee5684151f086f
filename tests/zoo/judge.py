"""One pair, diffed as a user would, and what the report got right."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

import probe
from probe.errors import ProbeError
from probe.report import Finding, Report, Verdict
from tests.zoo import peers
from tests.zoo.pairs import DTYPES, Pair

UNNAMED = "unknown"
QUANTIZED = "linear.quantized"
HONEST = 2e-5
"""Relative, in fp32: largest difference of a port without a bug from the reference; measured, 3e-6."""
VISIBLE = 1e-7
"""A bug that changes the output by less is none on this input."""


@dataclass(frozen=True)
class Outcome:
    """What came out of one pair."""

    name: str
    causes: tuple[str, ...]
    """The planted ones; none for a benign pair."""
    part: str
    dtype: str
    verdict: str = ""
    place: bool = False
    """The first thing blamed is where a bug is."""
    named: tuple[bool, ...] = ()
    """Of each bug: whether a finding at its place has its cause."""
    located: tuple[bool, ...] = ()
    """Of each bug: whether a finding, of whatever cause, is at its place."""
    wrong: tuple[str, ...] = ()
    """Findings with a cause that is not that of a bug at that place; unknown and precision.* aside."""
    stray: tuple[str, ...] = ()
    """Findings of unknown cause where no bug is."""
    blamed: bool = False
    """Of a benign pair: diverged, or a finding other than precision.*."""
    first: str = ""
    findings: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    """Of the findings."""
    explained: float | None = None
    """Of the output's squared error, what the findings explain when they are planted."""
    trouble: str = ""
    seconds: float = 0.0
    ratio: float = 0.0
    """The largest local error over its floor."""
    effect: float = 0.0
    """How much the bugs change the output, in fp32: ||planted - clean|| / ||clean||."""
    significance: float | None = None
    """In standard deviations, what the bug's own effect is against rounding: see tests/zoo/significance.py."""
    peers: dict[str, bool] = field(default_factory=dict)
    """Of each peer's rule: whether the first module it blames is right; of a benign pair, whether it blames any."""


def record_both(pair: Pair, folder: Path) -> tuple[Path, Path]:
    paths = folder / "reference.h5", folder / "candidate.h5"
    sides = (pair.reference, pair.inputs), (pair.candidate, pair.candidate_inputs)
    for (model, fed), path in zip(sides, paths, strict=True):
        with torch.no_grad(), probe.record(model, path, force=True):
            model(**fed)
    return paths


def judge(pair: Pair, name: str, part: str, folder: Path) -> Outcome:
    """Also for a benign pair, which has no bugs."""
    causes = tuple(bug.cause for bug in pair.bugs)
    blank = Outcome(name, causes, part, pair.dtype, effect=pair.effect, significance=pair.significance)
    if pair.unlike > HONEST:
        return replace(blank, trouble=f"the candidate without a bug is not the reference: {pair.unlike:.1e}")
    if pair.bugs and pair.effect < VISIBLE:
        return replace(blank, trouble=f"the bug changes nothing: {pair.effect:.1e}")
    paths = record_both(pair, folder)
    begun = time.perf_counter()
    try:
        report = probe.diff(*paths, reference=pair.reference)
    except ProbeError as error:
        return replace(blank, trouble=str(error))
    seconds = time.perf_counter() - begun
    noise = peers.own_noise(pair.reference, pair.inputs, DTYPES[pair.dtype])
    blamed = peers.judge(report, paths, noise, {name for places in pair.places for name in places})
    return replace(score(blank, report, pair), seconds=seconds, peers=blamed)


def score(blank: Outcome, report: Report, pair: Pair) -> Outcome:
    """What the report got right about the pair."""
    findings = [one for one in report.findings if not one.cause.startswith("precision.")]
    allowed = [one for one in findings if not (pair.may_be_quantized and one.cause == QUANTIZED)]
    first = _first_place(report, findings)
    planted = list(zip(pair.bugs, pair.places, strict=True))
    return replace(
        blank,
        verdict=str(report.verdict),
        ratio=max((row.ratio or 0.0 for row in report.taps), default=0.0),
        place=any(first in places for places in pair.places),
        named=tuple(any(one.cause in bug.causes and _at(one, at) for one in findings) for bug, at in planted),
        located=tuple(any(_at(one, places) for one in findings) for places in pair.places),
        wrong=tuple(_line(one) for one in allowed if one.cause != UNNAMED and not _right(one, pair)),
        stray=tuple(_line(one) for one in findings if one.cause == UNNAMED and not _anywhere(one, pair)),
        blamed=not pair.bugs and (report.verdict is Verdict.DIVERGED or bool(allowed)),
        first=first or "nowhere",
        findings=tuple(_line(one) for one in report.findings),
        messages=tuple(one.message for one in report.findings),
        explained=report.explained,
    )


def _first_place(report: Report, findings: Sequence[Finding]) -> str | None:
    if findings:
        return findings[0].module
    return report.first.module if report.first else None


def _at(finding: Finding, places: Sequence[str]) -> bool:
    return bool({finding.module, *finding.modules} & set(places))


def _anywhere(finding: Finding, pair: Pair) -> bool:
    return any(_at(finding, places) for places in pair.places)


def _right(finding: Finding, pair: Pair) -> bool:
    return any(
        finding.cause in bug.causes and _at(finding, places) for bug, places in zip(pair.bugs, pair.places, strict=True)
    )


def _line(finding: Finding) -> str:
    return f"{finding.cause} at {finding.module}"
