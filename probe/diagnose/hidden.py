"""What lies below the floor, over a whole replay: what every place says, and how what they prove is planted."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from probe.diagnose.beneath import is_beneath, look_beneath, usual
from probe.diagnose.case import Case
from probe.diagnose.merge import Found
from probe.diagnose.planting import Planting, planting
from probe.diagnose.pooled import Proven, proven
from probe.diagnose.untold import untold
from probe.diagnose.ways import Manner, told
from probe.diagnose.witness import Witness
from probe.replay.local_error import LocalError
from probe.report import Finding


class Hidden:
    """Is shown each place twice, in the candidate's precision and in float64; keeps no activation of those that prove
    nothing."""

    def __init__(self) -> None:
        self._witnesses: list[Witness] = []
        self._manners: list[Manner] = []
        self._plantings: dict[tuple[object, ...], dict[object, Planting]] = defaultdict(dict)
        self._proven: Sequence[Proven] | None = None

    def hear(self, case: Case) -> None:
        """In the candidate's precision."""
        if is_beneath(case):
            seen = look_beneath(case)
            self._witnesses += seen.witnesses
            self._manners += [seen.manner] if seen.manner else []
            self._proven = None

    def wants(self, error: LocalError) -> bool:
        """Whether to be shown a place in float64."""
        return any(error in one.witness.places for one in self.proven)

    def plant(self, case: Case) -> None:
        """In float64, after all that a step has to say."""
        for one in self.proven:
            if case.error in one.witness.places:
                for hypothesis, value, plan in usual(case):
                    said = Witness.of(case, hypothesis, value, plan)
                    if said.kind == one.witness.kind and said.module in one.finding.modules:
                        key = case.error.pair.reference.name, said.module
                        self._plantings[said.kind].setdefault(key, planting(plan, key[0]))

    @property
    def proven(self) -> Sequence[Proven]:
        """So far."""
        if self._proven is None:
            self._proven = proven(self._witnesses)
        return self._proven

    @property
    def found(self) -> tuple[Found, ...]:
        """Without plantings where the place has another hypothesis in float64."""
        return tuple(
            Found(one.finding, tuple(self._plantings[one.witness.kind].values()), one.witness.places)
            for one in self.proven
        )

    @property
    def manners(self) -> list[Finding]:
        return told(self._manners)

    @property
    def notes(self) -> tuple[str, ...]:
        return untold(self._witnesses)


def merged_with(found: Sequence[Found], hidden: Sequence[Found]) -> tuple[tuple[Found, ...], tuple[Found, ...]]:
    """Those above the floor, and those that lie below it everywhere.

    Where two say the same of different modules, one bug shows above the floor in some of them only.
    """
    kinds = {_said(one.finding): index for index, one in enumerate(found)}
    whole, others = list(found), []
    for one in hidden:
        index = kinds.get(_said(one.finding))
        if index is None:
            others.append(one)
        else:
            known = whole[index]
            modules = tuple(dict.fromkeys((*known.finding.modules, *one.finding.modules)))
            finding = replace(known.finding, modules=modules)
            whole[index] = Found(finding, (*known.plantings, *one.plantings), (*known.places, *one.places))
    return tuple(whole), tuple(others)


def _said(one: Finding) -> tuple[str, ...]:
    values = (one.reference_value, one.candidate_value)
    return one.cause, *(f"{value:.1g}" if isinstance(value, float) else str(value) for value in values)
