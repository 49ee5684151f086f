"""All families of hypotheses, and the search through them for one place after the other."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial

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
from probe.diagnose.not_tried import not_tried
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

    def __init__(self, progress: Callable[[str], None] = lambda stage: None, families: Iterable[Family] = ()) -> None:
        """`families` are tried after FAMILIES."""
        self._progress = progress
        self._families = (*FAMILIES, *families)
        self._known: dict[tuple[Family, str], None] = {}
        """Families and causes that explained a place."""
        self._missed: Counter[str] = Counter()
        """Places of a kind that nothing explained."""
        self._untried: dict[str, str] = {}
        """By kind of place, what was not tried there."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not tried, since a span is too long."""
        return tuple(self._untried.values())

    def parts(self, case: Case) -> tuple[Part, ...]:
        shown = of_steps(case)
        found = explanations(shown, self._again).alternatives
        kind = template(case.error.pair.reference.name)[0]
        if not found and self._missed[kind] < MOST_MISSED:
            sources: list[tuple[Family, Hypothesis]] = []

            def look(case: Case) -> Iterator[Hypothesis]:
                for family in self._families:
                    for hypothesis in while_decoding(case, hypotheses_of(family, case)):
                        sources.append((family, hypothesis))
                        yield hypothesis

            searched = explanations(shown, look, partial(self._tell, shown))
            found = searched.alternatives
            for tried in found[0] if found else ():
                family = next(family for family, hypothesis in sources if hypothesis is tried.hypothesis)
                self._known[family, tried.hypothesis.cause] = None
            if shown.is_spent:
                self._untried.setdefault(kind, not_tried(shown, searched))
        self._missed[kind] += not found
        return parts(case, found) if found else ()

    def _tell(self, case: Case, done: int, total: int) -> None:
        self._progress(f"looking for causes at {case.error.pair.reference.name}: {done} of {total} hypotheses tried")

    def _again(self, case: Case) -> list[Hypothesis]:
        """What explained an earlier place."""
        return [
            hypothesis
            for family, cause in self._known
            for hypothesis in while_decoding(case, hypotheses_of(family, case))
            if hypothesis.cause == cause
        ]
