"""A Whisper under OpenAI's own names (github.com/openai/whisper, whisper/model.py).

B recordings of M mel channels, S frames after the encoder's convolutions; B sentences of T tokens; C channels, H heads,
D channels of a head, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attention_truth(reference: str, candidate: str) -> dict[str, str | None]:
    """Of one attention and the norm before it."""
    kinds = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out"}
    truth: dict[str, str | None] = {
        f"{reference}.{kind}:{port}": f"{candidate}.{name}:{port}"
        for kind, name in kinds.items()
        for port in ("in", "out")
    }
    ports = {f"{reference}_layer_norm:{port}": f"{candidate}_ln:{port}" for port in ("in", "out")}
    return truth | ports | {f"{reference}:out": f"{candidate}:out", f"{reference}:out.1": None}


def layer_truth(side: str) -> dict[str, str | None]:
    """Of the encoder's and the decoder's layers alike."""
    reference, candidate = f"model.{side}.layers.{{i}}", f"{side}.blocks.{{i}}"
    return {
        f"{reference}:in": f"{candidate}:in",
        **attention_truth(f"{reference}.self_attn", f"{candidate}.attn"),
        f"{reference}.final_layer_norm:in": f"{candidate}.mlp_ln:in",
        f"{reference}.final_layer_norm:out": f"{candidate}.mlp_ln:out",
        f"{reference}.fc1:in": f"{candidate}.mlp.0:in",
        f"{reference}.fc1:out": f"{candidate}.mlp.0:out",
        f"{reference}.activation_fn:in": f"{candidate}.mlp.1:in",
        f"{reference}.activation_fn:out": f"{candidate}.mlp.1:out",
        f"{reference}.fc2:in": f"{candidate}.mlp.2:in",
        f"{reference}.fc2:out": f"{candidate}.mlp.2:out",
        f"{reference}:out": f"{candidate}:out",
    }


TRUTH: dict[str, str | None] = {
    ":in.input_features": ":in.mel",
    ":in.decoder_input_ids": ":in.tokens",
    "model:in": ":in.mel",
    "model:in.decoder_input_ids": ":in.tokens",
    "model.encoder:in": "encoder:in",
    "model.encoder.conv1:in": "encoder.conv1:in",
    "model.encoder.conv1:out": "encoder.conv1:out",
    "model.encoder.conv2:in": "encoder.conv2:in",
    "model.encoder.conv2:out": "encoder.conv2:out",
    **layer_truth("encoder"),
    "model.encoder.layers.{i}.self_attn:in.hidden_states": "encoder.blocks.{i}.attn:in",
    "model.encoder.layer_norm:in": "encoder.ln_post:in",
    "model.encoder.layer_norm:out": "encoder.ln_post:out",
    "model.encoder:out.last_hidden_state": "encoder:out",
    "model.decoder:in.input_ids": "decoder:in",
    "model.decoder:in.encoder_hidden_states": "decoder:in.1",
    "model.decoder.embed_tokens:in": "decoder.token_embedding:in",
    "model.decoder.embed_tokens:out": "decoder.token_embedding:out",
    "model.decoder.embed_positions:in": "decoder.token_embedding:in",
    "model.decoder.layers.{i}:in.2": "decoder.blocks.{i}:in.1",
    **layer_truth("decoder"),
    "model.decoder.layers.{i}.self_attn:in": "decoder.blocks.{i}.attn:in",
    **attention_truth("model.decoder.layers.{i}.encoder_attn", "decoder.blocks.{i}.cross_attn"),
    "model.decoder.layers.{i}.encoder_attn:in": "decoder.blocks.{i}.cross_attn:in",
    "model.decoder.layers.{i}.encoder_attn:in.key_value_states": "decoder.blocks.{i}.cross_attn:in.1",
    "model.decoder.layer_norm:in": "decoder.ln:in",
    "model.decoder.layer_norm:out": "decoder.ln:out",
    "model.decoder:out.last_hidden_state": "decoder.ln:out",
    "model:out.last_hidden_state": "decoder.ln:out",
    "model:out.encoder_last_hidden_state": "encoder:out",
    "proj_out:in": "decoder.ln:out",
    "proj_out:out": ":out",
    ":out.logits": ":out",
    ":out.encoder_last_hidden_state": "encoder:out",
    "model.encoder.embed_positions:*": None,
    "model.decoder.embed_positions:*": None,
    "model.decoder.layers.{i}:in.1": None,
    "*:in.attention_mask": None,
}


class MultiHeadAttention(nn.Module):
    def __init__(self, n_state: int, n_head: int) -> None:
        super().__init__()
        self.n_head = n_head
        self.query = nn.Linear(n_state, n_state)
        self.key = nn.Linear(n_state, n_state, bias=False)
        self.value = nn.Linear(n_state, n_state)
        self.out = nn.Linear(n_state, n_state)

    def forward(self, x_BTC: Tensor, xa_BSC: Tensor | None = None, mask_TT: Tensor | None = None) -> Tensor:
        q_BTC = self.query(x_BTC)
        source_BSC = x_BTC if xa_BSC is None else xa_BSC
        k_BSC, v_BSC = self.key(source_BSC), self.value(source_BSC)
        # Half of the scale on either side, as in whisper/model.py.
        scale = (q_BTC.shape[-1] // self.n_head) ** -0.25
        q_BHTD, k_BHSD, v_BHSD = (x.unflatten(2, (self.n_head, -1)).transpose(1, 2) for x in (q_BTC, k_BSC, v_BSC))
        scores_BHTS = (q_BHTD * scale) @ (k_BHSD * scale).transpose(2, 3)
        if mask_TT is not None:
            scores_BHTS = scores_BHTS + mask_TT[: q_BHTD.shape[2], : q_BHTD.shape[2]]
        return self.out((scores_BHTS.softmax(dim=-1) @ v_BHSD).transpose(1, 2).flatten(2))


class ResidualAttentionBlock(nn.Module):
    def __init__(self, n_state: int, n_head: int, n_mlp: int, *, cross_attention: bool) -> None:
        super().__init__()
        self.attn = MultiHeadAttention(n_state, n_head)
        self.attn_ln = nn.LayerNorm(n_state)
        self.cross_attn = MultiHeadAttention(n_state, n_head) if cross_attention else None
        self.cross_attn_ln = nn.LayerNorm(n_state) if cross_attention else None
        self.mlp = nn.Sequential(nn.Linear(n_state, n_mlp), nn.GELU(), nn.Linear(n_mlp, n_state))
        self.mlp_ln = nn.LayerNorm(n_state)

    def forward(self, x_BTC: Tensor, xa_BSC: Tensor | None = None, mask_TT: Tensor | None = None) -> Tensor:
        x_BTC = x_BTC + self.attn(self.attn_ln(x_BTC), None, mask_TT)
        if self.cross_attn and self.cross_attn_ln:
            x_BTC = x_BTC + self.cross_attn(self.cross_attn_ln(x_BTC), xa_BSC)
        return x_BTC + self.mlp(self.mlp_ln(x_BTC))


class AudioEncoder(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        n_state, n_head, n_mlp = config.d_model, config.encoder_attention_heads, config.encoder_ffn_dim
        self.conv1 = nn.Conv1d(config.num_mel_bins, n_state, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(n_state, n_state, kernel_size=3, stride=2, padding=1)
        self.register_buffer("positional_embedding", torch.zeros(config.max_source_positions, n_state))
        self.blocks = nn.ModuleList(
            ResidualAttentionBlock(n_state, n_head, n_mlp, cross_attention=False) for _ in range(config.encoder_layers)
        )
        self.ln_post = nn.LayerNorm(n_state)

    def forward(self, mel_BMS: Tensor) -> Tensor:
        x_BCS = F.gelu(self.conv2(F.gelu(self.conv1(mel_BMS))))
        x_BSC = x_BCS.permute(0, 2, 1) + self.positional_embedding
        for block in self.blocks:
            x_BSC = block(x_BSC)
        return self.ln_post(x_BSC)


class TextDecoder(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        n_state, n_head, n_mlp = config.d_model, config.decoder_attention_heads, config.decoder_ffn_dim
        self.token_embedding = nn.Embedding(config.vocab_size, n_state)
        self.positional_embedding = nn.Parameter(torch.zeros(config.max_target_positions, n_state))
        self.blocks = nn.ModuleList(
            ResidualAttentionBlock(n_state, n_head, n_mlp, cross_attention=True) for _ in range(config.decoder_layers)
        )
        self.ln = nn.LayerNorm(n_state)
        hidden_TT = torch.full((config.max_target_positions,) * 2, -torch.inf).triu_(1)
        self.register_buffer("mask", hidden_TT, persistent=False)

    def forward(self, tokens_BT: Tensor, xa_BSC: Tensor) -> Tensor:
        x_BTC = self.token_embedding(tokens_BT) + self.positional_embedding[: tokens_BT.shape[1]]
        for block in self.blocks:
            x_BTC = block(x_BTC, xa_BSC, self.mask)
        return self.ln(x_BTC) @ self.token_embedding.weight.T


class Whisper(nn.Module):
    """Mel spectrograms (B, M, 2 S) and token ids (B, T) to logits (B, T, V)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.encoder = AudioEncoder(config)
        self.decoder = TextDecoder(config)

    def forward(self, mel: Tensor, tokens: Tensor) -> Tensor:
        return self.decoder(tokens, self.encoder(mel))


