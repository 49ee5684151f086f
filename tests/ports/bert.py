"""A BERT as embedding servers write it: fused qkv, no padded rows, nothing from transformers.

`port` converts the real all-MiniLM-L6-v2. A bug is a slip in `block_settings` or in `convert`, for block
`bug_layer` or for all of them; the model itself has no switches.

B sentences, the longest of T tokens; N rows, one for each token that is not padding; C channels, H heads, D channels
of a head.
"""

import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BUGS = ("eps", "query_key_swapped", "mask_ignored", "gelu_tanh")

SOURCES = {
    "attention.qkv": ["attention.self.query", "attention.self.key", "attention.self.value"],
    "attention.out": ["attention.output.dense"],
    "norm1": ["attention.output.LayerNorm"],
    "ffn_in": ["intermediate.dense"],
    "ffn_out": ["output.dense"],
    "norm2": ["output.LayerNorm"],
}
"""Which of transformers' layers are stacked into each layer of a block."""

TOKENS = {
    "embeddings.word_embeddings:in": "words:in",
    "embeddings.word_embeddings:out": "words:out",
    "embeddings.token_type_embeddings:in": "token_types:in",
    "embeddings.token_type_embeddings:out": "token_types:out",
    "embeddings.LayerNorm:in": "embedding_norm:in",
    "embeddings.LayerNorm:out": "embedding_norm:out",
    "embeddings.dropout:*": "embedding_norm:out",
    "embeddings:out": "embedding_norm:out",
    "encoder:in": "embedding_norm:out",
    "encoder.layer.{i}:in": "blocks.{i}:in",
    "encoder.layer.{i}.attention:in": "blocks.{i}.attention:in",
    "encoder.layer.{i}.attention.self:in": "blocks.{i}.attention:in",
    "encoder.layer.{i}.attention.self.*:in": "blocks.{i}.attention.qkv:in",
    "encoder.layer.{i}.attention.self.query:out": "blocks.{i}.attention.qkv:out[0:64]",
    "encoder.layer.{i}.attention.self.key:out": "blocks.{i}.attention.qkv:out[64:128]",
    "encoder.layer.{i}.attention.self.value:out": "blocks.{i}.attention.qkv:out[128:192]",
    "encoder.layer.{i}.attention.self:out": "blocks.{i}.attention.out:in",
    "encoder.layer.{i}.attention.output:in": "blocks.{i}.attention.out:in",
    "encoder.layer.{i}.attention.output:in.1": "blocks.{i}:in",
    "encoder.layer.{i}.attention.output.dense:in": "blocks.{i}.attention.out:in",
    "encoder.layer.{i}.attention.output.dense:out": "blocks.{i}.attention.out:out",
    "encoder.layer.{i}.attention.output.dropout:*": "blocks.{i}.attention.out:out",
    "encoder.layer.{i}.attention.output.LayerNorm:in": "blocks.{i}.norm1:in",
    "encoder.layer.{i}.attention.output.LayerNorm:out": "blocks.{i}.norm1:out",
    "encoder.layer.{i}.attention.output:out": "blocks.{i}.norm1:out",
    "encoder.layer.{i}.attention:out": "blocks.{i}.norm1:out",
    "encoder.layer.{i}.intermediate:in": "blocks.{i}.norm1:out",
    "encoder.layer.{i}.intermediate.dense:in": "blocks.{i}.ffn_in:in",
    "encoder.layer.{i}.intermediate.dense:out": "blocks.{i}.ffn_in:out",
    "encoder.layer.{i}.intermediate.intermediate_act_fn:in": "blocks.{i}.ffn_in:out",
    "encoder.layer.{i}.intermediate.intermediate_act_fn:out": "blocks.{i}.ffn_out:in",
    "encoder.layer.{i}.intermediate:out": "blocks.{i}.ffn_out:in",
    "encoder.layer.{i}.output:in": "blocks.{i}.ffn_out:in",
    "encoder.layer.{i}.output:in.1": "blocks.{i}.norm1:out",
    "encoder.layer.{i}.output.dense:in": "blocks.{i}.ffn_out:in",
    "encoder.layer.{i}.output.dense:out": "blocks.{i}.ffn_out:out",
    "encoder.layer.{i}.output.dropout:*": "blocks.{i}.ffn_out:out",
    "encoder.layer.{i}.output.LayerNorm:in": "blocks.{i}.norm2:in",
    "encoder.layer.{i}.output.LayerNorm:out": "blocks.{i}.norm2:out",
    "encoder.layer.{i}.output:out": "blocks.{i}.norm2:out",
    "encoder.layer.{i}:out": "blocks.{i}:out",
    "encoder:out.last_hidden_state": ":out",
    "pooler:in": ":out",
    ":out.last_hidden_state": ":out",
}
TRUTH: dict[str, str | None] = {
    **{key: f"{said} | unpadded" for key, said in TOKENS.items()},
    ":in.input_ids": ":in.input_ids",
    ":in.attention_mask": ":in.attention_mask",
    "embeddings:in.input_ids": ":in.input_ids",
    "pooler.dense:in": "pooler:in",
    "pooler.dense:out": "pooler:out",
    "pooler.activation:in": "pooler:out",
    "pooler.activation:out": ":out.1",
    "pooler:out": ":out.1",
    ":out.pooler_output": ":out.1",
    "embeddings.position_embeddings:*": None,
    "encoder:in.attention_mask": None,
    "encoder.layer.{i}:in.1": None,
    "encoder.layer.{i}.attention:in.1": None,
    "encoder.layer.{i}.attention.self:in.attention_mask": None,
    "encoder.layer.{i}.attention*:out.1": None,
}
"""Where the numbers of the zoo's BERT (tests/zoo) lie: see truth.py beside this file."""


