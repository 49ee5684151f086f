"""Small models of random weights that look trained: uneven norms, sharp attention."""

import torch
from torch import nn

TOKENS = torch.randint(3, 256, (1, 48), generator=torch.Generator().manual_seed(0))
SIZES = {
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}


@torch.no_grad()
def drawn(model: nn.Module, seed: int = 0) -> nn.Module:
    """`model` with weights of this seed, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        noise = torch.randn(weight.shape, generator=generator)
        weight.copy_(1 + 0.2 * noise if weight.dim() == 1 else 2 * noise / weight.shape[1] ** 0.5)
    return model.eval()
