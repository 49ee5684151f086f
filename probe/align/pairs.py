"""From matched modules to paired taps: which port beside which, and in what layout."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping as Mapping_
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from probe.align.layouts import layout_for, number_kind
from probe.align.mapping import Layout, Mapping, Pair, Source
from probe.align.modules import SURE, Match, match_modules
from probe.align.part import Part
from probe.align.same_tensor import equal_numbers, with_same_tensors
from probe.align.values import by_values
from probe.dump import Dump
from probe.tap import Tap, tap_name


def align(reference: Dump, candidate: Dump) -> Mapping:
    """Pair the taps of two dumps: equal names first, then equal weight rows, then order between known neighbours."""
    matches, remarks = match_modules(reference, candidate)
    sure = {module: match for module, match in matches.items() if match.confidence >= SURE}
    asked = tuple(
        f"is {module} the reference's name of {' + '.join(map(str, match.parts))}?"
        for module, match in matches.items()
        if module not in sure
    )
    return replace(pair_taps(reference, candidate, sure, tuple(remarks)), asked=asked)


def pair_taps(
    reference: Dump,
    candidate: Dump,
    matches: dict[str, Match],
    remarks: tuple[str, ...] = (),
    layouts: Mapping_[str, Layout] = MappingProxyType({}),
) -> Mapping:
    """All pairs that the module matches give, in the reference's order; ports without a fitting shape stay unpaired.

    `layouts` are those that a table gives for a module's outputs.
    """
    theirs = _Candidates(candidate)
    fit = _Fit(reference, layouts)
    pairs = []
    numbers: Counter[tuple[int, str, int, bool]] = Counter()
    for tap in reference.taps:
        call = (tap.step, tap.module, tap.call, tap.is_input)
        match = matches.get(tap.module)
        pair = _pair(tap, numbers[call], match, theirs, fit) if match else None
        numbers[call] += 1
        if pair:
            pairs.append(pair)
    pairs = with_same_tensors(reference, pairs)
    paired = {pair.reference for pair in pairs}
    left = [tap for tap in reference.taps if tap not in paired]
    pairs += equal_numbers(left, candidate.taps)
    pairs += (pair for tap, alike in by_values(left, candidate.taps) if (pair := fit.by_value(tap, alike)))
    pairs.sort(key=lambda pair: (pair.reference.step, pair.reference.order))
    paired = {pair.reference for pair in pairs}
    used = {(source.tap.step, source.tap.name) for pair in pairs for source in pair.sources}
    return Mapping(
        tuple(pairs),
        tuple(tap for tap in reference.taps if tap not in paired),
        tuple(tap for key, tap in theirs.by_name.items() if key not in used),
        remarks,
    )


def kept_tokens(reference: Dump, step: int = 0) -> NDArray[np.bool_] | None:
    """The attention mask [B, T] that the reference was fed; True where a token is no padding."""
    bits, _ = reference.inputs(step).get("attention_mask", (None, ""))
    return bits.astype(bool) if bits is not None and bits.ndim == 2 else None


class _Fit:
    """Finds layouts by what the reference was fed."""

    def __init__(self, reference: Dump, layouts: Mapping_[str, Layout]) -> None:
        self._layouts = layouts
        inputs = reference.inputs()
        two_axes = [bits.shape for bits, dtype in inputs.values() if bits.ndim == 2 and number_kind(dtype) == "int"]
        self._batch_and_tokens = two_axes[0] if two_axes else None
        mask = kept_tokens(reference)
        self._num_kept = int(mask.sum()) if mask is not None else None

    def source(self, tap: Tap, other: Tap, part: Part) -> tuple[Source, tuple[int, ...]] | None:
        """The candidate values meant by `part`, and their shape; inputs are not sliced, only outputs."""
        if number_kind(tap.dtype) != number_kind(other.dtype):
            return None
        if not other.shape:
            return Source(other), other.shape
        if other.is_input:
            if part.num_inputs is None or other.shape[-1] <= part.num_inputs:
                return Source(other), other.shape
            return Source(other, ((0, part.num_inputs),)), (*other.shape[:-1], part.num_inputs)
        if part.width is not None and not _has_axis(other.shape, part.width):
            return None  # the module computes more than its weights say: attention around a fused projection
        if part.columns is None:
            return Source(other), other.shape
        last = max(stop for _, stop in part.columns)
        num_merged = next((n for n in (1, 2, 3) if math.prod(other.shape[-n:]) == part.width), None)
        block = _block(part, other.shape) if num_merged in (None, 3) else None
        if block is not None:  # of [2, T, B, H, D] with T = 2 shapes do not tell which axis is meant
            return (Source(other, block=block), other.shape[1:]) if num_merged is None else None
        num_merged = num_merged or 1
        if last > math.prod(other.shape[-num_merged:]):
            return None
        width = sum(stop - start for start, stop in part.columns)
        return Source(other, part.columns, num_merged), (*other.shape[:-num_merged], width)

    def pair(self, tap: Tap, sources: list[tuple[Source, tuple[int, ...]]], match: Match) -> Pair | None:
        shape = (*sources[0][1][:-1], sum(shape[-1] for _, shape in sources)) if sources[0][1] else ()
        given = None if tap.is_input else self._layouts.get(tap.module)
        layout = given or layout_for(tap.shape, shape, self._batch_and_tokens, self._num_kept)
        if layout is None:
            return None
        firm = match.firm and (match.reason == "name" or given is not None or not _is_ambiguous(tap.shape, shape))
        return Pair(tap, tuple(source for source, _ in sources), layout, match.reason, firm)

    def by_value(self, tap: Tap, alike: list[Tap]) -> Pair | None:
        """Of several taps of one tensor the one of the reference's shape; its axes may be moved, so it is not firm."""
        for other in sorted(alike, key=lambda other: (other.shape != tap.shape, other.is_input != tap.is_input)):
            layout = layout_for(tap.shape, other.shape, self._batch_and_tokens, self._num_kept)
            if layout:
                return Pair(tap, (Source(other),), layout, "the same values", firm=False)
        return None