@dataclass(frozen=True, slots=True)
class BlockSettings:
    num_channels: int
    num_ffn_channels: int
    num_heads: int
    eps: float
    """Added to the variance in a LayerNorm."""
    gelu: str
    """How F.gelu approximates: "none" is the exact one."""
    padding_masked: bool
    """Whether queries pass over the keys of padding."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    vocab_size: int
    num_positions: int
    num_token_types: int
    blocks: tuple[BlockSettings, ...]
    embedding_eps: float
    pooled: bool


class Attention(nn.Module):
    def __init__(self, settings: BlockSettings) -> None:
        super().__init__()
        self.settings = settings
        self.qkv = nn.Linear(settings.num_channels, 3 * settings.num_channels)
        self.out = nn.Linear(settings.num_channels, settings.num_channels)

    def forward(self, x_NC: Tensor, is_token_BT: Tensor) -> Tensor:
        fused_N3HD = self.qkv(x_NC).unflatten(1, (3, self.settings.num_heads, -1))
        padded_BT3HD = fused_N3HD.new_zeros(*is_token_BT.shape, *fused_N3HD.shape[1:])
        padded_BT3HD[is_token_BT] = fused_N3HD
        q_BHTD, k_BHTD, v_BHTD = padded_BT3HD.permute(2, 0, 3, 1, 4)
        sees_B11T = is_token_BT[:, None, None] if self.settings.padding_masked else None
        mixed_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHTD, v_BHTD, sees_B11T)
        return self.out(mixed_BHTD.transpose(1, 2)[is_token_BT].flatten(1))


class Block(nn.Module):
    def __init__(self, settings: BlockSettings) -> None:
        super().__init__()
        self.gelu = settings.gelu
        self.attention = Attention(settings)
        self.norm1 = nn.LayerNorm(settings.num_channels, settings.eps)
        self.ffn_in = nn.Linear(settings.num_channels, settings.num_ffn_channels)
        self.ffn_out = nn.Linear(settings.num_ffn_channels, settings.num_channels)
        self.norm2 = nn.LayerNorm(settings.num_channels, settings.eps)

    def forward(self, x_NC: Tensor, is_token_BT: Tensor) -> Tensor:
        x_NC = self.norm1(x_NC + self.attention(x_NC, is_token_BT))
        return self.norm2(x_NC + self.ffn_out(F.gelu(self.ffn_in(x_NC), approximate=self.gelu)))


class FlatBert(nn.Module):
    """A padded batch (B, T) to hidden states (N, C) and, with a pooler, one vector a sentence (B, C)."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        num_channels = settings.blocks[0].num_channels
        self.words = nn.Embedding(settings.vocab_size, num_channels)
        self.positions = nn.Embedding(settings.num_positions, num_channels)
        self.token_types = nn.Embedding(settings.num_token_types, num_channels)
        self.embedding_norm = nn.LayerNorm(num_channels, settings.embedding_eps)
        self.blocks = nn.ModuleList(Block(block) for block in settings.blocks)
        self.pooler = nn.Linear(num_channels, num_channels) if settings.pooled else None

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        is_token_BT = attention_mask.bool()
        sentence_N, position_N = is_token_BT.nonzero(as_tuple=True)
        type_N = torch.zeros_like(position_N) if token_type_ids is None else token_type_ids[is_token_BT]
        x_NC = self.words(input_ids[is_token_BT]) + self.token_types(type_N) + self.positions(position_N)
        x_NC = self.embedding_norm(x_NC)
        for block in self.blocks:
            x_NC = block(x_NC, is_token_BT)
        if self.pooler is None:
            return x_NC
        starts_N = sentence_N.diff(prepend=sentence_N.new_tensor([-1])) > 0
        return x_NC, torch.tanh(self.pooler(x_NC[starts_N]))


