"""probe.diff: trust, align, replay, locate, in this order, and a Report at the end."""

from probe.compare.diff import diff

__all__ = ["diff"]
