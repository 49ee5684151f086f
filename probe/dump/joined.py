"""Several steps read as one sequence: a prefill, and the steps that went on from its cache.

A tap of the sequence holds, along its tokens, what the steps computed one after the other, so that it lies beside the
same tap of a run that computed all tokens at once. Which axis the tokens lie along is seen from the sizes: T in a step
of T tokens, and all other axes equal. What the model held of past tokens (keys, T + past along one axis) is taken as
the last step had it; masks and probabilities (T by T + past) are filled up with what hides.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from probe.dump.detail import Detail
from probe.dump.dtypes import NUMPY_OTHERS, Bits, decode
from probe.dump.pieces import Pieces, assembled, of_one_tap
from probe.dump.reader import Dump
from probe.dump.view import View
from probe.errors import NotKept
from probe.tap import Tap


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens that one step computed: `start` to `stop` of the sequence."""

    step: int
    start: int
    stop: int
    num_sentences: int = 1

    @property
    def size(self) -> int:
        return self.stop - self.start


class Joined(View):
    """A dump whose sequences are its steps: the first sequence is step 0, the second step 1."""

    def __init__(self, recorded: Dump, sequences: Sequence[tuple[Span, ...]]) -> None:
        super().__init__(recorded)
        self.sequences = tuple(sequences)
        self.left_out: dict[str, str] = {}
        """Taps that no sequence has, and why."""

    @cached_property
    def _pieces(self) -> dict[tuple[int, str], Pieces]:
        by_step: dict[int, dict[str, Tap]] = {}
        for tap in self._recorded.taps:
            by_step.setdefault(tap.step, {})[tap.name] = tap
        found = {}
        for number, spans in enumerate(self.sequences):
            steps = [by_step.get(span.step, {}) for span in spans]
            names = dict.fromkeys(name for taps in steps for name in taps)
            calls = [Counter((tap.module, tap.port) for tap in taps.values()) for taps in steps]
            for name in names:
                taps = [step.get(name) for step in steps]
                place = next((tap.module, tap.port) for tap in taps if tap is not None)
                if len({count[place] for count in calls if count[place]}) > 1:
                    self.left_out[name] = "its module is called more often in one step than in another"
                    continue
                joined = of_one_tap(taps, [span.size for span in spans], spans[0].num_sentences)
                if isinstance(joined, Pieces):
                    found[number, name] = joined
                else:
                    self.left_out[name] = joined
        return found

    @cached_property
    def taps(self) -> list[Tap]:
        """In the order of execution of each sequence's first step."""
        return [pieces.joined._replace(step=number) for (number, _), pieces in self._pieces.items()]

    @cached_property
    def gradients(self) -> list[Tap]:
        """None: what arose in one step is not put beside what arose in another."""
        return []

    def bits(self, tap: Tap) -> Bits:
        pieces = self._pieces[tap.step, tap.name]
        if len(pieces.taps) == 1:
            return self._recorded.bits(pieces.taps[0])
        return assembled(pieces, self._recorded.bits)

    def blocks(self, tap: Tap, length: int) -> Iterator[Bits]:
        flat = self.bits(tap).reshape(-1)
        for start in range(0, len(flat), length):
            yield decode(flat[start : start + length], tap.dtype)

    def has_values(self, tap: Tap) -> bool:
        return all(map(self._recorded.has_values, self._pieces[tap.step, tap.name].taps))

    def sketch_rows(self, tap: Tap, detail: Detail) -> Bits:
        """Along the tokens; where the last axis is that of the keys, no sketch of the whole follows from the steps'."""
        pieces = self._pieces[tap.step, tap.name]
        if len(pieces.taps) > 1 and (pieces.keys is not None or pieces.axis == len(tap.shape) - 1):
            raise NotKept(f"{self.path} has of {tap.name!r} sketches of single steps alone")
        joined = pieces.joined._replace(shape=detail.sketch_shape(tap.shape))
        return assembled(replace(pieces, joined=joined), lambda piece: self._recorded.sketch_rows(piece, detail))

    @cached_property
    def repetition(self) -> dict[tuple[int, str], tuple[float, float]]:
        known = self._recorded.repetition
        return {
            place: tuple(max(known[tap.step, tap.name][own] for tap in pieces.taps) for own in (0, 1))  # type: ignore[misc]
            for place, pieces in self._pieces.items()
            if known
        }

    def inputs(self, step: int = 0) -> dict[str, tuple[Bits, str]]:
        """What all steps were fed, along the tokens; what grew as the last step was fed it."""
        spans = self.sequences[step] if step < len(self.sequences) else ()
        fed = [self._recorded.inputs(span.step) for span in spans]
        found = {}
        for name in fed[0] if fed else ():
            arguments = [step[name] for step in fed if name in step]
            if len(arguments) == 1:
                bits, dtype = arguments[0]
                rest = spans[-1].stop - spans[0].stop
                if "mask" in name and bits.ndim == 2 and bits.shape[1] == spans[0].stop:
                    bits = np.pad(bits, ((0, 0), (0, rest)), constant_values=1)  # without a mask nothing is padding
                found[name] = (bits, dtype)
                continue
            taps = [_as_tap(name, bits, dtype) for bits, dtype in arguments]
            pieces = (
                of_one_tap(taps, [span.size for span in spans], spans[0].num_sentences) if len(taps) == len(fed) else ""
            )
            if isinstance(pieces, Pieces):
                values = dict(zip(map(id, pieces.taps), _chosen(arguments, taps, pieces), strict=True))
                found[name] = (assembled(pieces, lambda tap, v=values: v[id(tap)]), arguments[0][1])  # type: ignore[misc]
        return found


