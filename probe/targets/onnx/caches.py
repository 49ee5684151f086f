"""Keys and values that a graph takes from the step before and returns for the next: `past...` and `present...`."""

from collections.abc import Mapping, Sequence

import numpy as np

from probe.errors import ProbeError
from probe.targets.onnx.graph import Array, Fed, Graph

TAKEN, RETURNED = "past", "present"
"""Parts of the names that exporters give them."""


class Caches:
    """Which outputs are fed to which inputs again."""

    def __init__(self, graph: Graph) -> None:
        self.taken = tuple(one for one in graph.inputs if TAKEN in one.name)
        returned = [name for name in graph.outputs if RETURNED in name]
        if len(self.taken) != len(returned):
            raise ProbeError(
                f"the graph takes {len(self.taken)} caches ({TAKEN}...) and returns {len(returned)} ({RETURNED}...)",
                hint="export it with both, or with none",
            )
        self._returned = dict(zip((one.name for one in self.taken), returned, strict=True))

    def empty(self, batch: int) -> dict[str, Array]:
        """Before the first token."""
        return {one.name: np.zeros(_shape(one, batch), one.dtype) for one in self.taken}

    def after(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """What a step's values are to the next one."""
        return {name: values[returned] for name, returned in self._returned.items()}


def _shape(one: Fed, batch: int) -> Sequence[int]:
    """The batch's axis is the first; the tokens' the only other one of any size."""
    free = [axis for axis, size in enumerate(one.shape) if axis and not isinstance(size, int)]
    if len(free) != 1:
        raise ProbeError(
            f"the cache {one.name} {list(one.shape)} does not say which axis the tokens are",
            hint="export it with the sizes of heads and channels in its inputs' shapes",
        )
    sizes = [size if isinstance(size, int) else 0 for size in one.shape]
    return [batch if not isinstance(one.shape[0], int) else sizes[0], *sizes[1:]]
