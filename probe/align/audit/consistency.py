"""A conversion is honest if like weights are converted alike: what is done to one of them alone is suspicious."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

from probe.align.audit.comparison import Comparison, Layout, Value
from probe.align.audit.verdict import Kind, Verdict, template
from probe.dump import Dump

ROTARY = (Layout.HALVES_INTERLEAVED, Layout.INTERLEAVED_HALVED)
THERE = (
    *(Kind.EQUAL, Kind.ROUNDED, Kind.OFFSET, Kind.TRANSPOSED, Kind.PERMUTED),
    *(Kind.QUANTIZED, Kind.VECTORS_SCALED, Kind.MOVED),
)


class Likeness:
    """What makes two weights alike: templates of names, and the classes of the modules that hold them."""

    def __init__(self, reference: Dump, candidate: Dump) -> None:
        self.ours = {tap.module: tap.module_class for tap in reference.taps}
        self.theirs = {tap.module: tap.module_class for tap in candidate.taps}
        self.shapes = {weight.name: weight.shape for weight in reference.weights}
        self.same_code = self.ours.get("") is not None and self.ours.get("") == self.theirs.get("")

    def classes(self, verdict: Verdict) -> tuple[str, str] | None:
        """Of both modules; None where they are not known."""
        ours = self.ours.get(_module(verdict.reference))
        theirs = self.theirs.get(_module(verdict.home))
        return (ours, theirs) if ours and theirs else None


def inconsistent(verdicts: list[Verdict], likeness: Likeness) -> list[Verdict]:
    """The same verdicts, but those converted in another way than their like are suspicious."""
    for check in (_same_code, _through_layers, _through_classes, _rotary_alone):
        verdicts = check(verdicts, likeness)
    return verdicts


def _same_code(verdicts: list[Verdict], likeness: Likeness) -> list[Verdict]:
    """One model class, one module class, one name: the code is the same, so the weights should be."""
    if not likeness.same_code:
        return verdicts
    checked = []
    for verdict in verdicts:
        classes = likeness.classes(verdict)
        changed = verdict.comparison and _converted(verdict) and not _is_plain(verdict.comparison)
        if changed and verdict.reference == verdict.place and classes and classes[0] == classes[1]:
            verdict = replace(verdict, kind=Kind.INCONSISTENT, why="though both models are of one class")
        checked.append(verdict)
    return checked


def _through_layers(verdicts: list[Verdict], likeness: Likeness) -> list[Verdict]:
    """Of the weights of one name in all layers, those unlike the most."""
    return _minority(
        verdicts,
        lambda verdict: template(verdict.reference)[0],
        lambda verdict, comparison: comparison.signature,
        "unlike the other layers'",
    )


def _through_classes(verdicts: list[Verdict], likeness: Likeness) -> list[Verdict]:
    """Of the vectors of one module class, those whose offset is unlike the most (one norm without its 1); and square
    matrices transposed where the class's oblong ones, whose shape shows what its code wants, are not."""
    vectors = _minority(
        verdicts,
        lambda verdict: _class_of_vectors(verdict, likeness),
        lambda verdict, comparison: comparison.signature[-1],
        "unlike others in modules of the same class",
    )
    oblong: dict[object, set[Layout]] = defaultdict(set)
    for verdict in vectors:
        if verdict.comparison and _converted(verdict) and not _is_square(verdict, likeness):
            oblong[_class_of_matrices(verdict, likeness)].add(verdict.comparison.layout)
    checked = []
    for verdict in vectors:
        key = _class_of_matrices(verdict, likeness)
        found = verdict.comparison
        if key and found and _converted(verdict) and _is_square(verdict, likeness):
            others = oblong[key]
            if len(others) == 1 and Layout.TRANSPOSED in others ^ {found.layout} and found.layout not in others:
                why = "unlike the others in modules of the same class"
                verdict = replace(verdict, kind=Kind.INCONSISTENT, why=why)
        checked.append(verdict)
    return checked


def _rotary_alone(verdicts: list[Verdict], likeness: Likeness) -> list[Verdict]:
    """q permuted for another rotary layout and k not: their products are then none."""
    permuted: dict[str, set[str]] = defaultdict(set)
    for verdict in verdicts:
        if verdict.comparison and _converted(verdict) and verdict.comparison.layout in (*ROTARY, Layout.PERMUTED):
            permuted[_module(_module(verdict.reference))].add(_module(verdict.reference))
    checked = []
    for verdict in verdicts:
        alone = len(permuted[_module(_module(verdict.reference))]) == 1
        if alone and verdict.comparison and _converted(verdict) and verdict.comparison.layout in ROTARY:
            verdict = replace(verdict, kind=Kind.INCONSISTENT, why="and nothing beside it is")
        checked.append(verdict)
    return checked


def _minority(
    verdicts: list[Verdict],
    key_of: Callable[[Verdict], object],
    signature_of: Callable[[Verdict, Comparison], object],
    why: str,
) -> list[Verdict]:
    counts: dict[object, Counter[object]] = defaultdict(Counter)
    for verdict in verdicts:
        if verdict.comparison and _converted(verdict) and key_of(verdict) is not None:
            counts[key_of(verdict)][signature_of(verdict, verdict.comparison)] += 1
    checked = []
    for verdict in verdicts:
        if verdict.comparison and _converted(verdict) and key_of(verdict) is not None:
            found = counts[key_of(verdict)]
            usual = _usual(found)
            if signature_of(verdict, verdict.comparison) != usual:
                verdict = replace(verdict, kind=Kind.INCONSISTENT, why=why)
        checked.append(verdict)
    return checked


def _usual(found: Counter[object]) -> object:
    """What most have; of two equally frequent ones, what changes less."""
    most = max(found.values())
    ties: Iterable[object] = [signature for signature, count in found.items() if count == most]
    return min(ties, key=lambda signature: str(signature).count("plain") == 0)


def _converted(verdict: Verdict) -> bool:
    """Whether the weight is there, in whatever form."""
    return verdict.kind in THERE


def _is_plain(comparison: Comparison) -> bool:
    return comparison.layout is Layout.PLAIN and comparison.value is not Value.OFFSET


def _is_square(verdict: Verdict, likeness: Likeness) -> bool:
    shape = likeness.shapes.get(verdict.reference, ())
    return len(shape) == 2 and shape[0] == shape[1]


def _class_of_vectors(verdict: Verdict, likeness: Likeness) -> object:
    classes = likeness.classes(verdict)
    is_vector = len(likeness.shapes.get(verdict.reference, ())) == 1
    return (*classes, verdict.reference.rpartition(".")[2]) if classes and is_vector else None


def _class_of_matrices(verdict: Verdict, likeness: Likeness) -> object:
    classes = likeness.classes(verdict)
    is_matrix = len(likeness.shapes.get(verdict.reference, ())) == 2
    return (*classes, verdict.reference.rpartition(".")[2]) if classes and is_matrix else None


def _module(name: str) -> str:
    return name.rpartition(".")[0]
