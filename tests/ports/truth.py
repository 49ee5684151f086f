"""Where a port really holds the numbers of a reference tap, said by whoever wrote the port: ground truth for alignment.

A truth is a dict. Its keys are the reference's taps, with {i} (then {j}) for the layer, or globs for what a port has
no point for. Its values are None (the port has no such point), or say how to make the reference's values:

    "blocks.{i}.wqkv:out[0:64,128:192]"                channels of one tap, in the reference's order
    "wq.0:out + wq.1:out"                              several, side by side
    "blocks.{i}.wq:out | b h t d -> b t (h d)"         moved axes, by einops; sizes come from the reference's shape
    "wq:out | b t (h d n) -> b t (h n d), h=4 n=2"     sizes that the shape does not tell
    "kv:out | c b t k d -> b t (c k d) | [0:32]"       and then channels of that
    "blocks.{i}.qkv:out[0:64] | unpadded"              rows of the tokens that are no padding

Without axes, values are reshaped: [B, T, C], [B T, C] and [B, T, H, D] are the same numbers in the same order.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import einops
import numpy as np
from numpy.typing import NDArray

from probe.dump import Dump
from probe.tap import Tap, template

Truth = Mapping[str, str | None]
Numbers = NDArray[Any]

_RANGES = re.compile(r"\[(\d+:\d+(?:,\d+:\d+)*)\]$")


def counterpart(truth: Truth, tap: Tap) -> str | None:
    """What `truth` says of one reference tap, with its layer's number filled in; KeyError where it says nothing."""
    name, indices = template(tap.module)
    key = name + tap.name.removeprefix(tap.module)
    if key in truth:
        said = truth[key]
    else:
        globs = [pattern for pattern in truth if fnmatchcase(key, pattern)]
        if not globs:
            raise KeyError(f"the truth says nothing of {key!r}")
        said = truth[globs[0]]
    if said is None:
        return None
    for letter, index in zip("ij", indices, strict=False):
        said = said.replace("{" + letter + "}", str(index))
    return said


def true_values(said: str, candidate: Dump, shape: tuple[int, ...], kept_tokens: NDArray[np.bool_] | None) -> Numbers:
    """The candidate's values that `said` names, in the reference's shape."""
    sources, *changes = said.split(" | ")
    values = np.concatenate([_read(source, candidate) for source in sources.split(" + ")], axis=-1)
    for change in changes:
        if change == "unpadded":
            assert kept_tokens is not None
            padded = np.zeros((*kept_tokens.shape, *values.shape[1:]), values.dtype)
            padded[kept_tokens] = values
            values = padded
        elif _RANGES.match(change):
            values = _channels(values, change)
        else:
            pattern, _, said_sizes = change.partition(", ")
            given = {axis: int(size) for axis, size in (part.split("=") for part in said_sizes.split())}
            values = einops.rearrange(values, pattern, **_sizes(pattern, shape) | given)
    return values.reshape(shape)


def kept_tokens(reference: Dump, step: int = 0) -> NDArray[np.bool_] | None:
    """The attention mask [B, T] that the reference was fed, if it was."""
    bits, _ = reference.inputs(step).get("attention_mask", (None, ""))
    return None if bits is None else bits.astype(bool)


def relative(reference: Numbers, candidate: Numbers) -> float:
    """||c - r|| / ||r||, in float64."""
    reference, candidate = (values.astype(np.float64) for values in (reference, candidate))
    return float(np.linalg.norm(candidate - reference) / max(np.linalg.norm(reference), 1e-30))


def _read(source: str, candidate: Dump) -> Numbers:
    return _channels(candidate[_RANGES.sub("", source)], source)


def _channels(values: Numbers, said: str) -> Numbers:
    found = _RANGES.search(said)
    if not found:
        return values
    ranges = [tuple(map(int, part.split(":"))) for part in found[1].split(",")]
    return np.concatenate([values[..., start:stop] for start, stop in ranges], axis=-1)


def _sizes(pattern: str, reference_shape: tuple[int, ...]) -> dict[str, int]:
    """Sizes of the axes that stand alone on the right of the arrow."""
    left, _, right = pattern.partition("->")
    axes = re.findall(r"\([^)]*\)|\S+", right)
    if len(axes) != len(reference_shape):
        return {}
    alone = zip(axes, reference_shape, strict=True)
    return {axis: size for axis, size in alone if axis.isidentifier() and re.search(rf"\b{axis}\b", left)}
