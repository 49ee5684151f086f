"""Rows of the tree from a Report, or from a dump alone."""

from collections.abc import Iterator

from probe.locate import ABOVE_FLOOR
from probe.report import Finding, Report, Seen, TapComparison
from probe.tap import Tap
from tui.figures import OF_PAIRS, rms
from tui.tree import Entry, Mark


def of_report(report: Report, step: int) -> Iterator[Entry]:
    """All compared taps of a step in order, then those of the reference without a counterpart."""
    for row in report.taps:
        if row.step == step:
            is_told = row.seen is not Seen.NOTHING
            values = {figure.key: figure.of_pair(row) for figure in OF_PAIRS} if is_told else {}
            mark = _mark(row, report)
            module = module_of(row.reference)
            yield Entry(row.reference, module, step, row.candidate, row.shape, row.dtype, values, mark)
    for name in (*report.reference_only, *(tap for tap, _ in report.skipped)):
        yield Entry(name, module_of(name), step, "", (), "", {}, Mark.UNPAIRED)


def of_dump(taps: list[Tap], step: int) -> Iterator[Entry]:
    for tap in taps:
        if tap.step == step:
            mark = Mark.NONFINITE if tap.statistics.num_nan else None
            yield Entry(
                tap.name,
                tap.module,
                step,
                "",
                tap.shape,
                tap.dtype,
                {"rms": rms(tap) if "float" in tap.dtype else None},
                mark,
            )


def module_of(tap: str) -> str:
    """`a.b` of `a.b@1:out`: ports and calls are of the tap."""
    module = tap.partition(":")[0]
    head, at, call = module.rpartition("@")
    return head if at and call.isdecimal() else module


def _mark(row: TapComparison, report: Report) -> Mark:
    if row.one_sided_nonfinite:
        return Mark.NONFINITE
    if row.ratio is not None and row.ratio > ABOVE_FLOOR:
        return Mark.OWN
    if report.first is not None and row.reference == report.first.tap:
        return Mark.OWN
    return Mark.EQUAL if row.rel_l2 == 0 else Mark.NEAR


def places(report: Report) -> tuple[str, ...]:
    """Modules at fault, in the order of the findings; each once."""
    found = [module for finding in report.findings if not finding.is_honest for module in finding.modules]
    first = [report.first.module] if report.first else []
    return tuple(dict.fromkeys((*found, *first)))


def findings_at(report: Report, module: str) -> tuple[Finding, ...]:
    return tuple(finding for finding in report.findings if module in finding.modules)


def steps(report: Report) -> tuple[int, ...]:
    return tuple(sorted({row.step for row in report.taps})) or (0,)
