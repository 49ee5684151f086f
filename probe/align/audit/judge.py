"""From comparisons to a verdict a weight: where it is, or what is in its place."""

from dataclasses import replace

import numpy as np

from probe.align.audit.comparison import Comparison, Layout, Value, permutation_digest, permutation_layout
from probe.align.audit.lookup import Lookup
from probe.align.audit.matrices import SHORTEST, compare_matrices, whole
from probe.align.audit.places import Place
from probe.align.audit.vectors import VectorValues, compare_vectors, dtypes_of
from probe.align.audit.verdict import Kind, Verdict, kind_of, template
from probe.dump import Dump, Weight

FEW = 0.1
"""Where no more of the reference's matrices than this are in the candidate, nothing is said of single ones."""


class Judge:
    """Compares every reference weight with its place, and looks up what does not fit."""

    def __init__(self, reference: Dump, candidate: Dump, places: dict[str, Place]) -> None:
        self._reference, self._candidate, self._places = reference, candidate, places
        self._our_values, self._their_values = VectorValues(reference), VectorValues(candidate)
        self._ours, self._theirs = Lookup(reference, self._our_values), Lookup(candidate, self._their_values)
        self._scattered: dict[str, Comparison] = {}
        self._weights = {weight.name: weight for weight in reference.weights}
        self._compared = {
            name: _ordered(self._compare(self._weights[name], place), place) for name, place in places.items()
        }
        self.claimed = {
            part.tied_to or part.name
            for name, place in places.items()
            if self._compared[name].is_same_weight
            for part, _ in place.parts
        }

    def judge(self) -> list[Verdict]:
        holders = self._holders()
        found_elsewhere = self._elsewhere()
        verdicts: list[Verdict] = []
        for name, weight in self._weights.items():
            place = self._places.get(name)
            if place and self._compared[name].is_same_weight and not holders.get(name):
                compared = self._compared[name]
                kind = kind_of(compared, place.parts[0][0].dtype)
                if kind in (Kind.EQUAL, Kind.ROUNDED) and _is_copy(weight, place):
                    kind = Kind.UNTIED
                verdicts.append(Verdict(name, kind, *_where(place), comparison=compared))
            elif not place and weight.tied_to in self._compared:
                twin = self._places[weight.tied_to]
                verdicts.append(Verdict(name, Kind.TIED, *_where(twin), comparison=self._compared[weight.tied_to]))
            elif found_elsewhere.get(name):
                where = sorted(found_elsewhere[name])
                self.claimed.update(where)
                verdicts.append(self._moved(name, where))
            elif place and holders.get(name):
                verdicts.append(self._misplaced(weight, place, holders[name]))
            elif place:
                verdicts.append(self._not_there(weight, place))
            else:
                verdicts.append(Verdict(name, Kind.ABSENT))
        return self._unless_nothing_is_there(verdicts)

    def _unless_nothing_is_there(self, verdicts: list[Verdict]) -> list[Verdict]:
        """Where hardly any matrix is in the candidate, that is the finding."""
        lost = {Kind.NEVER_LOADED, Kind.ABSENT, Kind.UNKNOWN}
        matrices = [v for v in verdicts if len(self._weights[v.reference].shape) > 1]
        missing = [v for v in matrices if v.kind in lost]
        rotated = [v for v in matrices if v.comparison and v.comparison.value is Value.SAME_NORMS]
        if not missing or rotated or len(matrices) - len(missing) > FEW * len(matrices):
            return verdicts
        return [replace(v, kind=Kind.NOTHING_LOADED, why="") if v.kind in lost else v for v in verdicts]

    def _compare(self, weight: Weight, place: Place) -> Comparison:
        if not _num_nonfinite(weight) and any(_num_nonfinite(part) for part, _ in place.parts):
            return Comparison(Layout.PLAIN, Value.NONFINITE)
        if len(weight.shape) > 1:
            return compare_matrices(self._reference, weight, self._candidate, place)
        first = place.parts[0][0]
        stored_alike = place.is_whole and (first.shape, first.dtype) == (weight.shape, weight.dtype)
        if stored_alike and first.statistics.hash == weight.statistics.hash:
            return Comparison(Layout.PLAIN, Value.EQUAL)
        if place.is_whole and first.shape == weight.shape:
            by_sketch = compare_matrices(self._reference, weight, self._candidate, place)
            if by_sketch.value is Value.ROUNDED and weight.shape[0] >= SHORTEST:
                return by_sketch
        own, other = self._our_values.of(weight), self._their_values.at(place)
        if own is None or other is None:
            return Comparison(Layout.PLAIN, Value.UNSEEN)
        return compare_vectors(own, other, dtypes_of(weight, place))

    def _holders(self) -> dict[str, list[Weight]]:
        """Per weight that is not in its place: whose values are there.

        Norms of neighbouring layers resemble each other: what is only near its own may be another one exactly.
        """
        wrong = {name: place for name, place in self._places.items() if not self._compared[name].is_same_weight}
        vectors = [name for name in self._places if len(self._weights[name].shape) == 1]
        near = {name for name in vectors if self._compared[name].value is Value.PERTURBED}
        wrong |= {name: self._places[name] for name in near}
        matrices = {name: place for name, place in wrong.items() if len(self._weights[name].shape) > 1}
        found = self._ours.owners(self._candidate, matrices) if matrices else {}
        for name, place in wrong.items():
            if name not in matrices:
                values = self._their_values.at(place)
                if values is not None:
                    dtypes = dtypes_of(self._weights[name], place)
                    found[name] = self._ours.equal_vectors(values, dtypes, exactly=name in near)
        return {name: [w for w in owners if not self._is_itself(w, name)] for name, owners in found.items()}

    def _is_itself(self, weight: Weight, name: str) -> bool:
        own = self._weights[name]
        return weight.name in (name, own.tied_to)

    def _elsewhere(self) -> dict[str, set[str]]:
        """Per weight that has no place, or is not in it: candidate weights that hold it and nobody else's."""
        lost = [w for name, w in self._weights.items() if name not in self._places or self._is_strange(name)]
        matrices = {weight.name: whole(weight) for weight in lost if len(weight.shape) > 1}
        owners = self._theirs.owners(self._reference, matrices) if matrices else {}
        places_of_others = {part.name for place in self._places.values() for part, _ in place.parts}
        found: dict[str, set[str]] = {}
        for weight in lost:
            if weight.name in matrices:
                found[weight.name] = {owner.name for owner in owners.get(weight.name, [])[:1]}
                scattered = None if found[weight.name] else self._theirs.scattered(self._reference, weight)
                if scattered:
                    found[weight.name], self._scattered[weight.name] = scattered
            else:
                values = self._our_values.of(weight)
                equal = [] if values is None else self._theirs.equal_vectors(values, (weight.dtype,))
                found[weight.name] = {owner.name for owner in equal}
            if weight.name in self._places:  # a place of its own, and values in another weight's: that is a bug
                found[weight.name] -= places_of_others
        return found

    def _is_strange(self, name: str) -> bool:
        return self._compared[name].value in (Value.OTHER, Value.PARTLY)

    def _moved(self, name: str, where: list[str]) -> Verdict:
        """Found by its values; of rows in several weights it is known whether they are all there, and unchanged."""
        compared = self._scattered.get(name)
        place = where[0] + (" and others" if where[1:] else "")
        if compared and compared.value is Value.PARTLY:
            why = f"{compared.share:.0%} of its rows are there"
            return Verdict(name, Kind.PARTLY, place, where[0], why=why, comparison=compared)
        if compared and compared.value is Value.SCALED:
            return Verdict(name, Kind.SCALED, place, where[0], comparison=compared)
        return Verdict(name, Kind.MOVED, place, where[0], comparison=compared)

    def _misplaced(self, weight: Weight, place: Place, holders: list[Weight]) -> Verdict:
        """Its place holds another weight's values; of equal ones the likeliest is named."""
        swapped = [other for other in holders if self._holds(other, weight)]
        same_kind = [other for other in holders if template(other.name)[0] == template(weight.name)[0]]
        other = (swapped or same_kind or holders)[0]
        if template(other.name)[0] == template(weight.name)[0]:
            kind = Kind.OTHER_LAYER
        else:
            kind = Kind.SWAPPED if swapped else Kind.OTHER_WEIGHT
        tied = place.parts[0][0].tied_to and not weight.tied_to
        why = f"it is tied to {place.parts[0][0].tied_to} in the candidate alone" if tied else ""
        return Verdict(weight.name, kind, *_where(place), other.name, why)

    def _holds(self, other: Weight, weight: Weight) -> bool:
        """Whether the place of `other` holds `weight`."""
        place = self._places.get(other.name)
        return place is not None and self._compare(weight, place).is_same_weight

    def _not_there(self, weight: Weight, place: Place) -> Verdict:
        found = self._compared[weight.name]
        if found.value is Value.CONSTANT:
            constant = f"{found.constant:.3g}"
            return Verdict(weight.name, Kind.NEVER_LOADED, *_where(place), why=f"all {constant}", comparison=found)
        if found.value is Value.NONFINITE:
            return Verdict(weight.name, Kind.NONFINITE, *_where(place), comparison=found)
        if found.value in (Value.UNSEEN, Value.UNCLEAR):
            unseen = found.value is Value.UNSEEN
            why = "its numbers are not in the dump" if unseen else "too few rows to tell noise from another weight"
            return Verdict(weight.name, Kind.UNKNOWN, *_where(place), why=why)
        if found.value is Value.PARTLY:
            why = f"{found.share:.0%} of its rows are there"
            return Verdict(weight.name, Kind.PARTLY, *_where(place), why=why, comparison=found)
        if found.value is Value.SAME_NORMS:
            why = "rows of the same norms in other directions: rotated?"
            return Verdict(weight.name, Kind.UNKNOWN, *_where(place), why=why, comparison=found)
        if self._size(place) != int(np.prod(weight.shape)):
            return Verdict(weight.name, Kind.UNKNOWN, *_where(place), why="nothing of it is there", comparison=found)
        why = "none of the reference's rows is in it" if len(weight.shape) > 1 else "its values are no weight's"
        why += f"; the reference ties it to {weight.tied_to}" if weight.tied_to else ""
        return Verdict(weight.name, Kind.NEVER_LOADED, *_where(place), why=why, comparison=found)

    def _size(self, place: Place) -> int:
        """Numbers in a place; ranges are of output channels."""
        total = 0
        for weight, ranges in place.parts:
            size = int(np.prod(weight.shape))
            if ranges:
                count = sum(stop - start for start, stop in ranges)
                axis = next((n for n in weight.shape if n >= max(stop for _, stop in ranges)), count)
                size = size // axis * count
            total += size
        return total


def _ordered(found: Comparison, place: Place) -> Comparison:
    """With the permutation that the mapping itself found."""
    order = place.order
    if order is None or found.layout is not Layout.PLAIN or not found.is_same_weight:
        return found
    layout, head_dim = permutation_layout(order)
    return replace(found, layout=layout, head_dim=head_dim, digest=permutation_digest(order))


def _num_nonfinite(weight: Weight) -> int:
    return weight.statistics.num_nan + weight.statistics.num_inf


def _is_copy(weight: Weight, place: Place) -> bool:
    """Whether one side alone ties it to another weight; the values are the same all the same."""
    return bool(weight.tied_to) != bool(place.parts[0][0].tied_to)


def _where(place: Place) -> tuple[str, str]:
    return str(place), place.parts[0][0].name
