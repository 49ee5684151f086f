"""Weights that were never loaded, as the audit of weights says it."""

from probe.report import WeightFinding

ALL = "nothing loaded"
NEVER = ("never loaded", ALL, "missing")
"""What the audit calls a weight that is still at its initial values, or nowhere."""


def never(said: WeightFinding, name: str) -> tuple[str, str]:
    """What was never loaded, and the message; where nothing was, that is one bug, not one a weight."""
    if said.kind == ALL:
        return "every weight", said.message
    return name, f"{said.message}: look for keys of the checkpoint that nobody read"
