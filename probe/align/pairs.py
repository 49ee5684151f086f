"""From matched modules to paired taps: which port beside which, and in what layout."""

from collections import Counter, defaultdict
from collections.abc import Mapping as Mapping_
from dataclasses import replace
from types import MappingProxyType

from probe.align.carried import with_orders_carried
from probe.align.fit import Fit
from probe.align.mapping import Layout, Mapping, Pair
from probe.align.match import Match
from probe.align.model import ModuleTable
from probe.align.modules import match_modules
from probe.align.same_tensor import equal_numbers, with_same_tensors
from probe.align.settled import with_settled_containers
from probe.align.values import by_values
from probe.dump import Dump
from probe.tap import Tap, tap_name


def align(reference: Dump, candidate: Dump) -> Mapping:
    """Pair the taps of two dumps: equal names first, then equal weight rows, then order between known neighbours."""
    return align_modules(reference, candidate)[1]


def align_modules(reference: Dump, candidate: Dump) -> tuple[dict[str, Match], Mapping]:
    """`align`, with the matches of modules that its pairs come from; those that are not sure are asked about."""
    matches, remarks = match_modules(reference, candidate)
    sure = {module: match for module, match in matches.items() if match.is_sure}
    asked = tuple(
        f"is {module} the reference's name of {' + '.join(map(str, match.parts))}?"
        for module, match in matches.items()
        if module not in sure
    )
    return matches, replace(pair_taps(reference, candidate, sure, tuple(remarks)), asked=asked)


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
    fit = Fit(reference, matches.values(), layouts)
    pairs = []
    numbers: Counter[tuple[int, str, int, bool]] = Counter()
    for tap in reference.module_taps:
        call = (tap.step, tap.module, tap.call, tap.is_input)
        match = matches.get(tap.module)
        pair = _pair(tap, numbers[call], match, theirs, fit) if match else None
        numbers[call] += 1
        if pair:
            pairs.append(pair)
    reordered = {module for module, match in matches.items() if any(part.is_reordered for part in match.parts)}
    weighted = ModuleTable(reference).weighted if reordered else set()
    pairs = with_settled_containers(with_orders_carried(pairs, reference.module_taps, weighted, reordered))
    pairs = with_same_tensors(reference, pairs)
    paired = {pair.reference for pair in pairs}
    left = [tap for tap in reference.module_taps if tap not in paired]
    pairs += equal_numbers(left, candidate.module_taps)
    if any(pair.firm and pair.reference.module for pair in pairs):  # else two unrelated models may return one thing
        pairs += (pair for tap, alike in by_values(left, candidate.module_taps) if (pair := fit.by_value(tap, alike)))
    pairs.sort(key=lambda pair: (pair.reference.step, pair.reference.order))
    paired = {pair.reference for pair in pairs}
    used = {(source.tap.step, source.tap.name) for pair in pairs for source in pair.sources}
    return Mapping(
        tuple(pairs),
        tuple(tap for tap in reference.module_taps if tap not in paired),
        tuple(tap for key, tap in theirs.by_name.items() if key not in used),
        remarks,
    )


class _Candidates:
    """The candidate's taps by call."""

    def __init__(self, dump: Dump) -> None:
        self.by_name = {(tap.step, tap.name): tap for tap in dump.module_taps}
        self.by_call: dict[tuple[int, str, int], list[Tap]] = defaultdict(list)
        for tap in dump.module_taps:
            self.by_call[tap.step, tap.module, tap.call].append(tap)


def _pair(tap: Tap, number: int, match: Match, theirs: _Candidates, fit: Fit) -> Pair | None:
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
