"""Models as py: targets that do not give the same twice, or not the same when they are watched."""

import torch
from torch import Tensor, nn

from tests.trust.model import CHANNELS, Model, build


class Noisy(nn.Module):
    """Adds noise of a size to a layer's sum, as atomic additions do: another one in each call."""

    def __init__(self, mix: nn.Module, size: float) -> None:
        super().__init__()
        self.mix = mix
        self.size = size
        self.calls = 0

    def forward(self, x_BTC: Tensor) -> Tensor:
        self.calls += 1
        noise = torch.randn(CHANNELS, generator=torch.Generator().manual_seed(self.calls))
        return self.mix(x_BTC) + self.size * noise


class Shy(nn.Module):
    """Takes another path while hooks are there, as nn.TransformerEncoderLayer does."""

    def __init__(self, mix: nn.Module) -> None:
        super().__init__()
        self.mix = mix

    def forward(self, x_BTC: Tensor) -> Tensor:
        watched = bool(self._forward_hooks)
        return self.mix(x_BTC) * (1.0 if watched else 1.0001)


class Failing(nn.Module):
    """Runs once."""

    def __init__(self, mix: nn.Module) -> None:
        super().__init__()
        self.mix = mix
        self.used = False

    def forward(self, x_BTC: Tensor) -> Tensor:
        if self.used:
            raise RuntimeError("the cache is full")
        self.used = True
        return self.mix(x_BTC)


def steady() -> Model:
    return build()


def with_mix(kind: type[nn.Module], *arguments: float) -> Model:
    model = build()
    model.model.layers[5].mix = kind(model.model.layers[5].mix, *arguments)
    return model.eval()


def noisy(size: float = 1e-3) -> Model:
    return with_mix(Noisy, size)


def shy() -> Model:
    return with_mix(Shy)


def failing() -> Model:
    return with_mix(Failing)