def block_settings(config: Any, bug: str | None) -> BlockSettings:
    """From a transformers BertConfig, whose type this file does not import."""
    return BlockSettings(
        num_channels=config.hidden_size,
        num_ffn_channels=config.intermediate_size,
        num_heads=config.num_attention_heads,
        eps=1e-5 if bug == "eps" else config.layer_norm_eps,
        gelu="tanh" if bug == "gelu_tanh" else "none",
        padding_masked=bug != "mask_ignored",
    )


def convert(
    reference_state_dict: Mapping[str, Tensor], config: Any, bug: str | None = None, bug_layer: int | None = None
) -> FlatBert:
    """The same model out of transformers' weights; the embedding's norm shares "eps" where all blocks have it."""
    layers = range(config.num_hidden_layers)
    assert bug in (None, *BUGS), f"no bug {bug!r}"
    assert bug_layer in (None, *layers), f"no layer {bug_layer!r}"
    bugs = [bug if bug_layer in (None, layer) else None for layer in layers]
    pooled = "pooler.dense.weight" in reference_state_dict
    settings = ModelSettings(
        vocab_size=config.vocab_size,
        num_positions=config.max_position_embeddings,
        num_token_types=config.type_vocab_size,
        blocks=tuple(block_settings(config, block_bug) for block_bug in bugs),
        embedding_eps=block_settings(config, bug if bug_layer is None else None).eps,
        pooled=pooled,
    )
    weights = {
        "words.weight": reference_state_dict["embeddings.word_embeddings.weight"],
        "positions.weight": reference_state_dict["embeddings.position_embeddings.weight"],
        "token_types.weight": reference_state_dict["embeddings.token_type_embeddings.weight"],
    }
    for kind in ("weight", "bias"):
        weights[f"embedding_norm.{kind}"] = reference_state_dict[f"embeddings.LayerNorm.{kind}"]
        if pooled:
            weights[f"pooler.{kind}"] = reference_state_dict[f"pooler.dense.{kind}"]
        for layer in layers:
            for name, sources in SOURCES.items():
                stacked = [reference_state_dict[f"encoder.layer.{layer}.{source}.{kind}"] for source in sources]
                if name == "attention.qkv" and bugs[layer] == "query_key_swapped":
                    stacked[0], stacked[1] = stacked[1], stacked[0]
                weights[f"blocks.{layer}.{name}.{kind}"] = torch.cat(stacked)
    model = FlatBert(settings)
    model.load_state_dict(weights)
    return model.to(weights["words.weight"].dtype).eval()


def port(bug: str | None = None, bug_layer: int | None = None) -> FlatBert:
    """The MiniLM of references.py as FlatBert: the target py:tests/ports/bert.py:port."""
    # By path, so that it does not matter how or from where this file was imported.
    references = runpy.run_path(str(Path(__file__).with_name("references.py")))
    reference = references["minilm"]()
    return convert(reference.state_dict(), reference.config, bug, bug_layer)