def _chosen(arguments: list[tuple[Bits, str]], taps: list[Tap], pieces: Pieces) -> list[Bits]:
    by_tap = {id(tap): bits for tap, (bits, _) in zip(taps, arguments, strict=True)}
    return [by_tap[id(tap)] for tap in pieces.taps]


def _as_tap(name: str, bits: Bits, dtype: str) -> Tap:
    return Tap(name, "", "", 0, "in", 0, 0, bits.shape, dtype)


def side_by_side(reference: Dump, candidate: Dump) -> tuple[Dump, Dump]:
    """The two as sequences, wherever a step goes on from another; a longer one only as far as the shorter one goes,
    where a step ends there."""
    ours, theirs = sequences(reference), sequences(candidate)
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
        end = min(mine[-1].stop, other[-1].stop)
        for side, cut in ((ours, mine), (theirs, other)):
            if any(span.stop == end for span in cut):
                side[number] = tuple(span for span in cut if span.stop <= end)
    return _as_sequences(reference, ours), _as_sequences(candidate, theirs)


def sequences(dump: Dump) -> list[tuple[Span, ...]]:
    """The recorded steps, those together that go on from each other."""
    found: list[list[Span]] = []
    for step in dump.steps:
        (num_sentences, size), past = fed_to(dump, step), dump.past.get(step, 0)
        if size and past and found and found[-1][-1].stop == past:
            found[-1].append(Span(step, past, past + size, num_sentences))
        else:
            found.append([Span(step, 0, size, num_sentences)])
    return [tuple(spans) for spans in found]


def _as_sequences(dump: Dump, found: list[tuple[Span, ...]]) -> Dump:
    num_steps = sum(map(len, found))
    return dump if len(found) == num_steps == len(dump.steps) else Joined(dump, found)


def spans(*dumps: Dump) -> dict[int, tuple[Span, ...]]:
    """By step of the first dump that has sequences of several steps: which tokens are of which recorded step."""
    for dump in dumps:
        if isinstance(dump, Joined):
            return {number: spans for number, spans in enumerate(dump.sequences) if len(spans) > 1}
    return {}


def fed_to(dump: Dump, step: int) -> tuple[int, int]:
    """`fed_tokens` of a step."""
    arguments = dump.inputs(step).items()
    return fed_tokens((name, bits.shape, dtype in NUMPY_OTHERS) for name, (bits, dtype) in arguments)


def fed_tokens(arguments: Iterable[tuple[str, tuple[int, ...], bool]]) -> tuple[int, int]:
    """Sentences and tokens of each: of token ids [B, T] or [T], or of embeddings [B, T, C]; 1 and 0 without either.

    Arguments by name, shape, and whether they are whole numbers. A decoder's count where there is an encoder too;
    masks and positions tell nothing.
    """
    fed = [argument for argument in arguments if "mask" not in argument[0] and "pos" not in argument[0]]
    fed = [argument for argument in fed if argument[0].startswith("decoder_")] or fed
    ids = [shape for _, shape, is_whole in fed if is_whole and len(shape) in (1, 2)]
    shape = (ids or [shape for _, shape, _ in fed if len(shape) == 3] or [(1, 0)])[0]
    return (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])
