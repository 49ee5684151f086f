"""The views of the zoo, each an architecture or one side of it: Whisper's encoder and decoder are two of one model."""

from tests.zoo.roles import GPT2, NEOX, VIT, Roles, encoder, llama, whisper

QK_NORMS = {"q_norm": "{layer}.self_attn.q_norm", "k_norm": "{layer}.self_attn.k_norm"}
FOUR_NORMS = {
    "post_attn_norm": "{layer}.post_attention_layernorm",
    "mlp_norm": "{layer}.pre_feedforward_layernorm",
    "post_mlp_norm": "{layer}.post_feedforward_layernorm",
}
MOE = {"router": "{layer}.mlp.gate", "experts": "{layer}.mlp.experts"}


def _without(roles: dict[str, str], *gone: str) -> dict[str, str]:
    return {role: name for role, name in roles.items() if role not in gone}


EXPERTS_ALONE = ("gate", "up", "down", "act")
VIEWS: dict[str, tuple[str, Roles]] = {
    "llama": ("llama", llama()),
    "mistral": ("mistral", llama()),
    "qwen2": ("qwen2", llama()),
    "qwen3": ("qwen3", llama(**QK_NORMS)),
    "granite": ("granite", llama()),
    "gemma": ("gemma", llama()),
    "gemma2": ("gemma2", llama(**FOUR_NORMS)),
    "gemma3": ("gemma3", llama(**FOUR_NORMS, **QK_NORMS)),
    "phi3": (
        "phi3",
        _without(
            llama(
                qkv="{layer}.self_attn.qkv_proj", gate_up="{layer}.mlp.gate_up_proj", act="{layer}.mlp.activation_fn"
            ),
            *"qkv",
            "gate",
            "up",
        ),
    ),
    "mixtral": ("mixtral", _without(llama(**MOE), *EXPERTS_ALONE)),
    "qwen3-moe": ("qwen3-moe", _without(llama(**MOE, **QK_NORMS), *EXPERTS_ALONE)),
    "qwen2-moe": (
        "qwen2-moe",
        _without(
            llama(**MOE, shared="{layer}.mlp.shared_expert", shared_gate="{layer}.mlp.shared_expert_gate"),
            *EXPERTS_ALONE,
        ),
    ),
    "gpt-oss": (
        "gpt-oss",
        _without(llama(router="{layer}.mlp.router", experts="{layer}.mlp.experts"), *EXPERTS_ALONE),
    ),
    "gpt2": ("gpt2", GPT2),
    "gpt-neox": ("gpt-neox", NEOX),
    "bert": ("bert", encoder("encoder.layer")),
    "vit": ("vit", VIT),
    "whisper-encoder": ("whisper", whisper("encoder")),
    "whisper-decoder": ("whisper", whisper("decoder")),
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
