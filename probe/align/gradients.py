"""Which candidate gradient stands for which of the reference's: as what they are gradients of were paired."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from probe.align.audit.comparison import Layout as WeightLayout
from probe.align.audit.comparison import Value
from probe.align.audit.matrices import compare_matrices
from probe.align.audit.places import OF_MODULES, Place, places
from probe.align.mapping import Layout, Mapping, Pair, Source
from probe.dump import Dump, Weight
from probe.tap import Tap, tap_name

MOVED_ALIKE = (Value.EQUAL, Value.ROUNDED, Value.OFFSET)
"""What a weight may be of the other side's, if the gradients of both are the same."""


def pair_gradients(reference: Dump, candidate: Dump, mapping: Mapping) -> list[Pair]:
    """In the order in which the reference's arose.

    Of outputs those are firm whose modules were paired: two tensors that only hold the same numbers may lie at places
    of the two models from which other ways lead to the loss.
    """
    theirs = {(tap.step, tap.name): tap for tap in candidate.gradients}
    found = dict(_of_outputs(reference, theirs, mapping))
    found |= _of_parameters(reference, candidate, mapping)
    return [found[key] for tap in reference.gradients if (key := (tap.step, tap.name)) in found]


def _of_outputs(
    reference: Dump, theirs: dict[tuple[int, str], Tap], mapping: Mapping
) -> Iterator[tuple[tuple[int, str], Pair]]:
    outputs = {(pair.reference.step, pair.reference.name): pair for pair in mapping.pairs}
    for tap in reference.gradients:
        prefix, _, port = tap.port.partition(".")
        pair = outputs.get((tap.step, tap_name(tap.module, tap.call, port)))
        if pair is None or pair.elsewhere or (pair.layout.scale, pair.layout.offset) != (1.0, 0.0):
            continue
        sources = [_source(source, theirs, prefix) for source in pair.sources]
        whole = [source for source in sources if source is not None]
        if len(whole) == len(sources) and tap.shape == pair.reference.shape:
            firm = pair.firm and pair.reason.startswith(OF_MODULES)
            yield (tap.step, tap.name), replace(pair, reference=tap, sources=tuple(whole), firm=firm)


def _source(source: Source, theirs: dict[tuple[int, str], Tap], prefix: str) -> Source | None:
    tap = source.tap
    gradient = theirs.get((tap.step, tap_name(tap.module, tap.call, f"{prefix}.{tap.port}")))
    return replace(source, tap=gradient) if gradient and gradient.shape == tap.shape else None


def _of_parameters(reference: Dump, candidate: Dump, mapping: Mapping) -> dict[tuple[int, str], Pair]:
    ours, theirs = _by_parameter(reference), _by_parameter(candidate)
    weights = {weight.name: weight for weight in reference.weights}
    homes = places(reference, candidate, mapping)
    found: dict[tuple[int, str], Pair] = {}
    for (step, name), taps in ours.items():
        place = homes.get(name)
        if place is None or not place.is_whole or place.order is not None:
            continue
        others, layout = theirs.get((step, place.home), []), _layout(reference, weights[name], candidate, place)
        if len(taps) != len(others):  # added up in another number of parts: the last is the sum
            taps, others = taps[-1:], others[-1:]
        for tap, other in zip(taps, others, strict=False):
            if layout is not None:
                found[tap.step, tap.name] = Pair(tap, (Source(other),), layout, "as its parameter")
    return found


def _by_parameter(dump: Dump) -> dict[tuple[int, str], list[Tap]]:
    """Gradients of each parameter, by step and the parameter's name, in the order in which they arose."""
    names = {weight.name for weight in dump.weights}
    found: dict[tuple[int, str], list[Tap]] = defaultdict(list)
    for tap in dump.gradients:
        name = f"{tap.module}.{tap.port.partition('.')[2]}".removeprefix(".")
        if name in names:
            found[tap.step, name].append(tap)
    return found


def _layout(reference: Dump, weight: Weight, candidate: Dump, place: Place) -> Layout | None:
    """How the candidate's gradient becomes the reference's; None where rows are in another order, or it is not told."""
    other = place.parts[0][0]
    if len(weight.shape) < 2:
        return Layout() if weight.shape == other.shape else None
    compared = compare_matrices(reference, weight, candidate, place)
    if compared.value not in MOVED_ALIKE:
        return None
    if compared.layout is WeightLayout.PLAIN and weight.shape == other.shape:
        return Layout()
    if compared.layout is WeightLayout.TRANSPOSED and weight.shape == other.shape[::-1] and len(weight.shape) == 2:
        return Layout("b a -> a b")
    return None
