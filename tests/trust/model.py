"""A small decoder whose layers, norms and head have the names and the wiring of real ones.

B sentences of T tokens, C channels, V vocabulary.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

VOCABULARY, CHANNELS, NUM_LAYERS = 48, 16, 12


class RMSNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(CHANNELS))

    def forward(self, x_BTC: Tensor) -> Tensor:
        return x_BTC * torch.rsqrt(x_BTC.square().mean(-1, keepdim=True) + 1e-6) * self.weight


class Layer(nn.Module):
    """x + mix(norm(x)), where a token sees the mean of those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = RMSNorm()
        self.mix = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x_BTC: Tensor) -> Tensor:
        counts_T1 = torch.arange(1, x_BTC.shape[1] + 1, dtype=x_BTC.dtype)[:, None]
        return x_BTC + self.mix(self.norm(x_BTC).cumsum(1) / counts_T1)


class Body(nn.Module):
    """Token ids to the hidden state after the final norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, CHANNELS)
        self.layers = nn.ModuleList(Layer() for _ in range(NUM_LAYERS))
        self.norm = RMSNorm()

    def forward(self, input_ids: Tensor) -> Tensor:
        x_BTC = self.embed(input_ids)
        for layer in self.layers:
            x_BTC = layer(x_BTC)
        return self.norm(x_BTC)


@dataclass
class Config:
    """What of a configuration the trust gate reads; tests change it."""

    settings: dict[str, Any] = field(default_factory=lambda: {"bos_token_id": 1, "eos_token_id": 2})

    def to_dict(self) -> dict[str, Any]:
        return self.settings


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = Body()
        self.head = nn.Linear(CHANNELS, VOCABULARY, bias=False)
        self.config = Config()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        return self.head(self.model(input_ids))


@torch.no_grad()
def build(seed: int = 0) -> Model:
    """One seed gives one set of weights; norms vary, so that before and after them differ."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Model().eval()
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.copy_(1 + 0.3 * torch.randn_like(weight))
            elif "mix.weight" in name:
                weight.copy_(torch.randn_like(weight) / 8)
    return model


def ids(seed: int = 0, num_sentences: int = 2, num_tokens: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (num_sentences, num_tokens), generator=generator)
