"""From transformers' weights to each of the three styles'."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tests.zoo.decoder.fused import FusedDecoder
from tests.zoo.decoder.nano import NanoDecoder
from tests.zoo.decoder.plain import PlainDecoder
from tests.zoo.decoder.settings import Model

STYLES = {"plain decoder": PlainDecoder, "fused decoder": FusedDecoder, "nano decoder": NanoDecoder}
INPUT = {"plain decoder": "input_ids", "fused decoder": "input_ids", "nano decoder": "idx"}


@dataclass(frozen=True)
class Names:
    """What one style calls its parts: of the model, of a layer, and which of a layer's are stacked from what."""

    model: dict[str, str]
    prefix: str
    layer: dict[str, str]
    stacked: dict[str, tuple[str, ...]]


QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
NAMES = {
    "plain decoder": Names(
        {"embed": "tokens.weight", "norm": "last_norm.weight", "head": "unembed.weight"},
        "blocks",
        {
            "attn_norm": "before_attention.weight",
            "mlp_norm": "before_ffn.weight",
            "post_attn": "after_attention.weight",
            "post_mlp": "after_ffn.weight",
            "q_norm": "attention.query_norm.weight",
            "k_norm": "attention.key_norm.weight",
        },
        {
            "attention.query": QKV[:1],
            "attention.key": QKV[1:2],
            "attention.value": QKV[2:],
            "attention.out": ("self_attn.o_proj",),
            "ffn.gate": ("mlp.gate_proj",),
            "ffn.wide": ("mlp.up_proj",),
            "ffn.narrow": ("mlp.down_proj",),
        },
    ),
    "fused decoder": Names(
        {"embed": "embedding.weight", "norm": "norm.scale", "head": "head.weight"},
        "layers",
        {
            "attn_norm": "norm1.scale",
            "mlp_norm": "norm2.scale",
            "post_attn": "post1.scale",
            "post_mlp": "post2.scale",
            "q_norm": "q_norm.scale",
            "k_norm": "k_norm.scale",
        },
        {
            "wqkv": QKV,
            "wo": ("self_attn.o_proj",),
            "w13": ("mlp.gate_proj", "mlp.up_proj"),
            "w2": ("mlp.down_proj",),
        },
    ),
    "nano decoder": Names(
        {"embed": "transformer.wte.weight", "norm": "ln_f", "head": "lm_head.weight"},
        "transformer.h",
        {
            "attn_norm": "ln_1",
            "mlp_norm": "ln_2",
            "post_attn": "ln_3",
            "post_mlp": "ln_4",
            "q_norm": "ln_q",
            "k_norm": "ln_k",
        },
        {
            "c_attn": QKV,
            "c_proj": ("self_attn.o_proj",),
            "c_fc": ("mlp.up_proj", "mlp.gate_proj"),
            "c_out": ("mlp.down_proj",),
        },
    ),
}


def convert(style: str, reference: Mapping[str, Tensor], m: Model) -> nn.Module:
    """`m` may be wrong; weights come as the reference has them."""
    names, weights = NAMES[style], {}
    folded = m.norm_offset if style == "fused decoder" else 0.0
    weights[names.model["embed"]] = reference["model.embed_tokens.weight"]
    weights[names.model["head"]] = reference["lm_head.weight"]
    weights[names.model["norm"]] = reference["model.norm.weight"] + folded
    for number in range(len(m.layers)):
        theirs, ours = f"model.layers.{number}", f"{names.prefix}.{number}"
        for role, name in _norms(m).items():
            weights[f"{ours}.{names.layer[role]}"] = reference[f"{theirs}.{name}.weight"] + folded
        for name, sources in names.stacked.items():
            for kind in ("weight", "bias"):
                parts = [
                    part for source in sources if (part := _part(reference, f"{theirs}.{source}", kind, m)) is not None
                ]
                if parts:
                    weights[f"{ours}.{name}.{kind}"] = torch.cat(parts)
    model = STYLES[style](m)
    wanted = model.state_dict()
    model.load_state_dict({name: weights[name] for name in wanted})
    return model.eval()


def _norms(m: Model) -> dict[str, str]:
    layer = m.layers[0]
    norms = {"attn_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}
    if layer.norms_after:
        norms |= {"mlp_norm": "pre_feedforward_layernorm", "post_attn": "post_attention_layernorm"}
        norms |= {"post_mlp": "post_feedforward_layernorm"}
    if any(each.norms_q or each.norms_k for each in m.layers):
        norms |= {"q_norm": "self_attn.q_norm", "k_norm": "self_attn.k_norm"}
    return norms


def _part(reference: Mapping[str, Tensor], name: str, kind: str, m: Model) -> Tensor | None:
    """Of one matrix; Phi-3 has several in one."""
    found = reference.get(f"{name}.{kind}")
    if found is not None or kind == "bias":
        return found
    s, (parent, _, own) = m.layers[0], name.rpartition(".")
    if own in ("gate_proj", "up_proj"):
        return reference[f"{parent}.gate_up_proj.weight"].chunk(2)[own == "up_proj"]
    sizes = [s.num_heads * s.head_dim, s.num_kv_heads * s.head_dim, s.num_kv_heads * s.head_dim]
    return reference[f"{parent}.qkv_proj.weight"].split(sizes)["qkv".index(own[0])]
