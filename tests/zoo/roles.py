"""What each architecture of the zoo calls its parts: a bug speaks of roles, {i} is the layer.

A *view* is an architecture, or one side of it: Whisper's encoder and decoder are two views of one model.
"""

from collections.abc import Mapping

Roles = Mapping[str, str]


def _llama(**others: str) -> dict[str, str]:
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


QK_NORMS = {"q_norm": "{layer}.self_attn.q_norm", "k_norm": "{layer}.self_attn.k_norm"}
FOUR_NORMS = {
    "post_attn_norm": "{layer}.post_attention_layernorm",
    "mlp_norm": "{layer}.pre_feedforward_layernorm",
    "post_mlp_norm": "{layer}.post_feedforward_layernorm",
}
MOE = {"router": "{layer}.mlp.gate", "experts": "{layer}.mlp.experts"}


def _without(roles: dict[str, str], *gone: str) -> dict[str, str]:
    return {role: name for role, name in roles.items() if role not in gone}


def _whisper(side: str) -> dict[str, str]:
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


def _encoder(stem: str) -> dict[str, str]:
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
EXPERTS_ALONE = ("gate", "up", "down", "act")
VIEWS: dict[str, tuple[str, Roles]] = {
    "llama": ("llama", _llama()),
    "mistral": ("mistral", _llama()),
    "qwen2": ("qwen2", _llama()),
    "qwen3": ("qwen3", _llama(**QK_NORMS)),
    "granite": ("granite", _llama()),
    "gemma": ("gemma", _llama()),
    "gemma2": ("gemma2", _llama(**FOUR_NORMS)),
    "gemma3": ("gemma3", _llama(**FOUR_NORMS, **QK_NORMS)),
    "phi3": (
        "phi3",
        _without(
            _llama(
                qkv="{layer}.self_attn.qkv_proj", gate_up="{layer}.mlp.gate_up_proj", act="{layer}.mlp.activation_fn"
            ),
            *"qkv",
            "gate",
            "up",
        ),
    ),
    "mixtral": ("mixtral", _without(_llama(**MOE), *EXPERTS_ALONE)),
    "qwen3-moe": ("qwen3-moe", _without(_llama(**MOE, **QK_NORMS), *EXPERTS_ALONE)),
    "qwen2-moe": (
        "qwen2-moe",
        _without(
            _llama(**MOE, shared="{layer}.mlp.shared_expert", shared_gate="{layer}.mlp.shared_expert_gate"),
            *EXPERTS_ALONE,
        ),
    ),
    "gpt-oss": (
        "gpt-oss",
        _without(_llama(router="{layer}.mlp.router", experts="{layer}.mlp.experts"), *EXPERTS_ALONE),
    ),
    "gpt2": ("gpt2", GPT2),
    "gpt-neox": ("gpt-neox", NEOX),
    "bert": ("bert", _encoder("encoder.layer")),
    "vit": ("vit", VIT),
    "whisper-encoder": ("whisper", _whisper("encoder")),
    "whisper-decoder": ("whisper", _whisper("decoder")),
}
"""Of each view, the architecture that it is of, and its roles."""

PLAIN_DECODER: Roles = {
    "model": "",
    "top": "",
    "embed": "tokens",
    "rope": "blocks.{i}.attention",
    "layer": "blocks.{i}",
    "attn_norm": "blocks.{i}.before_attention",
    "post_attn_norm": "blocks.{i}.after_attention",
    "mlp_norm": "blocks.{i}.before_ffn",
    "post_mlp_norm": "blocks.{i}.after_ffn",
    "attn": "blocks.{i}.attention",
    "q": "blocks.{i}.attention.query",
    "k": "blocks.{i}.attention.key",
    "v": "blocks.{i}.attention.value",
    "q_norm": "blocks.{i}.attention.query_norm",
    "k_norm": "blocks.{i}.attention.key_norm",
    "o": "blocks.{i}.attention.out",
    "mlp": "blocks.{i}.ffn",
    "gate": "blocks.{i}.ffn.gate",
    "up": "blocks.{i}.ffn.wide",
    "gate_up": "blocks.{i}.ffn.gate",
    "act": "blocks.{i}.ffn.act",
    "down": "blocks.{i}.ffn.narrow",
    "final_norm": "last_norm",
    "head": "unembed",
}
"""The same roles in tests/zoo/decoder/plain.py, for pairs whose reference no library knows."""
