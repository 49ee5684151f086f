"""Small models of every kind that a recording must not disturb."""

import torch
from torch import nn

from probe.capture.weights import WeightTable, named_weights
from tests.capture.containers import RETURNING, Returning, returning


class InPlace(nn.Module):
    """The rectifier writes into what the linear layer returned; then the model writes into its own input."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.linear(x))
        x += 1
        return y + x


class Shared(nn.Module):
    """One layer under two names, called three times."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = self.first

    def forward(self, x):
        return self.second(self.first(self.first(x)))


class Keywords(nn.Module):
    """Takes keywords alone, and hands them on."""

    def __init__(self):
        super().__init__()
        self.inner = Bias()

    def forward(self, *, x, mask=None, **rest):
        return self.inner(x=x, mask=mask, scale=rest["scale"])


class Bias(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.randn(4))

    def forward(self, x, mask, scale):
        return x * scale + self.bias if mask is None else (x * scale + self.bias) * mask


class Nested(nn.Module):
    """An LSTM returns (y, (h, c)), a cell takes and returns (h, c) first."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 4, batch_first=True, num_layers=2)
        self.swap = Returning(lambda x: ((x, x * 2), x * 3))

    def forward(self, x):
        y, (h, c) = self.lstm(x)
        (first, second), third = self.swap(y)
        return first + second + third, h, c


class Block(nn.Module):
    """Attention and a feed-forward network, with dropout."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.attention = nn.MultiheadAttention(4, 2, dropout=0.3, batch_first=True)
        self.up = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(0.4), nn.Linear(8, 4))

    def forward(self, x):
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.up(x)


def transformer():
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2)


MODELS = {
    **{f"returning {kind}": lambda kind=kind: returning(kind) for kind in RETURNING},
    "in place": InPlace,
    "shared": Shared,
    "nested": Nested,
    "block": Block,
    "transformer": transformer,
    "convolution": lambda: nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(True)),
    "leaf": lambda: nn.Linear(4, 4),
}


def built(name, *, dtype=torch.float32):
    torch.manual_seed(0)
    return MODELS[name]().to(dtype)


def fed(dtype=torch.float32):
    """(2, 5, 4): two sentences of five tokens."""
    return torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1)).to(dtype)


def holding(**weights):
    """A model of nothing but these weights."""
    model = nn.Module()
    for name, value in weights.items():
        model.register_parameter(name, nn.Parameter(value, requires_grad=value.is_floating_point()))
    return model


def table_of(model):
    """The table of its weights, measured anew."""
    return WeightTable(named_weights(model))
