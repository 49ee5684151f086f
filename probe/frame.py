"""A pandas frame, for who asks for one: nothing else here needs pandas."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from probe.errors import ProbeError

if TYPE_CHECKING:
    import pandas as pd


def frame(columns: Mapping[str, Sequence[Any]]) -> "pd.DataFrame":
    """ProbeError where pandas is not installed."""
    try:
        import pandas as pd
    except ImportError:
        raise ProbeError("a frame needs pandas", hint="pip install pandas") from None
    return pd.DataFrame(dict(columns))
