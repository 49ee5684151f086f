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
    tokens: tuple[int | None, int | None] | None = None
    """Start and stop of a slice: of these tokens of each sentence alone; of all, in a step of one token."""

    @property
    def is_whole(self) -> bool:
        """Whether all values are kept."""
        return self.has_values and not self.num_projections and self.tokens is None

    @property
    def token_words(self) -> str:
        """`tokens 4:8`, or "all tokens"."""
        start, stop = ("" if end is None else end for end in self.tokens or (None, None))
        return f"tokens {start}:{stop}" if self.tokens else "all tokens"

    @property
    def words(self) -> str:
        """What a dump holds of each tensor."""
        of = f"of {self.token_words} alone: " if self.tokens else ""
        if not self.has_values:
            return f"{of}statistics and hashes alone, no values"
        if self.num_projections:
            return f"{of}sketches: {self.num_projections} projections and the norm of each token, where that is smaller"
        return f"{of}all values"

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
        tokens = data["tokens"]
        if tokens is None:
            return cls(count, seed, has_values)
        start, stop = tokens
        if any(end is not None and (type(end) is not int or abs(end) >= 1 << 62) for end in (start, stop)):
            raise ValueError(f"tokens {tokens!r}")
        return cls(count, seed, has_values, (start, stop))


def sketch_dtype(dtype: str) -> str:
    """What the sketch of a tensor of `dtype` is computed and stored in: 16 bits would round differences away."""
    return "float64" if dtype == "float64" else "float32"


def chosen_detail(num_projections: int | None, *, stats_only: bool, tokens_slice: str | None) -> Detail:
    """What a user asks for; ProbeError where that makes no sense."""
    tokens = None if tokens_slice is None else _tokens(tokens_slice)
    if num_projections is None:
        return Detail(has_values=not stats_only, tokens=tokens)
    if stats_only:
        raise ProbeError("a sketch is more than statistics alone", hint="leave --sketch or --stats-only away")
    if not 1 <= num_projections <= LARGEST_SKETCH:
        raise ProbeError(
            f"a sketch of {num_projections} projections", hint=f"1 to {LARGEST_SKETCH}; 64 tells errors to a tenth"
        )
    return Detail(num_projections, tokens=tokens)


def _tokens(text: str) -> tuple[int | None, int | None]:
    """`4:8`, `:8`, `-4:`: as Python slices."""
    start, colon, stop = text.partition(":")
    try:
        ends = tuple(int(end) if end.strip() else None for end in (start, stop))
    except ValueError:
        ends = ()
    if not colon or len(ends) != 2:
        raise ProbeError(f"{text!r} is no slice of tokens", hint="START:STOP as in Python: 0:16, :16, -4:")
    if ends == (None, None):
        raise ProbeError(f"a slice of tokens {text!r} is all of them", hint="START:STOP as in Python: 0:16, :16, -4:")
    return ends[0], ends[1]
