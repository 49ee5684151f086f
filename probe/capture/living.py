"""What is known of tensors while they live: nothing is written on them, and nothing keeps them alive."""

from typing import Any
from weakref import ref

import torch


class Living:
    """Facts by tensor; forgotten as tensors die. False while there is none.

    A fact may hold other tensors (a query) for as long as the one lives that it is about (its scores).
    """

    def __init__(self) -> None:
        self._facts: dict[int, tuple[ref[torch.Tensor], Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._facts)

    def note(self, tensor: torch.Tensor, fact: Any) -> None:
        place, facts = id(tensor), self._facts
        facts[place] = (ref(tensor, lambda dead: _forget(facts, place, dead)), fact)

    def get(self, tensor: torch.Tensor) -> Any:
        """None where nothing is known."""
        found = self._facts.get(id(tensor))
        return found[1] if found is not None and found[0]() is tensor else None


def _forget(facts: dict[int, tuple[ref[torch.Tensor], Any]], place: int, dead: ref[torch.Tensor]) -> None:
    if place in facts and facts[place][0] is dead:
        del facts[place]
