"""What stands for a reference module in the candidate, why, and how sure that is."""

from dataclasses import dataclass

from probe.align.part import Option

SURE = 0.5
"""From here on a match is used; below, it is asked about."""


@dataclass(frozen=True, slots=True)
class Match:
    """A reference module's counterpart."""

    parts: Option
    reason: str
    firm: bool = True
    confidence: float = 1.0
    """How sure this is, from 0 to 1; below SURE it is asked about and not used."""

    @property
    def is_sure(self) -> bool:
        return self.confidence >= SURE
