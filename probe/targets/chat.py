"""Does a prompt use the chat template that a transformers tokenizer brings? Only asked where --prompt was given."""

from collections.abc import Sequence
from typing import Any

CONTENT = "what the user says"


def chat_template_use(folder: str, prompts: Sequence[str], *, trust_remote_code: bool) -> dict[str, bool] | None:
    """`has_chat_template`, and if it has one `uses_chat_template`: whether every prompt holds the words in which the
    template lays what a user says. None where the tokenizer will not tell.
    """
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
        if not getattr(tokenizer, "chat_template", None):
            return {"has_chat_template": False}
        messages = [{"role": "user", "content": CONTENT}]
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception:  # transformers and a template's own code raise whatever they like
        return None
    marker = _marker(str(rendered), tokenizer)
    if not marker:
        return None
    return {"has_chat_template": True, "uses_chat_template": all(marker in prompt for prompt in prompts)}


def _marker(rendered: str, tokenizer: Any) -> str:
    """The last word before what the user says, without BOS: `<|im_start|>user`, `[INST]`; else the first one after."""
    before, found, after = rendered.partition(CONTENT)
    if not found:
        return ""
    begin = str(getattr(tokenizer, "bos_token", None) or "")
    words = before.removeprefix(begin).split() if begin else before.split()
    return words[-1] if words else next(iter(after.split()), "")
