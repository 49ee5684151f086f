"""Which candidate module stands for which reference module: by name, by weights, by what repeats, by order."""

from functools import partial

from probe.align.containers import containers
from probe.align.evidence import Options, WeightEvidence
from probe.align.inputs import told_by_inputs
from probe.align.match import Match
from probe.align.model import ModuleTable
from probe.align.near import by_nearness, is_near
from probe.align.order import by_order
from probe.align.part import Part
from probe.align.prefix import behind_prefix
from probe.align.rearranged import Rearranged
from probe.align.votes import agreed
from probe.dump import Dump


def match_modules(reference: Dump, candidate: Dump) -> tuple[dict[str, Match], list[str]]:
    """Per reference module its counterpart, and remarks on weights that contradict it."""
    ours, theirs = ModuleTable(reference), ModuleTable(candidate)
    matches = {"": Match((Part(""),), "root")} if "" in ours.taps and "" in theirs.taps else {}
    names = behind_prefix(ours.taps, theirs.taps, ours.weights) or {module: module for module in ours.taps if module}
    for module, name in names.items():
        if name in theirs.taps and _same_kind(module, name, ours, theirs):
            matches[module] = Match((Part(name),), "name")
    rearranged = Rearranged(reference, candidate, ours, theirs, matches)
    matches |= {module: Match((part,), "name") for module, part in rearranged.parts.items()}
    for module in [name for name in matches if _parent(name) in rearranged.shuffled]:
        del matches[module]  # what is called for one stack after the other is called in another order
    remarks: list[str] = []
    if any(module not in matches for module in ours.weights):
        evidence = WeightEvidence(reference, candidate, ours, theirs)
        options = _plausible(evidence.options, ours, theirs)
        by_weights, remarks = agreed(options, ours, theirs, matches, partial(is_near, reference, candidate))
        by_weights, misled = told_by_inputs(matches | by_weights, ours, theirs)
        remarks += misled
        matches = by_weights
        ordered = by_order(ours, theirs, matches)  # what nearness finds makes nothing surer that is left over
        sure = {module: match for module, match in ordered.items() if match.is_sure}
        matches |= ordered | by_nearness(reference, candidate, ours, theirs, matches | sure)
        matches |= containers(ours, theirs, matches, evidence.homes)
    return matches, remarks


def _parent(module: str) -> str:
    return module.rpartition(".")[0]


def _same_kind(module: str, name: str, ours: ModuleTable, theirs: ModuleTable) -> bool:
    """An equal name means the same thing only for modules of one class, or of the same insides, as far as is known."""
    classes = {ours.taps[module][0].module_class, theirs.taps[name][0].module_class}
    return len(classes - {""}) == 1 or ours.children(module) == theirs.children(name)


def _plausible(options: Options, ours: ModuleTable, theirs: ModuleTable) -> Options:
    """Without those that never ran or are fed numbers of another kind, as far as the candidate shows what it feeds."""
    plausible: Options = {}
    for module, found in options.items():
        if module in ours.taps:
            kind = ours.input_kind(module)
            plausible[module] = [
                option
                for option in found
                if all(part.module in theirs.taps and theirs.input_kind(part.module) in (kind, None) for part in option)
            ]
    return plausible
