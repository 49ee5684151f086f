"""Small transformers models, and one backward pass of each."""

from pathlib import Path

import torch
import transformers as T
from torch import nn

import probe
from tests.zoo.architectures import Size, build, inputs
from tests.zoo.filling import fill

SIZE = Size(hidden=32, layers=2, tokens=12)
TRAINED = ("llama", "gemma3", "gpt2", "mixtral", "whisper", "mamba")


def trained(name: str, attention: str = "eager", dtype: torch.dtype = torch.float32) -> nn.Module:
    """The same weights for the same name."""
    if name != "mamba":
        return build(name, SIZE, attention=attention).to(dtype)
    config = T.MambaConfig(vocab_size=256, hidden_size=32, num_hidden_layers=2, state_size=8, pad_token_id=0)
    torch.manual_seed(0)
    model = T.MambaForCausalLM(config).eval()
    fill(model, torch.Generator().manual_seed(0), offset_norms=False)
    return model.to(dtype)


def fed(name: str, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    given = inputs("llama" if name == "mamba" else name, SIZE)
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in given.items()}


def loss_of(model: nn.Module, name: str) -> torch.Tensor:
    """Cross-entropy of the next word; in float32, as trainers take it."""
    given = fed(name, next(model.parameters()).dtype)
    logits = model(**given, use_cache=False).logits.float()
    ids = given["decoder_input_ids" if name == "whisper" else "input_ids"]
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def recorded(model: nn.Module, name: str, path: Path) -> None:
    with probe.record(model, path, gradients=True):
        loss_of(model, name).backward()
