"""Candidates that are only a dump of a foreign runtime: some outputs under names of its own, and nothing else."""

from pathlib import Path

import pytest

import probe
from probe.align.table.propose import infer, table_text
from probe.dump import Dump
from probe.dump.writer import DumpWriter
from probe.report import Report, Verdict
from tests.zoo.bugs import bug_named
from tests.zoo.judge import record_both
from tests.zoo.pairs import Pair, pair


def diffed(both: Pair, folder: Path) -> Report:
    """The candidate's dump without weights, inputs of modules, classes, versions and targets; paired by a table."""
    reference, candidate = record_both(both, folder)
    table, foreign = folder / "map.toml", folder / "foreign.h5"
    with Dump(reference) as ours, Dump(candidate) as theirs:
        outputs_of(theirs, folder / "with-weights.h5", weights=True)
        outputs_of(theirs, foreign, weights=False)
        with Dump(folder / "with-weights.h5") as known:
            table.write_text(table_text(infer(ours, known), ours, known))
    return probe.diff(reference, foreign, reference=both.reference, table=table)


def outputs_of(dump: Dump, path: Path, *, weights: bool) -> None:
    with DumpWriter(path) as writer:
        for name, (bits, dtype) in dump.inputs().items():
            writer.add_input(0, name, bits, dtype)
        for tap in dump.taps:
            if not tap.is_input:
                writer.add(tap._replace(module_class=""), dump.bits(tap))
        if weights:
            writer.add_weights(dump.weights, dump.sketches, {})


@pytest.mark.parametrize(
    ("bug", "view", "style", "dtype"),
    [
        ("eps of all norms", "llama", "transformers", "fp32"),
        ("norms swapped", "qwen2", "plain decoder", "fp32"),
        ("theta 1e4 for 5e5", "llama", "fused decoder", "fp32"),
        ("window one longer", "gemma3", "plain decoder", "bf16"),
        ("keys and values swapped", "llama", "plain decoder", "bf16"),
        ("GELU for SiLU", "qwen3", "fused decoder", "bf16"),
        ("router's weights not normalized", "mixtral", "transformers", "fp32"),
        ("rows rolled", "bert", "transformers", "fp32"),
    ],
    ids=lambda what: str(what).replace(" ", "-"),
)
def test_a_cause_is_named(tmp_path: Path, bug, view, style, dtype):
    planted = bug_named(bug)
    both = pair(planted, view, "seen", 31, style=style, dtype=dtype, scope="all" if planted.scope == "layers" else "")
    report = diffed(both, tmp_path)
    assert report.verdict is Verdict.DIVERGED
    causes = [one.cause for one in report.findings if not one.is_honest]
    assert causes
    assert set(causes) <= set(planted.causes)


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_a_clean_one_is_noise(tmp_path: Path, dtype):
    """Though it does not say what it computed in."""
    report = diffed(pair([], "llama", "seen", 31, style="fused decoder", dtype=dtype), tmp_path)
    assert report.verdict is Verdict.NOISE
    assert all(one.is_honest for one in report.findings)
