"""Changes to the order of a model's channels, for tests of what undoes them."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from tests.zoo.architectures import Size

SIZE = Size(hidden=64, layers=2, heads=4, tokens=19)
Change = Callable[[nn.Module], None]


def layers(model: nn.Module) -> Iterator[nn.Module]:
    """Its decoder's, or encoder's."""
    yield from next(module for module in model.modules() if isinstance(module, nn.ModuleList))


@torch.no_grad()
def permute_outputs(module: nn.Module, order: Tensor) -> None:
    axis = 1 if "Conv1D" in type(module).__name__ else 0
    module.weight.copy_(module.weight.index_select(axis, order))
    if getattr(module, "bias", None) is not None:
        module.bias.copy_(module.bias[order])


@torch.no_grad()
def permute_inputs(module: nn.Module, order: Tensor) -> None:
    axis = 0 if "Conv1D" in type(module).__name__ else 1
    module.weight.copy_(module.weight.index_select(axis, order))


def blocks(num_channels: int, order: Tensor) -> Tensor:
    """Channels of as many heads as `order` has, head after head in that order."""
    return torch.arange(num_channels).reshape(len(order), -1)[order].reshape(-1)


def shuffled(count: int, seed: int) -> Tensor:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order if (order != torch.arange(count)).any() else order.flip(0)


def llama_heads(model: nn.Module) -> None:
    order = shuffled(model.config.num_key_value_heads, 1)
    for layer in layers(model):
        attention = layer.self_attn
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
            permute_outputs(projection, blocks(projection.out_features, order))
        permute_inputs(attention.o_proj, blocks(attention.o_proj.in_features, order))


def rows_for_another_rotary_layout_in_a_fused_matrix(model: nn.Module) -> None:
    for layer in layers(model):
        num_values = layer.self_attn.num_key_value_heads * layer.self_attn.head_dim
        rows = torch.arange(layer.self_attn.qkv_proj.out_features)
        rows[:-num_values] = interleaved(len(rows) - num_values, layer.self_attn.head_dim)
        permute_outputs(layer.self_attn.qkv_proj, rows)


def interleaved(num_channels: int, head_dim: int) -> Tensor:
    return torch.arange(num_channels).reshape(-1, 2, head_dim // 2).transpose(1, 2).reshape(-1)
