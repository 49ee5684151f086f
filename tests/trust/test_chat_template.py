"""A chat template that an instruction-tuned model's tokenizer has, and that the prompt does not use."""

from pathlib import Path

import pytest
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from probe.report import Status
from probe.targets.chat import chat_template_use
from tests.trust.conftest import Doubts, only
from tests.trust.retelling import retold

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INST = "{{ bos_token }}{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}"
SUFFIX = "{% for m in messages %}{{ m['content'] }} ANSWER:{% endfor %}"
TEMPLATES = {
    "chatml": (CHATML, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
    "inst": (INST, "[INST] Hi [/INST]"),
    "suffix": (SUFFIX, "Hi ANSWER:"),
}


def folder_with(template: str | None, folder: Path) -> str:
    words = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "Hi": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<s>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_with_or_without_the_template_is_told(name: str, tmp_path: Path):
    template, rendered = TEMPLATES[name]
    folder = folder_with(template, tmp_path)
    for prompts, used in (["Hi"], False), ([rendered], True), ([rendered, "Hi"], False):
        told = chat_template_use(folder, prompts, trust_remote_code=False)
        assert told == {"has_chat_template": True, "uses_chat_template": used}


def test_no_template_and_a_broken_one(tmp_path: Path):
    assert chat_template_use(folder_with(None, tmp_path), ["Hi"], trust_remote_code=False) == {
        "has_chat_template": False
    }
    broken = folder_with("{{ raise_exception('no') }}", tmp_path / "broken")
    assert chat_template_use(broken, ["Hi"], trust_remote_code=False) is None
    assert chat_template_use(str(tmp_path / "nowhere"), ["Hi"], trust_remote_code=False) is None


def test_a_template_that_is_missing_is_warned_of(reference: Path, tmp_path: Path, doubts: Doubts):
    missing = {"has_chat_template": True, "uses_chat_template": False}
    other = retold(reference, tmp_path / "b.h5", prompt=missing)
    said = only(doubts(other, reference), "template", Status.WARN)
    assert said.startswith("the reference's tokenizer has a chat template, and the prompt does not use it")


@pytest.mark.parametrize(
    "prompt", [{"has_chat_template": False}, {"has_chat_template": True, "uses_chat_template": True}, 7]
)
def test_a_prompt_that_uses_it_passes(prompt, reference: Path, tmp_path: Path, doubts: Doubts):
    assert doubts(retold(reference, tmp_path / "b.h5", prompt=prompt), reference) == {}
