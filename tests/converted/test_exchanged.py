"""A run of llama.cpp as the reference: of a transformers model, and of another run of llama.cpp."""

from pathlib import Path

import numpy as np
import pytest

import probe
from probe.align.mapping import candidate_values
from probe.align.pairs import align
from probe.align.table.chosen import with_fitting_table
from probe.dump import Dump
from probe.report import Report, Verdict
from tests.converted.convert import contents, write
from tests.converted.models import tiny
from tests.converted.plants import norms_exchanged, tensor_of_another_layer
from tests.converted.runs import CANDIDATE, REFERENCE, recorded
from tests.targets.gguf_runs import dumped


def two_files(folder: Path, name: str, kind: str, change=lambda file: None, **options: object) -> Report:
    """A run of the plain file as the reference, and one of the other type, options, or with a bug."""
    made = contents(tiny(name))
    dumped(write(made, folder / "plain.gguf")).close()
    change(made)
    dumped(write(made, folder / "other.gguf", kind), options=options).close()
    return probe.diff(folder / "plain.h5", folder / "other.h5")


@pytest.mark.parametrize("name", ["llama", "gemma2", "phi3"])
def test_a_table_read_from_right_to_left_pairs_equal_numbers(name: str, tmp_path: Path):
    recorded(name, tmp_path)
    with Dump(tmp_path / CANDIDATE) as ours, Dump(tmp_path / REFERENCE) as theirs:
        mapping, chosen = with_fitting_table(align(ours, theirs), ours, theirs)
        assert chosen == f"gguf-{name}"
        assert not [tap for tap in mapping.reference_only if not tap.is_functional]
        for pair in mapping.pairs:
            if pair.reference.name == "token_embd:out" and name == "gemma2":
                continue  # scaled behind it
            values = ours.read(pair.reference).astype(np.float64)
            error = np.linalg.norm(candidate_values(pair, theirs, None) - values)
            assert error <= 2e-3 * np.linalg.norm(values), pair.reference.name


@pytest.mark.parametrize("name", ["llama", "gemma"])
@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0"])
def test_sides_that_are_exchanged_are_compared_by_size_and_told_to_change_places(name: str, kind: str, tmp_path: Path):
    recorded(name, tmp_path, kind=kind)
    report = probe.diff(tmp_path / CANDIDATE, tmp_path / REFERENCE)
    assert report.verdict is Verdict.NOISE
    assert report.undecided == (kind == "Q8_0")
    [said] = [check.message for check in report.trust if check.check == "replay"]
    assert "is a gguf: run, which PyTorch alone cannot replay: places are approximate" in said
    assert said.endswith(f"exchange the two: probe diff {tmp_path / REFERENCE} {tmp_path / CANDIDATE}")


@pytest.mark.parametrize(
    ("kind", "options", "verdict", "undecided"),
    [
        ("F32", {}, Verdict.IDENTICAL, False),
        ("F32", {"flash": True}, Verdict.NOISE, False),
        ("BF16", {}, Verdict.NOISE, False),
        ("Q8_0", {}, Verdict.NOISE, True),
        ("Q4_0", {"kv": "f16"}, Verdict.NOISE, True),
    ],
)
def test_two_files_of_one_model_are_paired_by_names_and_not_blamed(kind, options, verdict, undecided, tmp_path: Path):
    report = two_files(tmp_path, "gemma", kind, **options)
    assert report.verdict is verdict
    assert report.undecided == undecided
    assert not [tap for tap in report.reference_only if "@attention" not in tap and not options]
    assert not [note for note in report.notes if "table" in note]
    [said] = [check.message for check in report.trust if check.check == "replay"]
    assert said.endswith("compare each of the two with the PyTorch model that they were made of")


@pytest.mark.parametrize("kind", ["F32", "Q8_0"])
def test_a_bug_in_one_of_two_files_is_told_by_its_weights_and_about_its_place(kind: str, tmp_path: Path):
    report = two_files(tmp_path, "llama", kind, tensor_of_another_layer)
    [weights] = [found for found in report.weights if found.suspicious]
    assert "blk.1.ffn_down.weight holds blk.0.ffn_down.weight" in weights.message
    if kind == "F32":
        assert report.verdict is Verdict.DIVERGED
        assert report.first is not None
        assert report.first.module == "blk.1.ffn_down"
    else:
        assert report.undecided  # quantized weights come before it


def test_exchanged_norms_in_a_float32_file_are_found_at_the_first(tmp_path: Path):
    report = two_files(tmp_path, "gemma3", "F32", norms_exchanged)
    assert report.first is not None
    assert report.first.module == "blk.1.attn_norm"
