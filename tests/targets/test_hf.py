"""hf: targets: which class a config names, and what happens where folder and config do not fit."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers

from probe.errors import ProbeError
from probe.targets import Loaded, LoadOptions, load, parse
from probe.targets.hf import encode
from tests.ports.references import minilm_folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "llama"
    sizes = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads)).save_pretrained(folder)
    return folder


def loaded(llama: Path, **changes: object) -> Loaded:
    shutil.rmtree("copy", ignore_errors=True)
    shutil.copytree(llama, "copy")
    config = json.loads(Path("copy/config.json").read_text()) | changes
    Path("copy/config.json").write_text(json.dumps(config))
    return load(parse("hf:copy"), LoadOptions())


def test_the_class_that_the_config_names_is_loaded_in_eval_mode(llama: Path):
    model = loaded(llama).model
    assert type(model) is transformers.LlamaForCausalLM
    assert not model.training


@pytest.mark.parametrize("name", ["pipeline", "Trainer", "models", "LlamaTokenizer", "NoSuchModel", 3, ""])
def test_a_name_that_is_no_model_is_never_called(name: object, llama: Path):
    assert type(loaded(llama, architectures=[name]).model) is transformers.LlamaModel


def test_weights_that_are_missing_or_left_over_are_told(llama: Path):
    assert loaded(llama).notes == ()
    [missing] = loaded(llama, num_hidden_layers=3).notes
    assert missing.startswith("9 weights are not in the checkpoint and hold random values: model.layers.2.input_")
    [left_over] = loaded(llama, num_hidden_layers=1).notes
    assert left_over.startswith("9 weights of the checkpoint have no place in the model: model.layers.1.input_")


def test_what_is_missing_is_the_same_each_time_and_the_user_s_random_state_is_left_alone(llama: Path):
    loads = []
    for seed in (1, 2):
        before = torch.manual_seed(seed).get_state()
        loads.append(loaded(llama, num_hidden_layers=3).model.state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    first, second = loads
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "no-such-type"}, "no-such-type"),
        ({"hidden_size": "wide"}, "hidden_size"),
    ],
    ids=repr,
)
def test_a_config_that_does_not_fit_is_refused_in_one_line(changes: dict[str, object], reason: str, llama: Path):
    with pytest.raises(ProbeError, match=f"^transformers cannot load .*copy: .*{reason}") as raised:
        loaded(llama, **changes)
    assert "\n" not in str(raised.value)
    assert raised.value.hint


def test_weights_of_another_shape_are_named_with_both_shapes(llama: Path):
    with pytest.raises(
        ProbeError, match=r"lm_head.weight is \(32, 16\) in the checkpoint and \(48, 16\) in its config"
    ):
        loaded(llama, vocab_size=48)


@pytest.mark.parametrize("weights", [None, b"", b"no safetensors", 0.5], ids=repr)
def test_weights_that_are_damaged_are_refused(weights: bytes | float | None, llama: Path):
    shutil.copytree(llama, "copy")
    path = Path("copy/model.safetensors")
    if isinstance(weights, float):
        weights = path.read_bytes()[: int(weights * path.stat().st_size)]
    path.unlink()
    if weights is not None:
        path.write_bytes(weights)
    with pytest.raises(ProbeError, match=r"^transformers cannot load "):
        load(parse("hf:copy"), LoadOptions())


def test_pickled_weights_are_never_read(llama: Path):
    shutil.copytree(llama, "copy")
    Path("copy/model.safetensors").unlink()
    torch.save(transformers.LlamaForCausalLM.from_pretrained(llama).state_dict(), "copy/pytorch_model.bin")
    with pytest.raises(ProbeError, match=r"no file named model\.safetensors"):
        load(parse("hf:copy"), LoadOptions())


@pytest.mark.parametrize("place", ["./nothing", "/no/such/folder", "models/of/mine"])
def test_a_folder_that_is_missing_is_not_looked_for_on_the_hub(place: str):
    with pytest.raises(ProbeError, match=f"^{place}: no such folder$"):
        load(parse(f"hf:{place}"), LoadOptions())


def test_a_folder_without_a_config_says_so(here: Path):
    Path("empty").mkdir()
    with pytest.raises(ProbeError, match=r"empty has no config.json$"):
        load(parse("hf:empty"), LoadOptions())


def test_prompts_are_filled_up_in_front_where_steps_will_follow():
    prompts = ["A cat.", "Two ports of one model disagree."]
    front = encode(minilm_folder(), prompts, True, trust_remote_code=False)["attention_mask"]
    behind = encode(minilm_folder(), prompts, trust_remote_code=False)["attention_mask"]
    assert front == [row[::-1] for row in behind]
    assert front[0][0] == 0
    assert front[0][-1] == 1
