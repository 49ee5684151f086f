"""The model that everything is measured on: a Llama of 12 layers and 768 channels with random weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import transformers
from torch import nn

VOCAB_SIZE = 32000


def llama(attention: str = "eager", num_layers: int = 12, num_channels: int = 768) -> transformers.PreTrainedModel:
    """Always the same weights, in float32 and evaluation mode."""
    torch.manual_seed(0)
    configuration = transformers.LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=num_channels,
        intermediate_size=num_channels * 8 // 3,
        num_hidden_layers=num_layers,
        num_attention_heads=max(num_channels // 64, 2),
        num_key_value_heads=max(num_channels // 64, 2),
    )
    return transformers.AutoModelForCausalLM.from_config(configuration, attn_implementation=attention).eval()


def tokens(num_tokens: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(VOCAB_SIZE, (1, num_tokens), generator=generator)


def forward(model: nn.Module, ids: torch.Tensor) -> Callable[[], object]:
    """One plain run."""

    def run() -> object:
        with torch.no_grad():
            return model(ids)

    return run


@contextmanager
def scaled(parameters: list[nn.Parameter], factor: float) -> Iterator[None]:
    """Within this block these weights are off by `factor`."""
    kept = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter in parameters:
            parameter.mul_(factor)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, values in zip(parameters, kept, strict=True):
                parameter.copy_(values)
