"""probe: record what every layer computed in a reference and in a candidate, and say where they part.

with probe.record(model, "ref.h5"):
    model(**inputs)
report = probe.diff("ref.h5", "cand.h5", reference=model)
dump = probe.open("ref.h5")
probe.plot.depth(report)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["ProbeError", "__version__", "diff", "open", "plot", "record"]

if TYPE_CHECKING:
    from probe.capture.record import record
    from probe.compare import diff
    from probe.dump import Dump as open
    from probe.errors import ProbeError
    from probe.render import plots as plot


def __getattr__(name: str) -> Any:
    """Load what is asked for: `import probe` alone brings neither torch nor numpy."""
    homes = {
        "record": ("probe.capture.record", "record"),
        "diff": ("probe.compare", "diff"),
        "open": ("probe.dump", "Dump"),
        "plot": ("probe.render.plots", ""),
        "ProbeError": ("probe.errors", "ProbeError"),
    }
    if name not in homes:
        raise AttributeError(f"module 'probe' has no attribute {name!r}")
    module, attribute = homes[name]
    found = import_module(module)
    return getattr(found, attribute) if attribute else found
