"""Bugs that can be planted into a transformers model without writing a port: what BUGS in real ports look like.

Each plants itself into a model that is otherwise the reference, and says which modules are at fault.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Planted:
    """One bug of one architecture."""

    name: str
    architecture: str
    plant: Callable[[nn.Module], None]
    modules: tuple[str, ...]
    """Any of these is right as the first place; more than one where code and data part."""


def _set(path: str, attribute: str, value: object) -> Callable[[nn.Module], None]:
    """Set an attribute on every module that `path`, with {i} for the layer, names."""

    def plant(model: nn.Module) -> None:
        head, _, tail = path.partition("{i}")
        names = [name for name, _ in model.named_modules()]
        chosen = [name for name in names if name.startswith(head) and name.endswith(tail)] if tail else [path]
        chosen = [name for name in chosen if not tail or name.removeprefix(head).removesuffix(tail).isdigit()]
        assert chosen, path
        for name in chosen:
            module = model.get_submodule(name)
            assert hasattr(module, attribute), (name, attribute)
            setattr(module, attribute, value)

    return plant


def _swap(first: str, second: str) -> Callable[[nn.Module], None]:
    @torch.no_grad()
    def plant(model: nn.Module) -> None:
        weights = [model.get_parameter(name) for name in (first, second)]
        copies = [weight.clone() for weight in weights]
        weights[0].copy_(copies[1])
        weights[1].copy_(copies[0])

    return plant


def _change(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[nn.Module], None]:
    @torch.no_grad()
    def plant(model: nn.Module) -> None:
        weight = model.get_parameter(name)
        weight.copy_(change(weight.clone()))

    return plant


def _theta(model: nn.Module) -> None:
    frequencies = model.get_buffer("model.rotary_emb.inv_freq")
    frequencies.copy_(frequencies**1.1)


L1 = "model.layers.1"
PLANTED = [
    Planted(
        "norm eps, one", "llama", _set(f"{L1}.input_layernorm", "variance_epsilon", 1e-5), (f"{L1}.input_layernorm",)
    ),
    Planted(
        "norm eps, all",
        "qwen2",
        _set("model.layers.{i}.input_layernorm", "variance_epsilon", 1e-5),
        ("model.layers.0.input_layernorm",),
    ),
    Planted(
        "q norm eps",
        "qwen3",
        _set("model.layers.{i}.self_attn.q_norm", "variance_epsilon", 1e-5),
        ("model.layers.0.self_attn.q_norm",),
    ),
    Planted("layer norm eps", "gpt2", _set("transformer.h.1.ln_2", "eps", 1e-6), ("transformer.h.1.ln_2",)),
    Planted("gemma norm eps", "gemma3", _set(f"{L1}.self_attn.k_norm", "eps", 1e-5), (f"{L1}.self_attn.k_norm",)),
    Planted("attention scale", "llama", _set(f"{L1}.self_attn", "scaling", 0.26), (f"{L1}.self_attn",)),
    Planted(
        "softcap off",
        "gemma2",
        _set("model.layers.{i}.self_attn", "attn_logit_softcapping", None),
        ("model.layers.0.self_attn",),
    ),
    Planted(
        "silu for gelu", "gemma", _set("model.layers.{i}.mlp", "act_fn", nn.SiLU()), ("model.layers.0.mlp.act_fn",)
    ),
    Planted("erf for tanh", "gpt2", _set("transformer.h.{i}.mlp", "act", nn.GELU()), ("transformer.h.0.mlp.act",)),
    Planted(
        "tanh for erf", "vit", _set("layers.1.mlp", "activation_fn", nn.GELU("tanh")), ("layers.1.mlp.activation_fn",)
    ),
    Planted("rope theta", "mistral", _theta, ("model.rotary_emb",)),
    Planted(
        "norms swapped",
        "phi3",
        _swap(f"{L1}.input_layernorm.weight", f"{L1}.post_attention_layernorm.weight"),
        (f"{L1}.input_layernorm",),
    ),
    Planted(
        "gate and up swapped",
        "qwen3",
        _swap(f"{L1}.mlp.gate_proj.weight", f"{L1}.mlp.up_proj.weight"),
        (f"{L1}.mlp.gate_proj",),
    ),
    Planted(
        "other layer's",
        "llama",
        _swap(f"{L1}.mlp.down_proj.weight", "model.layers.2.mlp.down_proj.weight"),
        (f"{L1}.mlp.down_proj",),
    ),
    Planted(
        "transposed", "gemma", _change(f"{L1}.self_attn.o_proj.weight", lambda w: w.T), (f"{L1}.self_attn.o_proj",)
    ),
    Planted(
        "bias dropped", "qwen2", _change(f"{L1}.self_attn.k_proj.bias", torch.zeros_like), (f"{L1}.self_attn.k_proj",)
    ),
    Planted("norm never loaded", "mistral", _change("model.norm.weight", torch.ones_like), ("model.norm",)),
    Planted("head not tied", "gpt-neox", _change("lm_head.weight", lambda w: w.flip(0)), ("lm_head",)),
    Planted(
        "fused rows rolled",
        "phi3",
        _change(f"{L1}.self_attn.qkv_proj.weight", lambda w: w.roll(1, 0)),
        (f"{L1}.self_attn.qkv_proj",),
    ),
    Planted(
        "experts swapped",
        "mixtral",
        _change(f"{L1}.mlp.experts.down_proj", lambda w: w.roll(1, 0)),
        (f"{L1}.mlp.experts",),
    ),
    Planted(
        "router raw",
        "qwen3-moe",
        _set("model.layers.{i}.mlp.gate", "norm_topk_prob", True),
        ("model.layers.0.mlp.gate",),
    ),
    Planted("final softcap off", "gemma2", lambda model: setattr(model.config, "final_logit_softcapping", None), ("",)),
    Planted(
        "one weight NaN",
        "llama",
        _change(f"{L1}.mlp.up_proj.weight", lambda w: w.index_fill(0, torch.tensor([3]), torch.nan)),
        (f"{L1}.mlp.up_proj",),
    ),
    Planted(
        "encoder activation",
        "whisper",
        _set("model.encoder.layers.1", "activation_fn", nn.GELU("tanh")),
        ("model.encoder.layers.1.activation_fn",),
    ),
    Planted(
        "layer norm eps",
        "bert",
        _set("encoder.layer.1.output.LayerNorm", "eps", 1e-5),
        ("encoder.layer.1.output.LayerNorm",),
    ),
]
