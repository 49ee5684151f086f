"""Which tap, and which module's attention, a report's first divergence is about."""

from probe.report import Report

CORE = ".@attention:"
"""What the names of taps of attention's own code have behind their module's."""


def attention_of(tap: str, report: Report) -> str:
    """The module whose own code computes attention, and which `tap` is in; "" where it is in none."""
    within = [core for core in _cores(report) if tap.startswith((f"{core}.", f"{core}:"))]
    return max(within, key=len, default="")


def attention_at_fault(report: Report) -> str:
    """The module of the first finding (or the first divergence), if it computes attention or lies in one that does, or
    the only one in it that does; "" where there is none."""
    place = report.findings[0].module if report.findings else report.first.module if report.first else None
    if place is None:
        return ""
    inside = [core for core in _cores(report) if core.startswith(f"{place}.")]
    return attention_of(f"{place}:", report) or (inside[0] if len(inside) == 1 else "")


def _cores(report: Report) -> list[str]:
    return list(dict.fromkeys(row.reference.partition(CORE)[0] for row in report.taps if CORE in row.reference))
