"""`probe dump` of hf: targets: a small Llama as save_pretrained writes it, and the real MiniLM with its tokenizer."""

import json
import shutil
from pathlib import Path

import pytest

from probe.dump import Dump
from tests.commands.running import Refused, Run
from tests.ports.references import NUM_LAYERS, SENTENCES, minilm_folder, reference

TOKENS = ["--tokens", "3,1,4,1,5"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small-llama"
    reference("llama").save_pretrained(folder)
    return folder


def test_a_folder_of_save_pretrained_is_recorded_and_replayed_by_its_name(llama: Path, probe: Run):
    outcome = probe("dump", f"hf:{llama}", *TOKENS)
    assert outcome.code == 0
    assert outcome.out.startswith("dumps/small-llama.h5: ")
    with Dump("dumps/small-llama.h5") as dump:
        assert dump.attribute("target")["place"] == str(llama)
        assert dump.attribute("config")["num_hidden_layers"] == NUM_LAYERS
        assert dump.environment["attention"] == "sdpa"
        assert dump.tap("lm_head:out").shape == (1, 5, 512)
    compared = probe("diff", "dumps/small-llama.h5", "dumps/small-llama.h5", "--json")
    assert (compared.code, json.loads(compared.out)["replayed"]) == (0, True)


def test_attention_and_dtype_are_the_user_s_and_a_diff_sees_honest_rounding_alone(llama: Path, probe: Run):
    runs = {
        "eager.h5": ["--attn", "eager"],
        "sdpa.h5": ["--attn", "sdpa"],
        "bf16.h5": ["--attn", "eager", "--dtype", "bf16"],
    }
    for name, words in runs.items():
        assert probe("dump", f"hf:{llama}", *TOKENS, *words, "-o", name).code == 0
    told = {}
    for name in runs:
        with Dump(name) as dump:
            told[name] = (dump.environment["attention"], dump.environment["dtype"])
    assert told == {
        "eager.h5": ("eager", "float32"),
        "sdpa.h5": ("sdpa", "float32"),
        "bf16.h5": ("eager", "bfloat16"),
    }
    for name in ("sdpa.h5", "bf16.h5"):
        compared = probe("diff", "eager.h5", name, "--json")
        assert (compared.code, json.loads(compared.out)["verdict"]) == (0, "noise")


def test_prompts_become_one_padded_batch_by_the_model_s_own_tokenizer(probe: Run):
    prompts = [word for sentence in SENTENCES for word in ("--prompt", sentence)]
    assert probe("dump", f"hf:{minilm_folder()}", *prompts, "-o", "x.h5").code == 0
    with Dump("x.h5") as dump:
        fed = {name: bits for name, (bits, _) in dump.inputs().items()}
    assert fed.keys() == {"input_ids", "attention_mask", "token_type_ids"}
    short, long = fed["attention_mask"].sum(1)
    assert short < long == fed["input_ids"].shape[1]
    assert fed["input_ids"][0, short:].tolist() == [0] * (long - short)  # [PAD]
    assert fed["input_ids"][:, 0].tolist() == [101, 101]  # [CLS]


def test_a_folder_without_a_tokenizer_cannot_take_a_prompt(llama: Path, refused: Refused):
    refusal = refused("dump", f"hf:{llama}", "--prompt", "Hello", "-o", "x.h5")
    assert refusal.error.startswith(f"{llama} has no tokenizer that transformers can use: ")
    assert "--tokens" in refusal.hint
    assert not Path("x.h5").exists()


def test_weights_that_the_checkpoint_lacks_are_told_and_the_same_each_time(llama: Path, probe: Run):
    shutil.copytree(llama, "deeper")
    config = json.loads(Path("deeper/config.json").read_text())
    Path("deeper/config.json").write_text(json.dumps(config | {"num_hidden_layers": NUM_LAYERS + 1}))
    outcome = probe("dump", "hf:deeper", *TOKENS, "-o", "x.h5")
    note = "note: 9 weights are not in the checkpoint and hold random values: model.layers.4.input_layernorm.weight, "
    assert outcome.err.startswith(note)
    assert probe("diff", "x.h5", "x.h5").code == 0
