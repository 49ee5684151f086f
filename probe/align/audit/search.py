"""What does not fit its place is looked up: whose values are there, and where its own are."""

from probe.align.audit.beside import Beside
from probe.align.audit.comparison import Comparison, Value
from probe.align.audit.lookup import Lookup
from probe.align.audit.sketched import whole
from probe.align.audit.vectors import dtypes_of
from probe.dump import Weight


class Search:
    """All weights of both sides, by value."""

    def __init__(self, beside: Beside) -> None:
        self._beside = beside
        self._ours = Lookup(beside.reference, beside.our_values)
        self._theirs = Lookup(beside.candidate, beside.their_values)
        self.scattered: dict[str, Comparison] = {}
        """Of weights whose rows lie in several: what became of them. Filled by `elsewhere`."""

        self.beyond: set[str] = set()
        """Weights that should be a part of a candidate's weight, and lie in it elsewhere. Filled by `elsewhere`."""

    def _home_of_parts(self, name: str) -> set[str]:
        return {part.name for part, ranges in self._beside.places[name].parts if ranges}

    def holders(self) -> dict[str, list[Weight]]:
        """Per weight that is not in its place: whose values are there.

        Norms of neighbouring layers resemble each other: what is only near its own may be another one exactly.
        """
        weights, compared, places = self._beside.weights, self._beside.compared, self._beside.places
        wrong = {name: place for name, place in places.items() if not compared[name].is_same_weight}
        vectors = [name for name in places if len(weights[name].shape) == 1]
        near = {name for name in vectors if compared[name].value is Value.PERTURBED}
        wrong |= {name: places[name] for name in near}
        matrices = {name: place for name, place in wrong.items() if len(weights[name].shape) > 1}
        found = self._ours.owners(self._beside.candidate, matrices) if matrices else {}
        for name, place in wrong.items():
            if name not in matrices:
                values = self._beside.their_values.at(place)
                if values is not None:
                    dtypes = dtypes_of(weights[name], place)
                    found[name] = self._ours.equal_vectors(values, dtypes, exactly=name in near)
        return {name: [w for w in owners if not self._is_itself(w, name)] for name, owners in found.items()}

    def _is_itself(self, weight: Weight, name: str) -> bool:
        return weight.name in (name, self._beside.weights[name].tied_to)

    def elsewhere(self) -> dict[str, set[str]]:
        """Per weight that has no place, or is not in it: candidate weights that hold it and nobody else's."""
        places, reference = self._beside.places, self._beside.reference
        lost = [w for name, w in self._beside.weights.items() if name not in places or self._is_strange(name)]
        matrices = {weight.name: whole(weight) for weight in lost if len(weight.shape) > 1}
        owners = self._theirs.owners(reference, matrices) if matrices else {}
        places_of_others = {part.name for place in places.values() for part, _ in place.parts}
        found: dict[str, set[str]] = {}
        for weight in lost:
            if weight.name in matrices:
                found[weight.name] = {owner.name for owner in owners.get(weight.name, [])[:1]}
                scattered = None if found[weight.name] else self._theirs.scattered(reference, weight)
                if scattered:
                    found[weight.name], self.scattered[weight.name] = scattered
            else:
                values = self._beside.our_values.of(weight)
                equal = [] if values is None else self._theirs.equal_vectors(values, (weight.dtype,))
                found[weight.name] = {owner.name for owner in equal}
            if weight.name in places and found[weight.name] & self._home_of_parts(weight.name):
                self.beyond.add(weight.name)
            if weight.name in places:  # a place of its own, and values in another weight's: that is a bug
                found[weight.name] -= places_of_others
        return found

    def _is_strange(self, name: str) -> bool:
        return self._beside.compared[name].value in (Value.OTHER, Value.PARTLY)
