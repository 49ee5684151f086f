"""Which functional taps are worth their bytes, where the user has not said: those that cost under a tenth of all.

Nothing is known of what is still to come, but layers repeat. A kind of tap (its name, with layer indices as {i}) is
recorded where it first occurs. What it has cost until it occurs again, beside what the taps of modules have
cost meanwhile, is its share from then on: it stays if it and those before it in such a layer are under SHARE together.
A tensor that is a module's tap too costs nothing. Sizes alone decide, so two runs of one model decide alike. Products
are left out (those of attention are in its scores), and so is what a loop over tokens calls again and again.
"""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum

from probe.capture.functions import PRODUCTS
from probe.tap import Tap, template

SHARE = 0.09
"""Of the bytes of a layer's modules. Layers are not quite alike (experts): with this all stay under a tenth."""
MANY_TIMES = 4
"""As large as so many of the largest tap of a module so far, a tap is left out even where it first occurs: attention's
scores, which grow with the square of the tokens."""


MOST_CALLS = 8
"""Of one function in one call of a module."""


class Functional(StrEnum):
    """Which calls of torch functions are recorded."""

    AUTO = "auto"
    ALL = "all"
    ATTENTION = "attention"
    NONE = "none"


@dataclass(slots=True)
class _Kind:
    """What is known of one kind of tap."""

    layer: str
    """What repeats: "model.layers.{i}" """
    module_bytes: int
    """Of all modules' taps, when it first occurred."""
    own_bytes: int = 0
    is_kept: bool | None = None
    """None: it has occurred once, or not been decided."""


class Budget:
    """The bytes of a run, as they are spent; what is decided in one step holds in all later ones."""

    def __init__(self, functional: Functional) -> None:
        self._functional = functional
        self._module_bytes = self._largest = 0
        self._kinds: dict[str, _Kind] = {}
        self._shares: defaultdict[str, float] = defaultdict(float)
        self.left_out: dict[str, int] = {}
        """By kind, the bytes that would have been recorded."""

    def admits(self, tap: Tap, num_bytes: int) -> bool:
        """Whether a functional tap is to be recorded."""
        if self._functional is not Functional.AUTO:
            return self._functional is not Functional.ATTENTION or tap.module_class == "attention"
        if tap.module_class in PRODUCTS:
            return False
        name, layer = _kind(tap)
        if _occurrence(tap) >= MOST_CALLS:
            return False
        known = self._kinds.get(name)
        if known is None:
            known = self._kinds[name] = _Kind(layer, self._module_bytes)
            is_kept = num_bytes <= MANY_TIMES * max(self._largest, 1)
            known.is_kept = None if is_kept else False
        elif known.is_kept is None:
            share = known.own_bytes / max(self._module_bytes - known.module_bytes, 1)
            known.is_kept = self._shares[layer] + share <= SHARE
            self._shares[layer] += share if known.is_kept else 0.0
        if known.is_kept is False:
            self.left_out[name] = self.left_out.get(name, 0) + num_bytes
        return known.is_kept is not False

    def spent(self, tap: Tap, stored: Tap | None, num_bytes: int) -> None:
        """A tap was recorded: as a tensor of its own, or as the one that was `stored` before."""
        if not tap.is_functional:
            is_paid = stored is not None and not stored.is_functional
            self._module_bytes += 0 if is_paid else num_bytes
            self._largest = max(self._largest, num_bytes)
            if stored is not None and stored.is_functional and (known := self._kinds.get(_kind(stored)[0])):
                known.own_bytes -= num_bytes
        elif stored is None and (known := self._kinds.get(_kind(tap)[0])):
            known.own_bytes += num_bytes


def _occurrence(tap: Tap) -> int:
    number = tap.module.rpartition("@")[2].partition(".")[2]
    return int(number) if number else 0


def _kind(tap: Tap) -> tuple[str, str]:
    """The tap's name and its layer's, with indices as letters."""
    module = template(tap.module)[0]
    head, brace, _ = module.partition("}")
    return f"{module}:{tap.port}", head + brace if brace else ""
