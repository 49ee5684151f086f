"""One tap's values of both sides, and the error that rounding makes there."""

from dataclasses import dataclass

from probe.align.mapping import Numbers
from probe.align.opened import Opened
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.dump.unpadded import kept_tokens
from probe.errors import ProbeError
from probe.render.plots.rounding import Gathered, gathered
from probe.report import Report


@dataclass(frozen=True, slots=True)
class Sides:
    """Both in the reference's shape."""

    tap: str
    """The reference's."""
    other: str
    """What the candidate has in its place."""
    reference: Numbers
    candidate: Numbers
    floor: float
    """Error that rounding alone makes there, over the norm of the reference: as measured in the report, or half a unit
    of the dtype."""
    floor_is: str
    gathered: Gathered
    """Of all that was computed before."""


def check_step(files: Opened, step: int) -> None:
    """ProbeError where there is no such step, of those that go on from each other taken as one."""
    steps = files.dumps[0].steps
    if step not in steps:
        known = (
            f"it has steps {steps[0]} to {steps[-1]}, decoded tokens being part of their prompt's" if steps else None
        )
        raise ProbeError(f"{files.dumps[0].path} has no step {step}", hint=known)


def sides(files: Opened, step: int, name: str, report: Report | None = None) -> Sides:
    """ProbeError where there is no such pair, or its values were not kept.

    Where the candidate has no padding, padded tokens of the reference are as the candidate's: zero.
    """
    both = files.tap(step, name)
    if both.reference.is_gradient:
        raise ProbeError(
            f"{both.reference.name!r} is a gradient: of those errors are compared, and no picture of values is drawn",
            hint="'probe plot --kind depth' draws their errors, 'probe diff' names those that part",
        )
    if both.pair is None:
        raise ProbeError(
            f"{both.reference.name!r} has no counterpart in {files.dumps[1].path}",
            hint="pair the two in a mapping table: 'probe map', and --map",
        )
    r, c = both.read()
    assert c is not None
    kept = kept_tokens(files.dumps[0], step) if both.pair.layout.unpadded else None
    if kept is not None and kept.shape == r.shape[:2]:
        r = r.copy()
        r[~kept] = 0
    floors = (
        row.floor for row in (report.taps if report else ()) if (row.step, row.reference) == (step, both.reference.name)
    )
    told = next((floor for floor in floors if floor), None)
    rounding = max(UNIT_ROUNDOFF.get(tap.dtype, 0.0) for tap in (both.reference, *both.candidate)) or 2.0**-24
    whence = "as measured there" if told else f"half a unit of {both.candidate[0].dtype}"
    return Sides(
        both.reference.name, both.pair.candidate_name, r, c, told or rounding, whence, gathered(report, files.dumps)
    )