RENAMED = [
    (".embed_tokens.weight", ".token_embedding.weight"),
    (".embed_positions.weight", ".positional_embedding"),
    (".layers.", ".blocks."),
    ("encoder.layer_norm.", "encoder.ln_post."),
    ("decoder.layer_norm.", "decoder.ln."),
    (".self_attn_layer_norm.", ".attn_ln."),
    (".encoder_attn_layer_norm.", ".cross_attn_ln."),
    (".final_layer_norm.", ".mlp_ln."),
    (".self_attn.", ".attn."),
    (".encoder_attn.", ".cross_attn."),
    (".q_proj.", ".query."),
    (".k_proj.", ".key."),
    (".v_proj.", ".value."),
    (".out_proj.", ".out."),
    (".fc1.", ".mlp.0."),
    (".fc2.", ".mlp.2."),
]


def convert(reference_state_dict: Mapping[str, Tensor], config: Any) -> Whisper:
    """The same model out of transformers' weights; the head is the embedding in both."""
    weights = {}
    for name, weight in reference_state_dict.items():
        if name != "proj_out.weight":
            name = name.removeprefix("model.")
            for old, new in RENAMED:
                name = name.replace(old, new)
            weights[name] = weight
    model = Whisper(config)
    model.load_state_dict(weights)
    return model.eval()
