"""Every reference weight beside what the candidate has in its place."""

from dataclasses import replace

from probe.align.audit.comparison import Comparison, Layout, Value, permutation_digest, permutation_layout
from probe.align.audit.matrices import compare_matrices
from probe.align.audit.places import Place
from probe.align.audit.sketched import SHORTEST
from probe.align.audit.vectors import VectorValues, compare_vectors, dtypes_of
from probe.dump import Dump, Weight


class Beside:
    """Both sides' weights, where each should be, and what is there."""

    def __init__(self, reference: Dump, candidate: Dump, places: dict[str, Place]) -> None:
        self.reference, self.candidate, self.places = reference, candidate, places
        self.our_values, self.their_values = VectorValues(reference), VectorValues(candidate)
        self.weights = {weight.name: weight for weight in reference.weights}
        self.types = {**_types(reference), **_types(candidate)}
        """By either side's names, the types of quantized weights, where a file told them."""
        self.compared = {
            name: _ordered(self.compare(self.weights[name], place), place) for name, place in places.items()
        }

    def compare(self, weight: Weight, place: Place) -> Comparison:
        """What `place` holds of `weight`."""
        if not _num_nonfinite(weight) and any(_num_nonfinite(part) for part, _ in place.parts):
            return Comparison(Layout.PLAIN, Value.NONFINITE)
        if len(weight.shape) > 1:
            return compare_matrices(self.reference, weight, self.candidate, place)
        first = place.parts[0][0]
        stored_alike = place.is_whole and (first.shape, first.dtype) == (weight.shape, weight.dtype)
        if stored_alike and first.statistics.hash == weight.statistics.hash:
            return Comparison(Layout.PLAIN, Value.EQUAL)
        if place.is_whole and first.shape == weight.shape:
            by_sketch = compare_matrices(self.reference, weight, self.candidate, place)
            if by_sketch.value is Value.ROUNDED and weight.shape[0] >= SHORTEST:
                return by_sketch
        own, other = self.our_values.of(weight), self.their_values.at(place)
        if own is None or other is None:
            return Comparison(Layout.PLAIN, Value.UNSEEN)
        return compare_vectors(own, other, dtypes_of(weight, place))

    def holds(self, name: str, weight: Weight) -> bool:
        """Whether the place of `name` holds `weight`."""
        place = self.places.get(name)
        return place is not None and self.compare(weight, place).is_same_weight


def _ordered(found: Comparison, place: Place) -> Comparison:
    """With the permutation that the mapping itself found."""
    order = place.order
    if order is None or found.layout is not Layout.PLAIN or not found.is_same_weight:
        return found
    layout, head_dim = permutation_layout(order)
    return replace(found, layout=layout, head_dim=head_dim, digest=permutation_digest(order))


def _types(dump: Dump) -> dict[str, str]:
    """Of a head that is the embedding too."""
    told = dump.attribute("stored")
    found = {
        str(name): str(kind)
        for kind, names in (told.items() if isinstance(told, dict) else ())
        for name in (names if isinstance(names, list) else ())
    }
    return found | {weight.name: found[weight.tied_to] for weight in dump.weights if weight.tied_to in found}


def _num_nonfinite(weight: Weight) -> int:
    return weight.statistics.num_nan + weight.statistics.num_inf
