"""The passes of a replay, and the local errors that come out of them."""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from probe.align.mapping import Mapping
from probe.dump import Dump
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.replay.local_error import LocalError
from probe.replay.step import Look, Passes, Progress, Suspicious


def replay(
    reference: Dump,
    candidate: Dump,
    mapping: Mapping,
    model: nn.Module,
    suspicious: Suspicious,
    progress: Progress = lambda stage: None,
) -> tuple[LocalError, ...]:
    """Local errors at every pair, in order of execution. `model` is the reference, live; it is left as it was.

    `suspicious` says which errors are worth the third pass. ProbeError where the model cannot be run again.
    """
    own, low = _dtypes(reference, candidate)
    errors: list[LocalError] = []
    for step in reference.steps:
        pairs = [pair for pair in mapping.pairs if pair.reference.step == step]
        functions = tuple(pair for pair in mapping.functions.pairs if pair.reference.step == step)
        passes = Passes(reference, candidate, pairs, model, step, own, low, progress, functions)
        free: frozenset[str] = frozenset()
        for _ in range(MOST_ROUNDS):
            found = passes.local_errors(free)
            wrong = [error for error in found if error.pair.firm and suspicious(error)]
            suspects = frozenset(error.pair.reference.name for error in wrong) - free
            followed = any(error.taps & suspects - {error.pair.reference.name} for error in wrong)
            elsewhere = passes.without_effect(found, suspects, free, suspicious) if followed else frozenset()
            if not elsewhere:
                break
            free |= elsewhere
        errors += [replace(error, elsewhere=error.pair.reference.name in free) for error in found]
    return tuple(errors)


def examine(
    reference: Dump,
    candidate: Dump,
    mapping: Mapping,
    model: nn.Module,
    errors: Sequence[LocalError],
    look: Look,
    look_low: Look | None = None,
    wanted: Suspicious = lambda error: True,
    progress: Progress = lambda stage: None,
) -> None:
    """Once more in float64, with everything written down: `look` is shown each meeting with its program.

    With it come the local error that `replay` found there, and the tap as computed in low precision, flat (None where
    the low precision is that of float32 or better). `look_low` is shown the meetings of that pass in low precision,
    which comes first, with programs that compute in it. `wanted` says then what `look` is to be shown.
    """
    own, low = _dtypes(reference, candidate)
    for step in reference.steps:
        pairs = [pair for pair in mapping.pairs if pair.reference.step == step]
        here = {error.pair.reference.name: error for error in errors if error.pair.reference.step == step}
        free = frozenset(name for name, error in here.items() if error.elsewhere)
        Passes(reference, candidate, pairs, model, step, own, low, progress).examine(free, here, wanted, look, look_low)


def _dtypes(reference: Dump, candidate: Dump) -> tuple[str, str]:
    """The reference's dtype, and the less precise of the two."""
    own = reference.dtype
    return own, max((own, candidate.dtype), key=lambda name: UNIT_ROUNDOFF.get(name, 0.0))


MOST_ROUNDS = 4
"""A tap at another point can hide one further down; more than a few in a row were never seen."""
