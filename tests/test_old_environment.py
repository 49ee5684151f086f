"""A candidate's own environment: an old transformers, and of what probe needs only torch, numpy, h5py and xxhash."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

import probe
from probe.report import Verdict

ROOT = Path(__file__).parent.parent
OLD_PYTHON = ROOT / ".venv-old" / "bin" / "python"
SETTINGS = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
RECORD = """
import sys, torch, transformers, probe
from importlib.util import find_spec
assert transformers.__version__ == "4.44.2", transformers.__version__
assert not [name for name in ("rich", "einops", "ml_dtypes", "matplotlib", "textual") if find_spec(name)]
model = transformers.LlamaForCausalLM.from_pretrained(sys.argv[1], attn_implementation="eager").eval()
ids = torch.arange(3, 27)[None]
with torch.no_grad(), probe.record(model, sys.argv[2]):
    model(input_ids=ids)
"""


def in_old_environment(*words: str) -> subprocess.CompletedProcess[str]:
    assert OLD_PYTHON.exists(), "make test builds .venv-old; run 'make .venv-old/.installed'"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run([OLD_PYTHON, *words], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import transformers

    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SETTINGS, attn_implementation="eager")).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.1)
    model.save_pretrained(tmp_path / "model")
    # What transformers 4.44 reads of a config that version 5 writes: rope_theta, not rope_parameters.
    return tmp_path / "model"


def test_a_run_of_an_old_transformers_is_recorded_there_and_compared_here(folder: Path, tmp_path: Path):
    import transformers

    reference = transformers.LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad(), probe.record(reference, tmp_path / "new.h5"):
        reference(input_ids=torch.arange(3, 27)[None])
    in_old_environment("-c", RECORD, str(folder), str(tmp_path / "old.h5"))
    report = probe.diff(tmp_path / "new.h5", tmp_path / "old.h5", reference=reference)
    assert report.verdict in (Verdict.IDENTICAL, Verdict.NOISE)
    assert report.replayed
    outputs = [row for row in report.taps if row.reference.endswith(":out")]
    assert len(outputs) > 3 * 10


def test_the_command_line_records_there_too(folder: Path, tmp_path: Path):
    target = f"hf:{folder}"
    in_old_environment(
        "-m", "probe", "dump", target, "--tokens", "3,4,5,6", "--attn", "eager", "-o", str(tmp_path / "o.h5")
    )
    with probe.open(tmp_path / "o.h5") as dump:
        assert dump.complete
        assert dump.environment["versions"]["transformers"] == "4.44.2"
