"""Where gradients part on the way back, by the size of their errors alone; and whom that points to."""

import math
from collections.abc import Sequence

from probe.align.mapping import Pair
from probe.dump import Dump
from probe.report import Finding, Place, TapComparison
from probe.tap import Tap, tap_name


def first_gradient(
    pairs: Sequence[Pair], rows: Sequence[TapComparison], limit: float, rounding: float, ours: Dump
) -> tuple[Place | None, tuple[Finding, ...]]:
    """The earliest gradient that is off by more than `limit` of its norm, and more than `rounding` of the largest."""
    scales = _scales(pairs, rounding / limit)
    agreed: Tap | None = None
    for pair, row in zip(pairs, rows, strict=True):
        tap = pair.reference
        if not pair.firm:
            continue
        size = max(tap.statistics.l2, scales[_key(tap)] * tap.num_elements**0.5)
        relative = row.rel_l2 if row.one_sided_nonfinite or not size else _error(pair, row) / size
        if relative > limit:
            module = _module_at_fault(tap, agreed, ours)
            before = f"{agreed.name}, before it on the way back, agrees" if agreed else "is the loss the same?"
            message = (
                f"about here, by size alone (gradients are not replayed): {tap.name} differs by {relative:.1e}, "
                f"{_how(pair, row)}, while the forward run agrees; {before}"
            )
            finding = Finding(
                "unknown", module, (module,), (agreed.name if agreed else "", tap.name), message, error_before=relative
            )
            return Place(module, tap.name, tap.step, relative, limit, relative / limit), (finding,)
        agreed = tap
    return None, ()


def _how(pair: Pair, row: TapComparison) -> str:
    """What kind of difference it is, as far as norms and the angle tell."""
    own, other = pair.reference.statistics.l2, pair.sources[0].tap.statistics.l2
    if row.cosine > 0.999 and own and pair.is_plain:
        return f"{other / own:.3g} times the reference's"
    return f"at a cosine of {row.cosine:.3f}"


def _error(pair: Pair, row: TapComparison) -> float:
    """||candidate - reference||."""
    own = pair.reference.statistics.l2
    return row.rel_l2 * own if own else math.hypot(*(source.tap.statistics.l2 for source in pair.sources))


def _scales(pairs: Sequence[Pair], least: float) -> dict[tuple[int, str, bool], float]:
    """Root mean square below which a gradient is judged as if it were so large: that of the largest parameter gradient
    of its module, and `least` of the largest gradient of its kind.

    What a bias of keys gets is zero but for rounding: softmax does not see it. Beside the matrix's gradient that shows.
    """
    largest = {True: 0.0, False: 0.0}
    found: dict[tuple[int, str, bool], float] = {}
    for tap in (pair.reference for pair in pairs):
        of_output, size = _is_of_output(tap), _rms(tap)
        largest[of_output] = max(largest[of_output], size)
        found[_key(tap)] = max(found.get(_key(tap), 0.0), 0.0 if of_output else size)
    return {key: max(size, least * largest[key[2]]) for key, size in found.items()}


def _key(tap: Tap) -> tuple[int, str, bool]:
    return tap.step, tap.module, _is_of_output(tap)


def _rms(tap: Tap) -> float:
    """Root mean square of its finite elements."""
    return tap.statistics.l2 / math.sqrt(max(tap.num_elements, 1))


def _is_of_output(tap: Tap) -> bool:
    return tap.port.partition(".")[2].partition(".")[0] == "out"


def _module_at_fault(tap: Tap, agreed: Tap | None, dump: Dump) -> str:
    """Of a parameter its module. Of an output the one module that takes it; where several or none do, that whose own
    code lies between it and the last gradient that agreed."""
    if not _is_of_output(tap):
        return tap.module
    output = dump.tap(tap_name(tap.module, tap.call, tap.port.partition(".")[2]), tap.step)
    takers = [
        other.module
        for other in dump.taps
        if other.step == tap.step and other.is_input and other.shape == output.shape and other.dtype == output.dtype
        if other.statistics.hash == output.statistics.hash and other.order > output.order
    ]
    deepest = {taker for taker in takers if not any(other.startswith(f"{taker}.") for other in takers)}
    if len(deepest) == 1:
        return deepest.pop()
    called = {other.module for other in dump.taps}
    module = agreed.module if agreed else ""
    while module and not (f"{tap.module}.".startswith(f"{module}.") and module in called):
        module = module.rpartition(".")[0]
    return module
