"""What is in a dump, as JSON data."""

from typing import Any

from probe.dump import Dump
from probe.tap import Tap

SAMPLE = 8
"""Values of one tap that are shown."""


def contents(dump: Dump) -> dict[str, Any]:
    return {
        "path": str(dump.path),
        "complete": dump.complete,
        "target": dump.attribute("target"),
        "environment": dump.environment,
        "config": dump.attribute("config"),
        "inputs": {name: {"shape": list(bits.shape), "dtype": dtype} for name, (bits, dtype) in dump.inputs().items()},
        "steps": dump.steps,
        "past": [dump.past[step] for step in dump.steps],
        "detail": dump.detail.to_json(),
        "taps": [_tap(tap) for tap in (*dump.taps, *dump.gradients)],
        "weights": len(dump.weights),
    }


def one_tap(dump: Dump, tap: Tap) -> dict[str, Any]:
    values = dump.read(tap).reshape(-1)[:SAMPLE].tolist() if dump.has_values(tap) else None
    return {**_tap(tap), "values": values}


def _tap(tap: Tap) -> dict[str, Any]:
    return {**tap._asdict(), "statistics": tap.statistics._asdict()}
