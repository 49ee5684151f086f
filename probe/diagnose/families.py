"""All families of hypotheses, and the search through them for one place after the other."""

from collections import Counter
from collections.abc import Iterator

from probe.diagnose import (
    attention,
    cache,
    crossed,
    embedding,
    embedding_scale,
    exchanged,
    global_shift,
    head,
    linear,
    looked_up,
    misread,
    mlp,
    moe,
    norm,
    order,
    precision,
    quant,
    residual,
    residual_order,
    rope,
    shard,
)
from probe.diagnose.case import Case
from probe.diagnose.decoding import of_steps, while_decoding
from probe.diagnose.hypothesis import Family, Hypothesis, hypotheses_of
from probe.diagnose.merge import Part, parts
from probe.diagnose.search import explanations
from probe.tap import template

MOST_MISSED = 3
"""Places that repeat through the layers and stay unexplained: after so many, no more are searched."""
FAMILIES: tuple[Family, ...] = tuple(
    family
    for module in (
        *(norm, linear, exchanged, crossed, looked_up, embedding, embedding_scale, head),
        *(
            rope,
            global_shift,
            cache,
            attention,
            mlp,
            moe,
            residual,
            residual_order,
            shard,
            misread,
            quant,
            order,
            precision,
        ),
    )
    for family in module.FAMILIES
)


class Search:
    """What explains places, one after the other; it learns, so that a bug in all layers is searched for once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Family, str], None] = {}
        """Families and causes that explained a place."""
        self._missed: Counter[str] = Counter()
        """Places of a kind that nothing explained."""

    def parts(self, case: Case) -> tuple[Part, ...]:
        shown = of_steps(case)
        found = explanations(shown, self._again)
        kind = template(case.error.pair.reference.name)[0]
        if not found and self._missed[kind] < MOST_MISSED:
            sources: list[tuple[Family, Hypothesis]] = []

            def look(case: Case) -> Iterator[Hypothesis]:
                for family in FAMILIES:
                    for hypothesis in while_decoding(case, hypotheses_of(family, case)):
                        sources.append((family, hypothesis))
                        yield hypothesis

            found = explanations(shown, look)
            for tried in found[0] if found else ():
                family = next(family for family, hypothesis in sources if hypothesis is tried.hypothesis)
                self._known[family, tried.hypothesis.cause] = None
        self._missed[kind] += not found
        return parts(case, found) if found else ()

    def _again(self, case: Case) -> list[Hypothesis]:
        """What explained an earlier place."""
        return [
            hypothesis
            for family, cause in self._known
            for hypothesis in while_decoding(case, hypotheses_of(family, case))
            if hypothesis.cause == cause
        ]
