"""Which row of a table speaks for which module and tap of the reference: the most specific one does.

A tap comes before its module, and a name before a template: `layers.3.mlp` is an exception to `layers.{i}.mlp`.
"""

from collections import defaultdict
from dataclasses import dataclass, replace

from probe.align.table.names import alternatives, num_indices, with_indices
from probe.align.table.rows import Problem, Row, Table
from probe.align.table.sides import Place, Side, place


@dataclass(frozen=True, slots=True)
class Claim:
    """One row's word on one module or tap."""

    row: Row
    module: str
    call: int | None
    """None: every call."""
    port: str | None
    """None: the module as a whole."""
    places: tuple[Place, ...]
    """Of the candidate; none for a skip."""
    num_indices: int
    """{i} in the row: the fewer, the more specific."""


Key = tuple[str, int | None, str | None]


class Claims:
    """All claims of a table's rows, and what is wrong with rows that claim nothing."""

    def __init__(self, table: Table, reference: Side, candidate: Side) -> None:
        self._reference, self._candidate = reference, candidate
        self.problems: list[Problem] = []
        self.by_key: dict[Key, Claim] = {}
        self.num_of_row: dict[str, int] = defaultdict(int)
        """Modules and taps of the reference that each row speaks for, by str(row)."""
        for row in table.rows:
            try:
                for text, candidates in alternatives(row.reference, row.candidates):
                    self._claim(row, text, candidates)
            except _Missing as error:
                self._problem(row, str(error), f"'probe show {candidate.dump.path}' lists them")
                continue
            except ValueError as error:
                self._problem(row, str(error), "'probe map --help' shows a table's form")
                continue
            if not self.num_of_row[str(row)] and not table.shipped:
                self._problem(
                    row,
                    f"the reference has no {'tap' if ':' in row.reference else 'module'} {row.reference!r}",
                    f"'probe show {reference.dump.path}' lists them",
                )
        if table.shipped and not any(self.num_of_row.values()):
            hint = "is it another family of models, or are reference and candidate swapped?"
            self.problems.append(Problem("", "it has no row for this reference", hint))

    def _claim(self, row: Row, text: str, candidates: tuple[str, ...]) -> None:
        ours = place(text)
        if ours.ranges is not None:
            raise ValueError("channels are cut out of the candidate, not of the reference")
        if ours.call is not None and ours.port is None:
            raise ValueError("a call (@1) is one of a tap: name its port too, as in norm@1:out")
        for module, indices in self._reference.modules.matching(ours.module):
            if ours.port is not None and not self._has_tap(module, ours.port):
                continue
            self.num_of_row[str(row)] += 1
            theirs = tuple(place(with_indices(candidate, indices)) for candidate in candidates)
            if ours.call is not None:
                theirs = tuple(replace(where, call=where.call or 0) for where in theirs)
            missing = next((where for where in theirs if where.module not in self._candidate.modules.all), None)
            if missing:
                raise _Missing(missing.module, module)
            key = (module, ours.call, ours.port)
            claim = Claim(row, *key, theirs, num_indices(text))
            before = self.by_key.get(key)
            if before and before.num_indices == claim.num_indices:
                raise ValueError(f"{_written(key)!r} is given already by {before.row}; leave one of the two away")
            if before is None or claim.num_indices < before.num_indices:
                self.by_key[key] = claim

    def _has_tap(self, module: str, port: str) -> bool:
        return any(tap.port == port for tap in self._reference.of_module[module])

    def _problem(self, row: Row, message: str, hint: str) -> None:
        self.problems.append(row.problem(message, hint))


class _Missing(ValueError):
    def __init__(self, candidate: str, reference: str) -> None:
        super().__init__(f"the candidate has no module {candidate!r}, for the reference's {reference!r}")


def _written(key: Key) -> str:
    module, call, port = key
    return f"{module}{f'@{call}' if call is not None else ''}{f':{port}' if port else ''}"