class _Candidates:
    """The candidate's taps by call."""

    def __init__(self, dump: Dump) -> None:
        self.by_name = {(tap.step, tap.name): tap for tap in dump.taps}
        self.by_call: dict[tuple[int, str, int], list[Tap]] = defaultdict(list)
        for tap in dump.taps:
            self.by_call[tap.step, tap.module, tap.call].append(tap)


def _pair(tap: Tap, number: int, match: Match, theirs: _Candidates, fit: _Fit) -> Pair | None:
    """By its name, or, of a call's outputs and its first input, by its number among them, whatever it is called."""
    parts = match.parts
    if any(part.is_shard for part in parts):
        if not tap.is_input:
            return None
    elif tap.is_input:
        parts = parts[:1]
    ports = [tap.port]
    if number == 0 or not tap.is_input:
        calls = theirs.by_call[tap.step, parts[0].module, tap.call]
        ports += [other.port for other in calls if other.is_input == tap.is_input][number : number + 1]
    for port in ports:
        found = []
        for part in parts:
            other = theirs.by_name.get((tap.step, tap_name(part.module, tap.call, port)))
            source = fit.source(tap, other, part) if other else None
            if source:
                found.append(source)
        if len(found) == len(parts) and (pair := fit.pair(tap, found, match)):
            return pair
    return None


def _is_ambiguous(reference: tuple[int, ...], candidate: tuple[int, ...]) -> bool:
    """As many tokens as heads: shapes do not tell [B, H, T, D] from [B, T, H, D]."""
    return any(len(shape) == 4 and shape[1] == shape[2] > 1 for shape in (reference, candidate))


def _has_axis(shape: tuple[int, ...], width: int) -> bool:
    """Whether `width` channels are an axis, or two (heads, and channels a head) with or without tokens in between."""
    if width in shape:
        return True
    merged = (shape[-1] * shape[-2], shape[-1] * shape[-3]) if len(shape) > 2 else ()
    return width in merged or width in (shape[0] * size for size in (shape[-1], *merged))


def _block(part: Part, shape: tuple[int, ...]) -> int | None:
    """Index of the first axis that has the part's channels, where they are stacked there: [2, B, T, H, D]."""
    if not part.columns or len(part.columns) > 1 or part.width is None or len(shape) < 3:
        return None
    start, stop = part.columns[0]
    stacked = part.width == shape[0] * (stop - start) and start % (stop - start) == 0
    return start // (stop - start) if stacked and stop - start in (shape[-1], shape[-1] * shape[-2]) else None
