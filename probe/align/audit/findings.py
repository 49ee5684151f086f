"""Verdicts on single weights as findings: what repeats through the layers is said once."""

from collections import defaultdict

from probe.align.audit.verdict import SUSPICIOUS, Kind, Verdict, template
from probe.align.audit.words import doing, factor, layers
from probe.report import WeightFinding

FIRST = tuple(kind for kind in Kind if kind in SUSPICIOUS)


def findings(verdicts: list[Verdict]) -> tuple[WeightFinding, ...]:
    """Suspicious ones first, each in the reference's order."""
    groups: dict[object, list[Verdict]] = defaultdict(list)
    moves = _moves(verdicts)
    mirrored: set[str] = set()
    for verdict in verdicts:
        if verdict.kind is Kind.SWAPPED:
            if verdict.reference in mirrored:
                continue
            mirrored.add(verdict.holds)
        key = moves.get(template(verdict.reference)[0]) if verdict.kind is Kind.OTHER_LAYER else None
        groups[key or _key(verdict)].append(verdict)
    found = [_finding(members) for members in groups.values()]
    return tuple(sorted(found, key=lambda finding: not finding.suspicious))


def _moves(verdicts: list[Verdict]) -> dict[str, object]:
    """Per name: which layer holds which one's weights, the same for all weights of layers that were moved whole."""
    moves: dict[str, list[tuple[object, object]]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.kind is Kind.OTHER_LAYER:
            name, here = template(verdict.reference)
            moves[name].append((here, template(verdict.holds)[1]))
    return {name: (Kind.OTHER_LAYER, tuple(pairs)) for name, pairs in moves.items()}


def _key(verdict: Verdict) -> tuple[object, ...]:
    if verdict.kind is Kind.NOTHING_LOADED:
        return (verdict.kind,)
    if verdict.kind not in SUSPICIOUS and verdict.kind not in (Kind.UNKNOWN, Kind.ABSENT, Kind.EXTRA):
        found = verdict.comparison
        return verdict.kind, verdict.why, found.layout if found and verdict.kind is Kind.QUANTIZED else doing(verdict)
    name, _ = template(verdict.reference)
    return verdict.kind, name, template(verdict.holds)[0], verdict.why, doing(verdict)


def _finding(members: list[Verdict]) -> WeightFinding:
    first = members[0]
    names = tuple(verdict.reference for verdict in members)
    if first.kind is Kind.SWAPPED:
        names += tuple(verdict.holds for verdict in members)
    noisy = [v.comparison.sqnr_db for v in members if v.comparison and v.kind in (Kind.QUANTIZED, Kind.INCONSISTENT)]
    one_name = {template(verdict.reference)[0] for verdict in members}
    reference = template(first.reference)[0] if len(members) > 1 else first.reference
    candidate = template(first.place)[0] if len(members) > 1 else first.place
    if len(one_name) > 1:
        reference = candidate = ""
    sqnr = min(noisy, default=float("inf"))
    known = sqnr if sqnr != float("inf") else None
    message = _message(members, reference, candidate, known)
    return WeightFinding(str(first.kind), first.kind in SUSPICIOUS, reference, candidate, names, message, known)


def _message(members: list[Verdict], reference: str, candidate: str, sqnr: float | None) -> str:
    first = members[0]
    many = f"{len(members)} weights" if len(members) > 1 else first.reference
    place = candidate if candidate == reference else f"{candidate}, in the place of {reference},"
    other = template(first.holds)[0] if len(members) > 1 else first.holds
    why = f" ({first.why})" if first.why else ""
    match first.kind:
        case Kind.SWAPPED:
            said = f"{reference} and {other} are swapped in the candidate{why}"
        case Kind.OTHER_LAYER:
            first_name = template(first.reference)[0]
            alike = [v for v in members if template(v.reference)[0] == first_name]
            pairs = ", ".join(f"{v.place} holds {v.holds}" for v in alike[:3])
            also = len({template(v.reference)[0] for v in members}) - 1
            return f"{pairs}{', ...' if len(alike) > 3 else ''}" + (f"; {also} other weights likewise" if also else "")
        case Kind.OTHER_WEIGHT:
            said = f"{place} holds {other}{why}"
        case Kind.NEVER_LOADED:
            said = f"{place} was never loaded: {first.why}"
        case Kind.NOTHING_LOADED:
            matrices = f"{len(members)} of the reference's weights are nowhere in the candidate"
            return f"{matrices}: was it converted and loaded at all, and from the same checkpoint?"
        case Kind.SCALED:
            said = f"{place} is the reference's {factor(first)}"
        case Kind.INCONSISTENT:
            said = f"{place} is the reference's {doing(first)}, {first.why}"
        case Kind.NONFINITE:
            said = f"{place} holds NaN or infinity"
        case Kind.PARTLY:
            said = f"{place} holds only a part of the reference's: {first.why}"
        case Kind.MISSING:
            said = f"{reference} is nowhere in the candidate{why}"
        case Kind.ABSENT:
            said = f"{reference} is not in the candidate{why}"
        case Kind.EXTRA:
            said = f"the candidate's {reference} is none of the reference's weights{why}"
        case Kind.UNKNOWN:
            said = f"{place} could not be told to be the reference's: {first.why}"
        case Kind.QUANTIZED:
            unsure = " or otherwise perturbed" if not first.why or first.why.startswith("scheme not seen") else ""
            return f"{many}: quantized{unsure}{why}, SQNR from about {sqnr or 0:.0f} dB on"
        case _:
            return f"{many}: {doing(first)}"
    return said + layers(members)
