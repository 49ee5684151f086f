"""A folder's own code is never run, unless --trust-remote-code asks for it."""

import json
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from tests.commands.running import Refused, Run

MARKER = Path("imported")
TOKENS = ["--tokens", "1,2,3"]
CODE = """
from pathlib import Path
Path({marker!r}).touch()
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

class OwnConfig(LlamaConfig):
    model_type = "own"

class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig

class OwnTokenizer(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture
def folder(here: Path) -> Path:
    """A plain Llama whose config asks for code that leaves a mark."""
    sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2)).save_pretrained("own")
    Path("own/modeling_own.py").write_text(CODE.format(marker=str(here / MARKER)))
    ask_for_own_code(model_type="own", architectures=["OwnModel"])
    return Path("own")


def ask_for_own_code(**more: object) -> None:
    config = json.loads(Path("own/config.json").read_text())
    auto_map = {"AutoConfig": "modeling_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnModel"}
    auto_map["AutoModel"] = auto_map["AutoModelForCausalLM"]
    Path("own/config.json").write_text(json.dumps(config | {"auto_map": auto_map} | more))


def test_a_model_of_its_own_is_refused_and_its_code_not_run(folder: Path, refused: Refused):
    refusal = refused("dump", f"hf:{folder}", *TOKENS, "-o", "x.h5")
    assert "contains custom code" in refusal.error
    assert refusal.hint == "if you trust that code: --trust-remote-code"
    assert not MARKER.exists()
    assert not Path("x.h5").exists()


@pytest.mark.parametrize("name", ["LlamaForCausalLM", "OwnForCausalLM", "OwnModel"])
def test_a_model_that_transformers_knows_is_run_by_transformers_own_code(name: str, folder: Path, probe: Run):
    ask_for_own_code(model_type="llama", architectures=[name])
    assert probe("dump", f"hf:{folder}", *TOKENS, "-o", "x.h5").code == 0
    assert not MARKER.exists()


def test_a_tokenizer_of_its_own_is_refused_and_its_code_not_run(folder: Path, refused: Refused):
    ask_for_own_code(model_type="llama", architectures=["LlamaForCausalLM"])
    tokenizer = {"auto_map": {"AutoTokenizer": ["modeling_own.OwnTokenizer", "modeling_own.OwnTokenizer"]}}
    Path("own/tokenizer_config.json").write_text(json.dumps(tokenizer | {"tokenizer_class": "OwnTokenizer"}))
    refused("dump", f"hf:{folder}", "--prompt", "Hello", "-o", "x.h5")
    assert not MARKER.exists()


def test_a_dump_s_folder_runs_no_code_when_it_is_loaded_again(folder: Path, probe: Run, refused: Refused):
    """It became hostile after it was recorded."""
    ask_for_own_code(model_type="llama", architectures=["LlamaForCausalLM"])
    assert probe("dump", f"hf:{folder}", *TOKENS, "-o", "x.h5").code == 0
    ask_for_own_code(model_type="own", architectures=["OwnModel"])
    assert "contains custom code" in refused("diff", "x.h5", "x.h5").error
    assert not MARKER.exists()


def test_the_user_may_trust_it(folder: Path, probe: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    assert probe("dump", f"hf:{folder}", *TOKENS, "--trust-remote-code", "-o", "x.h5").code == 0
    assert MARKER.exists()
