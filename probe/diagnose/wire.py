"""What stands at one tap, used at another place too: as a port does that takes the wrong tensor."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(eq=False)
class Wire:
    """From a tap: while a place is examined, what the candidate had there; while planted, what the model has."""

    name: str
    tensor: Tensor | None
    """None where neither is under way, so that no activation is held."""

    def given(self, like: Tensor) -> Tensor:
        assert self.tensor is not None, f"nothing was seen at {self.name}"
        return self.tensor.reshape(like.shape).to(like)

    def added_to(self, value: Tensor) -> Tensor:
        return value + self.given(value)
