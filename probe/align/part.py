"""Where a reference module went: one candidate module, some of its channels, or several side by side."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A candidate module, and which channels of its output are meant."""

    module: str
    columns: tuple[tuple[int, int], ...] | None = None
    """None: all."""
    width: int | None = None
    """Channels that the module's output has if it is what its weights make it; None: not known."""
    inputs: tuple[tuple[int, int], ...] | None = None
    """Which channels of its input are the reference's, in the reference's order; None: all."""
    is_shard: bool = False
    """It holds some of the input channels alone: its input is a part of the reference's, its output only a summand."""

    @property
    def is_reordered(self) -> bool:
        """Whether its channels are not one range of the candidate's, in the reference's order."""
        return any(ranges is not None and len(ranges) > 1 for ranges in (self.columns, self.inputs))

    def __str__(self) -> str:
        ranges = ",".join(f"{start}:{stop}" for start, stop in (self.columns or ())[:3])
        return f"{self.module}[{ranges}]" if self.columns else self.module


Option = tuple[Part, ...]
"""Candidate modules that together, side by side, are one reference module; nearly always one."""
