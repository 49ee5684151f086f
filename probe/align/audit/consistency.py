"""A conversion is honest if like weights are converted alike: what is done to one of them alone is suspicious."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

from probe.align.audit.comparison import Comparison, Layout, Value
from probe.align.audit.likeness import Likeness, module_of
from probe.align.audit.verdict import SUSPICIOUS, Kind, Verdict, template

ROTARY = (Layout.HALVES_INTERLEAVED, Layout.INTERLEAVED_HALVED)
THERE = (
    *(Kind.EQUAL, Kind.ROUNDED, Kind.OFFSET, Kind.TRANSPOSED, Kind.PERMUTED),
    *(Kind.QUANTIZED, Kind.VECTORS_SCALED, Kind.MOVED),
)


def inconsistent(verdicts: list[Verdict], likeness: Likeness) -> list[Verdict]:
    """The same verdicts, but those converted in another way than their like are suspicious."""
    for check in (_same_code, _through_layers, _through_classes, _rotary_alone):
        verdicts = check(verdicts, likeness)
    return verdicts


def _same_code(verdicts: list[Verdict], likeness: Likeness) -> list[Verdict]:
    """One model class, one module class, one name: the code is the same, so the weights should be.

    But an order that several modules of a layer have (heads', experts') may be undone by one of them.
    """
    if not likeness.same_code:
        return verdicts
    together = _permuted_together(verdicts)
    checked = []
    for verdict in verdicts:
        classes = likeness.classes(verdict)
        changed = verdict.comparison and _converted(verdict) and not _is_plain(verdict.comparison)
        changed = changed and verdict.reference not in together
        if changed and verdict.reference == verdict.home and classes and classes[0] == classes[1]:
            verdict = replace(verdict, kind=Kind.INCONSISTENT, why="though both models are of one class")
        checked.append(verdict)
    return checked


def _permuted_together(verdicts: list[Verdict]) -> set[str]:
    """Weights in an order that is no rotary layout, in layers where those of another module are too.

    One of them at least has its outputs where the reference has them: it is its inputs that are in that order.
    """
    layers: dict[tuple[int, ...], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.comparison and _converted(verdict) and verdict.comparison.layout is Layout.PERMUTED:
            layers[template(verdict.reference)[1]].append(verdict)
    return {
        verdict.reference
        for alike in layers.values()
        if len({module_of(one.reference) for one in alike}) > 1 and any(one.place == one.reference for one in alike)
        for verdict in alike
    }


def _through_layers(verdicts: list[Verdict], likeness: Likeness) -> list[Verdict]:
    """Of the weights of one name in all layers, those unlike the most; each layer may have an order of its own."""
    together = _permuted_together(verdicts) if likeness.same_code else set()
    return _minority(
        verdicts,
        lambda verdict: template(verdict.reference)[0],
        lambda verdict, comparison: (
            replace(comparison, digest=0 if verdict.reference in together else comparison.digest).signature
        ),
        "unlike the other layers'",
    )


def _through_classes(verdicts: list[Verdict], likeness: Likeness) -> list[Verdict]:
    """Of the vectors of one module class, those whose offset is unlike the most (one norm without its 1); and square
    matrices transposed where the class's oblong ones, whose shape shows what its code wants, are not."""
    vectors = _minority(
        verdicts,
        lambda verdict: likeness.key(verdict, 1),
        lambda verdict, comparison: comparison.signature[-1],
        "unlike others in modules of the same class",
    )
    oblong: dict[object, set[Layout]] = defaultdict(set)
    for verdict in vectors:
        if verdict.comparison and _converted(verdict) and not likeness.is_square(verdict):
            oblong[likeness.key(verdict, 2)].add(verdict.comparison.layout)
    checked = []
    for verdict in vectors:
        key = likeness.key(verdict, 2)
        found = verdict.comparison
        if key and found and _converted(verdict) and likeness.is_square(verdict):
            others = oblong[key]
            if len(others) == 1 and Layout.TRANSPOSED in others ^ {found.layout} and found.layout not in others:
                why = "unlike the others in modules of the same class"
                verdict = replace(verdict, kind=Kind.INCONSISTENT, why=why)
        checked.append(verdict)
    return checked


def _rotary_alone(verdicts: list[Verdict], likeness: Likeness) -> list[Verdict]:
    """q permuted for another rotary layout and k not: their products are then none. Nothing is said beside a weight
    that is suspicious for another reason: how that one was permuted is not known."""
    permuted: dict[str, set[str]] = defaultdict(set)
    for verdict in verdicts:
        module = module_of(verdict.reference)
        is_permuted = verdict.comparison and verdict.comparison.layout in (*ROTARY, Layout.PERMUTED)
        if is_permuted or (verdict.kind in SUSPICIOUS and verdict.kind is not Kind.INCONSISTENT):
            permuted[module_of(module)].add(module)
    checked = []
    for verdict in verdicts:
        alone = len(permuted[module_of(module_of(verdict.reference))]) == 1
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
