"""How much of each tensor a dump keeps: its values, a sketch of them, or its row in the table alone."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from probe.dump.dtypes import FLOATS, storage
from probe.errors import ProbeError

LARGEST_SKETCH = 1 << 12
"""Projections a token."""


@dataclass(frozen=True, slots=True)
class Detail:
    """What a dump's attribute `detail` holds; one without it keeps values."""

    num_projections: int = 0
    """K; 0 where tensors are not sketched."""
    seed: int = 0
    """Of the projections."""
    has_values: bool = True
    """False: statistics and hashes alone."""

    @property
    def is_whole(self) -> bool:
        """Whether all values are kept."""
        return self.has_values and not self.num_projections

    @property
    def words(self) -> str:
        """What a dump holds of each tensor."""
        if not self.has_values:
            return "statistics and hashes alone, no values"
        if self.num_projections:
            return f"sketches: {self.num_projections} projections and the norm of each token, where that is smaller"
        return "all values"

    def is_sketched(self, shape: tuple[int, ...], dtype: str) -> bool:
        """Whether a tensor of this shape is sketched; what a sketch would not make smaller is kept in full."""
        if not self.num_projections or not shape or dtype not in FLOATS or 0 in shape:
            return False
        return (self.num_projections + 1) * storage(sketch_dtype(dtype)).itemsize < shape[-1] * storage(dtype).itemsize

    def sketch_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """K projections and the norm of each token."""
        return (*shape[:-1], self.num_projections + 1)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, data: Any) -> Self:
        """ValueError where it says what no dump says."""
        if data is None:
            return cls()
        count, seed, has_values = data["num_projections"], data["seed"], data["has_values"]
        if type(count) is not int or not 0 <= count <= LARGEST_SKETCH:
            raise ValueError(f"{count!r} projections a token")
        if type(seed) is not int or not 0 <= seed < 1 << 16 or type(has_values) is not bool:
            raise ValueError("its detail is none that a dump has")
        return cls(count, seed, has_values)


def sketch_dtype(dtype: str) -> str:
    """What the sketch of a tensor of `dtype` is computed and stored in: 16 bits would round differences away."""
    return "float64" if dtype == "float64" else "float32"


def chosen_detail(num_projections: int | None, *, stats_only: bool) -> Detail:
    """What a user asks for; ProbeError where that makes no sense."""
    if num_projections is None:
        return Detail(has_values=not stats_only)
    if stats_only:
        raise ProbeError("a sketch is more than statistics alone", hint="leave --sketch or --stats-only away")
    if not 1 <= num_projections <= LARGEST_SKETCH:
        raise ProbeError(
            f"a sketch of {num_projections} projections", hint=f"1 to {LARGEST_SKETCH}; 64 tells errors to a tenth"
        )
    return Detail(num_projections)
