"""What a replay finds out at one tap; knows no torch, so that files alone can be compared without it."""

from dataclasses import dataclass

from probe.align.mapping import Pair


@dataclass(frozen=True, slots=True)
class StepError:
    """The same of the tokens that one step of a sequence computed."""

    step: int
    start: int
    """The first of its tokens in the sequence."""
    stop: int
    error: float
    floor: float
    norm: float

    @property
    def ratio(self) -> float:
        return self.error / self.floor


@dataclass(frozen=True, slots=True)
class LocalError:
    """What one span added of its own; norms are Euclidean, of the whole tap."""

    pair: Pair
    error: float
    """||candidate - exact||; infinite where one side alone has a NaN or an infinity."""
    rounding: float
    """||low precision - exact||."""
    norm: float
    """||exact||."""
    floor: float
    """The rounding to be expected: `rounding`, but never less than one rounding of the result, nor than what the
    span's sums leave when they are added up one by one; nor than `repetition`."""
    span_start: str
    """The last tap before, of those that it was computed from."""
    module: str
    """The deepest module whose code can be at fault."""
    taps: frozenset[str] = frozenset()
    """The nearest paired taps that it was computed from."""
    code: frozenset[str] = frozenset()
    """The modules whose own code computed it, since those taps."""
    excused: float = 0.0
    """||candidate - exact|| of the rows that `error` leaves out, since a near tie decided what was computed in them."""
    elsewhere: bool = False
    """The candidate was tapped at another point: all that follows agrees with the reference's own value."""

    repetition: float = 0.0
    """What the candidate's own repetition shows there, as a norm: see probe.replay.repetition."""
    seen_at: str = ""
    """The first tap of a function, between `taps` and this one, that differs already: see probe.locate.narrowed."""
    steps: tuple[StepError, ...] = ()
    """Of a sequence that several steps computed: each step's own."""

    @property
    def ratio(self) -> float:
        """The largest, of the whole tap or of one step's tokens."""
        return max([self.error / self.floor, *(step.ratio for step in self.steps)])
