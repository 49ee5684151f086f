"""What a comparison could not judge, in words: taps at other points, rows that are too uncertain."""

from collections.abc import Iterator, Sequence

from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.dump.joined import Joined
from probe.locate import ABOVE_FLOOR
from probe.replay.local_error import LocalError


def notes(
    mapping: Mapping, errors: Sequence[LocalError], by_size: Sequence[str] = (), table: str = ""
) -> tuple[str, ...]:
    """`by_size` are taps that sizes alone tell to lie at another point; `table` is the shipped one that was taken by
    itself."""
    elsewhere = [pair.reference.name for pair in mapping.pairs if pair.elsewhere]
    elsewhere += [error.pair.reference.name for error in errors if error.elsewhere]
    found = [
        f"{name} was tapped at another point in the candidate: all that follows agrees"
        for name in dict.fromkeys((*elsewhere, *by_size))
    ]
    if table:
        found.append(f"names are paired by the table {table}, which comes with probe; --map FILE.toml overrides it")
    of_modules = [error for error in errors if not error.pair.reference.is_functional]
    tied = [error.pair.reference.name for error in of_modules if error.excused > ABOVE_FLOOR * error.floor]
    if tied:
        more = f" ({len(tied)} such taps)" if len(tied) > 1 else ""
        found.append(f"{tied[0]} rests on another choice between numbers that nearly tie: rounding decides it{more}")
    if mapping.asked:
        found.append(
            f"not compared for want of an answer: {mapping.asked[0]} ({len(mapping.asked)} such rows; "
            "'probe map REF CAND' writes them down to be said yes to)"
        )
    return tuple(found)


def not_in_sequence(*sides: Dump) -> Iterator[str]:
    """Taps of several steps that could not be read as one."""
    for which, side in zip(("reference", "candidate"), sides, strict=True):
        if isinstance(side, Joined) and side.left_out:
            name, why = next(iter(side.left_out.items()))
            more = f" ({len(side.left_out)} such taps)" if len(side.left_out) > 1 else ""
            yield f"{name} of the {which} is not one tensor along the tokens of all steps: {why}{more}"
