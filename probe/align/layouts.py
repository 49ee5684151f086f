"""Which layout brings a candidate's shape to the reference's, by shapes alone; no values are read."""

import math

from probe.align.mapping import Layout
from probe.dump.dtypes import FLOATS

KINDS = {"bool": "bool", "complex32": "complex", "complex64": "complex", "complex128": "complex"}


def number_kind(dtype: str) -> str:
    """ "float", "int", "bool" or "complex": only like is compared with like."""
    return "float" if dtype in FLOATS else KINDS.get(dtype, "int")


def layout_for(
    reference: tuple[int, ...],
    candidate: tuple[int, ...],
    batch_and_tokens: tuple[int, int] | None,
    num_kept: int | None,
) -> Layout | None:
    """The layout that makes `candidate` into `reference`; None where there is none.

    `batch_and_tokens` are the sizes of the model's input ids, and `num_kept` how many of them are no padding.
    """
    if reference == candidate:
        return Layout()
    if _squeezed(reference) == _squeezed(candidate):
        return Layout()  # axes of size 1 more or less
    if math.prod(reference) == math.prod(candidate):
        return _same_size(reference, candidate)
    if batch_and_tokens and num_kept and num_kept < math.prod(batch_and_tokens):
        return _unpadded(reference, candidate, batch_and_tokens, num_kept)
    return None


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _same_size(reference: tuple[int, ...], candidate: tuple[int, ...]) -> Layout | None:
    """Axes merged or split ([B, T, C] and [B T, C]), or heads before tokens ([B, T, H, D] and [B, H, T, D])."""
    if _merges(reference, candidate) or _merges(candidate, reference):
        return Layout()
    if len(reference) == len(candidate) == 3 and candidate == (reference[1], reference[0], reference[2]):
        return Layout("t b c -> b t c")
    if len(reference) == 4:
        b, h, t, d = reference
        if candidate == (b, t, h, d):
            return Layout("b t h d -> b h t d")
        if candidate in ((b, t, h * d), (b * t, h * d)):
            return Layout("b t (h d) -> b h t d" if len(candidate) == 3 else "(b t) (h d) -> b h t d")
    if len(candidate) == 4:
        b, h, t, d = candidate
        if reference == (b, t, h * d):
            return Layout("b h t d -> b t (h d)")
    return None


def _merges(fine: tuple[int, ...], coarse: tuple[int, ...]) -> bool:
    """Whether `coarse` is `fine` with neighbouring axes multiplied together."""
    at = 0
    for size in coarse:
        product = 1
        while at < len(fine) and product < size:
            product *= fine[at]
            at += 1
        if product != size:
            return False
    return all(size == 1 for size in fine[at:])


def _unpadded(
    reference: tuple[int, ...], candidate: tuple[int, ...], batch_and_tokens: tuple[int, int], num_kept: int
) -> Layout | None:
    """[B, T, ...] in the reference, and the kept tokens alone in the candidate."""
    if reference[:2] != batch_and_tokens:
        return None
    rest = candidate[1:] if candidate[:1] == (num_kept,) else candidate[2:] if candidate[:2] == (1, num_kept) else None
    if rest is None or math.prod(rest) != math.prod(reference[2:]):
        return None
    return Layout(unpadded=True)
