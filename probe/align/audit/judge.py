"""From comparisons to a verdict a weight: where it is, or what is in its place."""

from dataclasses import replace

from probe.align.audit.astray import beyond, misplaced, moved, not_there
from probe.align.audit.beside import Beside
from probe.align.audit.comparison import Value
from probe.align.audit.places import Place
from probe.align.audit.scheme import scheme
from probe.align.audit.search import Search
from probe.align.audit.verdict import Kind, Verdict, kind_of
from probe.dump import Dump, Weight

FEW = 0.1
"""Where no more of the reference's matrices than this are in the candidate, nothing is said of single ones."""


def judge(reference: Dump, candidate: Dump, places: dict[str, Place]) -> tuple[list[Verdict], set[str]]:
    """A verdict for each reference weight, and the candidate's weights in which something of the reference is."""
    beside = Beside(reference, candidate, places)
    search = Search(beside)
    holders, elsewhere = search.holders(), search.elsewhere()
    claimed = {
        part.tied_to or part.name
        for name, place in places.items()
        if beside.compared[name].is_same_weight
        for part, _ in place.parts
    }
    verdicts: list[Verdict] = []
    for name, weight in beside.weights.items():
        place = places.get(name)
        if place and beside.compared[name].is_same_weight and not holders.get(name):
            verdicts.append(_in_place(weight, place, beside))
        elif not place and weight.tied_to in beside.compared:
            twin = places[weight.tied_to]
            verdicts.append(Verdict(name, Kind.TIED, str(twin), twin.home, comparison=beside.compared[weight.tied_to]))
        elif elsewhere.get(name):
            where = sorted(elsewhere[name])
            claimed.update(where)
            verdicts.append(moved(name, where, search.scattered.get(name)))
        elif place and name in search.beyond:
            verdicts.append(beyond(name, place))
        elif place and holders.get(name):
            verdicts.append(misplaced(weight, holders[name], beside))
        elif place:
            verdicts.append(not_there(weight, place, beside.compared[name]))
        else:
            verdicts.append(Verdict(name, Kind.ABSENT))
    return _unless_nothing_is_there(verdicts, beside), claimed


def _in_place(weight: Weight, place: Place, beside: Beside) -> Verdict:
    compared = beside.compared[weight.name]
    stored = place.parts[0][0].dtype
    kind = kind_of(compared, stored)
    if kind in (Kind.EQUAL, Kind.ROUNDED) and _is_copy(weight, place):
        kind = Kind.UNTIED
    known = beside.types.get(place.parts[0][0].name) or beside.types.get(weight.name)
    why = (known or scheme(compared, stored)) if kind is Kind.QUANTIZED and len(weight.shape) > 1 else ""
    return Verdict(weight.name, kind, str(place), place.home, why=why, comparison=compared)


def _is_copy(weight: Weight, place: Place) -> bool:
    """Whether one side alone ties it to another weight; the values are the same all the same."""
    return bool(weight.tied_to) != bool(place.parts[0][0].tied_to)


def _unless_nothing_is_there(verdicts: list[Verdict], beside: Beside) -> list[Verdict]:
    """Where hardly any matrix is in the candidate, that is the finding."""
    lost = {Kind.NEVER_LOADED, Kind.ABSENT, Kind.UNKNOWN}
    matrices = [v for v in verdicts if len(beside.weights[v.reference].shape) > 1]
    missing = [v for v in matrices if v.kind in lost]
    rotated = [v for v in matrices if v.comparison and v.comparison.value is Value.SAME_NORMS]
    if not missing or rotated or len(matrices) - len(missing) > FEW * len(matrices):
        return verdicts
    return [replace(v, kind=Kind.NOTHING_LOADED, why="") if v.kind in lost else v for v in verdicts]
