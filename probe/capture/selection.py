"""Which taps of a model are asked for, by globs over module names or whole tap names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from probe.errors import ProbeError

_CALL = re.compile(r"((^|\.|(?<=\*))@[a-z_*][^.@]*(\.\d+)?)?(@[\d*]+)?$")
"""What a tap's name says, after the module's name, of which call it was, or of a function that the module calls."""


@dataclass(frozen=True, slots=True)
class Selection:
    include: Sequence[str]
    """Empty: everything."""
    exclude: Sequence[str]

    def check(self, model: nn.Module) -> None:
        """ProbeError where a pattern matches the name of no module."""
        names = [name for name, _ in model.named_modules()]
        for pattern in (*self.include, *self.exclude):
            module = _CALL.sub("", pattern.partition(":")[0])
            if not any(fnmatchcase(name, module) for name in names):
                like = ", ".join(names[1:4])
                hint = f"names look like {like}" if like else "the model has no modules inside; its own taps are ':*'"
                raise ProbeError(f"no module's name matches {pattern!r}", hint=hint)

    def has(self, module: str, tap: str) -> bool:
        if self.include and not any(fnmatchcase(module, p) or fnmatchcase(tap, p) for p in self.include):
            return False
        return not any(fnmatchcase(module, p) or fnmatchcase(tap, p) for p in self.exclude)
