"""A linear layer whose result comes back in a container of every kind."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils import _pytree as pytree
from transformers.utils import ModelOutput

Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Answer(ModelOutput):
    """As transformers' models return them: a dict and a dataclass at once."""

    logits: torch.Tensor | None = None
    loss: torch.Tensor | None = None
    states: tuple[torch.Tensor, ...] | None = None


@dataclass(frozen=True)
class Plain:
    values: torch.Tensor
    count: int = 3


pytree.register_dataclass(Plain)


class Returning(nn.Module):
    """A linear layer whose result comes back in a container."""

    def __init__(self, pack):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.pack = pack

    def forward(self, x):
        return self.pack(self.linear(x))


RETURNING = {
    "a tensor": lambda y: y,
    "a tuple": lambda y: (y, y + 1),
    "a list": lambda y: [y, None, y + 1],
    "a dict": lambda y: {"y": y, 3: y + 1, "name": "text"},
    "an ordered dict": lambda y: OrderedDict(b=y, a=y + 1),
    "a named tuple": lambda y: Pair(y, y + 1),
    "a model output": lambda y: Answer(logits=y, states=(y, y * 2)),
    "a frozen dataclass": lambda y: Plain(y),
    "nested containers": lambda y: ({"a": [y, (y + 1,)]}, ((y,), None)),
    "nothing": lambda y: None,
    "a number": lambda y: y.sum().item(),
    "views of one tensor": lambda y: (y, y.mT, y[0], y.expand(3, *y.shape)),
    "complex numbers": lambda y: (torch.complex(y.float(), y.float()).conj(), y.bool(), (y * 9).int()),
}


def returning(kind):
    return Returning(RETURNING[kind])
