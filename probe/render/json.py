"""Results as JSON, for programs. Needs no rich."""

import json
import math
from typing import Any


def print_json(value: Any) -> None:
    print(json.dumps(_plain(value), indent=1, allow_nan=False))


def _plain(value: Any) -> Any:
    """JSON has no NaN, no infinity and no complex numbers: they become strings."""
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(child) for child in value]
    unknown_to_json = isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value))
    return str(value) if unknown_to_json else value
