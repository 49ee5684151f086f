"""The passes over one step: in low precision, in float64, and with differences left out."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from probe.align.mapping import Pair
from probe.dump import Dump
from probe.dump.dtypes import UNIT_ROUNDOFF
from probe.dump.joined import spans
from probe.dump.unpadded import kept_tokens
from probe.errors import ProbeError
from probe.replay.arithmetic import InDtype, InFloat64
from probe.replay.by_step import Sequence
from probe.replay.feeding import arguments, recorded_inputs
from probe.replay.force import Replay
from probe.replay.local_error import LocalError
from probe.replay.measure import measure
from probe.replay.meeting import Meet, Meeting
from probe.replay.repetition import own_noise, with_repetition
from probe.replay.scratch import Scratch

Suspicious = Callable[[LocalError], bool]
Progress = Callable[[str], None]
Look = Callable[[Meeting, LocalError, torch.Tensor | None], None]
MOSTLY = 0.5
"""Of the error with the candidate's tensor put in: what leaves more with the reference's own is no better. A table of
embeddings of 2 bits that is scaled by 8 or more behind the tap leaves 0.3 to 0.4; two errors that have nothing to do
with each other leave 1."""


class Passes:
    """The passes over one step; each is one forward of the reference."""

    def __init__(
        self,
        reference: Dump,
        candidate: Dump,
        pairs: list[Pair],
        model: nn.Module,
        step: int,
        own: str,
        low: str,
        progress: Progress,
        functions: tuple[Pair, ...] = (),
    ) -> None:
        """`functions` are met by `local_errors` alone."""
        self._candidate, self._pairs, self._model, self._low, self._progress = candidate, pairs, model, low, progress
        self._low_precision: Callable[[], AbstractContextManager[Any]]
        rounded = candidate.environment.get("buffer_dtype") == low
        buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()] if rounded else []
        self._low_precision = nullcontext if low == own else lambda: InDtype(getattr(torch, low), buffers)
        self._noise = own_noise(candidate, pairs)
        self._functions = functions
        self._kept = kept_tokens(reference, step)
        self._inputs = recorded_inputs(reference, step, model)
        found = spans(candidate, reference).get(step)
        self._sequence = Sequence(found, self._kept) if found else None

    def local_errors(self, free: frozenset[str]) -> list[LocalError]:
        """One pass in low precision, whose values wait on disk for the second, in float64."""
        found: list[LocalError] = []

        with Scratch() as scratch:
            self._keep(scratch, free, functions=self._functions)
            self._progress("replaying in float64")
            with InFloat64():

                def note(meeting: Meeting) -> None:
                    found.append(measure(meeting, self._low, scratch, self._sequence))

                self._run(note, free, functions=self._functions)
        return with_repetition(found, self._noise)

    def examine(
        self,
        free: frozenset[str],
        errors: dict[str, LocalError],
        wanted: Suspicious,
        look: Look,
        look_low: Look | None = None,
    ) -> None:
        """A pass in low precision where that differs from float32's, and one in float64 that is written down.

        The one in float64 only where something of it is `wanted` after the other.
        """

        def show(meeting: Meeting) -> None:
            name = meeting.pair.reference.name
            if name in errors and wanted(errors[name]):
                look(meeting, errors[name], scratch.whole(name))

        def show_low(meeting: Meeting) -> None:
            if look_low is not None and meeting.pair.reference.name in errors:
                look_low(meeting, errors[meeting.pair.reference.name], None)

        with Scratch() as scratch:
            if UNIT_ROUNDOFF.get(self._low, 0.0) > UNIT_ROUNDOFF["float32"]:
                self._keep(scratch, free, show_low if look_low is not None else None)
            if any(wanted(error) for error in errors.values()):
                self._progress("looking for causes")
                with InFloat64():
                    self._run(lambda meeting: None, free, examine=show)

    def without_effect(
        self, found: list[LocalError], suspects: frozenset[str], free: frozenset[str], suspicious: Suspicious
    ) -> frozenset[str]:
        """Suspects whose candidate tensor is not what the candidate itself went on with.

        With the candidate's tensor put in, what follows disagrees; with the reference's own, some of it agrees, or all
        of it nearly: what has an error of its own, as a norm has that no scale of its input changes, is no witness. So
        it is where the candidate was tapped at another point, an embedding before its scale for one. A real error is
        the other way round: what follows agrees only with the candidate's tensor.
        """
        first = {error.pair.reference.name: error for error in found}
        agreeing: set[str] = set()
        settled: set[str] = set()
        doubted: set[str] = set()
        moved: set[str] = set()

        def watch(meeting: Meeting) -> None:
            name = meeting.pair.reference.name
            causes = {tap for _, tap in meeting.origin.taps} & suspects - {name}
            if meeting.candidate is None or not meeting.pair.firm or not causes:
                return
            now = measure(meeting, self._low)
            floor = max(now.floor, first[name].floor * now.norm / (first[name].norm or 1.0))
            remains = suspicious(replace(now, floor=floor))
            was_wrong = suspicious(first[name])
            if remains and now.error > MOSTLY * first[name].error:
                (doubted if was_wrong else moved).update(causes)
            elif was_wrong:
                (settled if remains else agreeing).update(causes)

        self._progress("checking what depends on the differences")
        with self._low_precision():
            self._run(watch, free | suspects, self._low)
        return frozenset((agreeing | (settled - doubted)) - moved)

    def _keep(
        self, scratch: Scratch, free: frozenset[str], examine: Meet | None = None, functions: tuple[Pair, ...] = ()
    ) -> None:
        """The pass in low precision, whose values are kept for the one in float64."""

        def keep(meeting: Meeting) -> None:
            if meeting.candidate is not None:
                scratch.keep(meeting.pair.reference.name, meeting.computed)

        self._progress(f"replaying in {self._low}")
        with self._low_precision():
            self._run(keep, free, self._low, examine, functions)

    def _run(
        self,
        meet: Meet,
        free: frozenset[str],
        dtype: str | None = None,
        examine: Meet | None = None,
        functions: tuple[Pair, ...] = (),
    ) -> None:
        """`dtype` is what the model is fed in, as a candidate of that dtype was."""
        kind = getattr(torch, dtype) if dtype else None
        inputs = arguments(self._model, self._inputs, kind)
        try:
            roundoff = UNIT_ROUNDOFF.get(self._low, 0.0)
            once = Replay(self._pairs, self._candidate, self._kept, meet, free, roundoff, examine, functions)
            once.run(self._model, inputs)
        except ProbeError:
            raise
        except Exception as error:  # the model is the user's code: it may raise anything
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ProbeError(
                f"the reference cannot be replayed: {reason}", hint="compare without it: --no-replay"
            ) from error
