"""Sizes by name: a table's own [sizes], a row's, and the reference's config. Each may be written in terms of others."""

from collections.abc import Mapping
from typing import Any

from probe.align.table.arithmetic import evaluate


class Sizes:
    """Names with a whole number each."""

    def __init__(self, given: Mapping[str, int | str], config: Any) -> None:
        """`given` come first; `config` is the JSON of a model's configuration, or None."""
        self._given = given
        self._config = config if isinstance(config, dict) else {}
        self._open: list[str] = []

    def value(self, expression: int | str) -> int:
        """ValueError says, in words, what is wrong."""
        return expression if isinstance(expression, int) else evaluate(expression, self._named)

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def _named(self, name: str) -> int:
        if name in self._open:
            raise ValueError(f"the size {name!r} is given in terms of itself: {' -> '.join([*self._open, name])}")
        if name in self._given:
            self._open.append(name)
            try:
                return self.value(self._given[name])
            finally:
                self._open.pop()
        found: Any = self._config
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, int) and not isinstance(found, bool):
            return found
        what = "is no whole number in" if found is not None else "is neither in [sizes] nor in"
        raise ValueError(f"the size {name!r} {what} the reference's config")
