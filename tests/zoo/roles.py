"""What each architecture of the zoo calls its parts: a bug speaks of roles, {i} is the layer."""

from collections.abc import Mapping

Roles = Mapping[str, str]


def llama(**others: str) -> dict[str, str]:
    layer = "model.layers.{i}"
    attention = {kind: f"{layer}.self_attn.{kind}_proj" for kind in "qkvo"}
    norms = {"attn_norm": f"{layer}.input_layernorm", "mlp_norm": f"{layer}.post_attention_layernorm"}
    mlp = {kind: f"{layer}.mlp.{kind}_proj" for kind in ("gate", "up", "down")}
    return {
        "model": "model",
        "embed": "model.embed_tokens",
        "rope": "model.rotary_emb",
        "layer": layer,
        **norms,
        "attn": f"{layer}.self_attn",
        **attention,
        "mlp": f"{layer}.mlp",
        **mlp,
        "act": f"{layer}.mlp.act_fn",
        "final_norm": "model.norm",
        "head": "lm_head",
        "top": "",
        **{role: name.replace("{layer}", layer) for role, name in others.items()},
    }


def whisper(side: str) -> dict[str, str]:
    layer = f"model.{side}.layers.{{i}}"
    return {
        "model": f"model.{side}",
        "layer": layer,
        "attn_norm": f"{layer}.self_attn_layer_norm",
        "attn": f"{layer}.self_attn",
        **{kind: f"{layer}.self_attn.{kind}_proj" for kind in "qkv"},
        "o": f"{layer}.self_attn.out_proj",
        "mlp_norm": f"{layer}.final_layer_norm",
        "up": f"{layer}.fc1",
        "act": f"{layer}.activation_fn",
        "down": f"{layer}.fc2",
        "mlp": layer,
        "final_norm": f"model.{side}.layer_norm",
        "position": f"model.{side}.embed_positions",
        "head": "proj_out",
        "top": "",
        **({"embed": "model.decoder.embed_tokens"} if side == "decoder" else {}),
    }


def encoder(stem: str) -> dict[str, str]:
    """BERT: every norm follows what it normalizes."""
    layer = f"{stem}.{{i}}"
    attention = {"q": "query", "k": "key", "v": "value"}
    return {
        "model": "",
        "top": "",
        "embed": "embeddings.word_embeddings",
        "embeddings": "embeddings",
        "position": "embeddings.position_embeddings",
        "token_type": "embeddings.token_type_embeddings",
        "embed_norm": "embeddings.LayerNorm",
        "layer": layer,
        "attn": f"{layer}.attention.self",
        **{kind: f"{layer}.attention.self.{name}" for kind, name in attention.items()},
        "o": f"{layer}.attention.output.dense",
        "attn_norm": f"{layer}.attention.output.LayerNorm",
        "up": f"{layer}.intermediate.dense",
        "act": f"{layer}.intermediate.intermediate_act_fn",
        "mlp": f"{layer}.intermediate",
        "down": f"{layer}.output.dense",
        "mlp_norm": f"{layer}.output.LayerNorm",
        "pooler": "pooler.dense",
    }


GPT2 = {
    "model": "transformer",
    "embed": "transformer.wte",
    "position": "transformer.wpe",
    "layer": "transformer.h.{i}",
    "attn_norm": "transformer.h.{i}.ln_1",
    "attn": "transformer.h.{i}.attn",
    "qkv": "transformer.h.{i}.attn.c_attn",
    "o": "transformer.h.{i}.attn.c_proj",
    "mlp_norm": "transformer.h.{i}.ln_2",
    "mlp": "transformer.h.{i}.mlp",
    "up": "transformer.h.{i}.mlp.c_fc",
    "act": "transformer.h.{i}.mlp.act",
    "down": "transformer.h.{i}.mlp.c_proj",
    "final_norm": "transformer.ln_f",
    "head": "lm_head",
    "top": "",
}
NEOX = {
    "model": "gpt_neox",
    "embed": "gpt_neox.embed_in",
    "rope": "gpt_neox.rotary_emb",
    "layer": "gpt_neox.layers.{i}",
    "attn_norm": "gpt_neox.layers.{i}.input_layernorm",
    "attn": "gpt_neox.layers.{i}.attention",
    "qkv": "gpt_neox.layers.{i}.attention.query_key_value",
    "o": "gpt_neox.layers.{i}.attention.dense",
    "mlp_norm": "gpt_neox.layers.{i}.post_attention_layernorm",
    "mlp": "gpt_neox.layers.{i}.mlp",
    "up": "gpt_neox.layers.{i}.mlp.dense_h_to_4h",
    "act": "gpt_neox.layers.{i}.mlp.act",
    "down": "gpt_neox.layers.{i}.mlp.dense_4h_to_h",
    "final_norm": "gpt_neox.final_layer_norm",
    "head": "lm_head",
    "top": "",
}
VIT = {
    "model": "",
    "top": "",
    "layer": "layers.{i}",
    "attn_norm": "layers.{i}.layernorm_before",
    "attn": "layers.{i}.attention",
    **{kind: f"layers.{{i}}.attention.{kind}_proj" for kind in "qkvo"},
    "mlp_norm": "layers.{i}.layernorm_after",
    "mlp": "layers.{i}.mlp",
    "up": "layers.{i}.mlp.fc1",
    "act": "layers.{i}.mlp.activation_fn",
    "down": "layers.{i}.mlp.fc2",
    "final_norm": "layernorm",
}
