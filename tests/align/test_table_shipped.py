"""Tables that come with probe: each is held against a port that is built here for real."""

from pathlib import Path

import numpy as np
import pytest
import torch

import probe
from probe.align.mapping import Mapping, candidate_values
from probe.align.table.apply import pairs_of_table
from probe.align.table.check import check
from probe.align.table.merge import merged
from probe.align.table.read import read_table
from probe.align.table.shipped import shipped_names
from probe.dump import Dump
from probe.dump.unpadded import kept_tokens
from probe.errors import ProbeError
from tests.ports.styles import STYLES
from tests.ports.truth import counterpart, true_values
from tests.zoo.architectures import Size

PORTS = {"nanogpt": "gpt2, nanoGPT", "fused-llama": "llama, fused"}
SIZES = [(Size(layers=2), 0), (Size(hidden=96, layers=3, heads=6), 5)]


def recorded(name: str, size: Size, seed: int, folder: Path) -> tuple[Dump, Dump]:
    style = next(style for style in STYLES if style.name == PORTS[name])
    reference = style.reference(size, seed)
    for model, inputs, side in zip((reference, style.candidate(reference)), style.fed(seed), "rc", strict=True):
        with torch.no_grad(), probe.record(model, folder / f"{side}.h5", functional="none"):
            model(**inputs)
    return probe.open(folder / "r.h5"), probe.open(folder / "c.h5")


def test_every_shipped_table_has_a_port():
    of_files = {name for name in shipped_names() if name.startswith("gguf-")}  # tests/converted has those
    assert set(shipped_names()) - of_files == set(PORTS)


@pytest.mark.parametrize("name", PORTS)
@pytest.mark.parametrize(("size", "seed"), SIZES)
def test_a_shipped_table_alone_pairs_equal_numbers_and_leaves_nothing_out(name, size, seed, tmp_path: Path):
    with (sides := recorded(name, size, seed, tmp_path))[0] as reference, sides[1] as candidate:
        table = read_table(Path(name))
        mapping = merged(pairs_of_table(table, reference, candidate), Mapping((), (), ()), reference, candidate)
        assert not check(table, reference, candidate).problems
        assert not mapping.reference_only
        for pair in mapping.pairs:
            values = reference.read(pair.reference).astype(np.float64)
            other = candidate_values(pair, candidate, None).astype(np.float64)
            assert np.linalg.norm(other - values) <= 1e-5 * np.linalg.norm(values), pair.reference.name


@pytest.mark.parametrize("name", PORTS)
def test_a_shipped_table_pairs_what_the_port_s_author_says(name, tmp_path: Path):
    style = next(style for style in STYLES if style.name == PORTS[name])
    with (sides := recorded(name, *SIZES[0], tmp_path))[0] as reference, sides[1] as candidate:
        mapping = merged(
            pairs_of_table(read_table(Path(name)), reference, candidate), Mapping((), (), ()), reference, candidate
        )
        pairs = {pair.reference.name: pair for pair in mapping.pairs}
        for tap in reference.taps:
            said = counterpart(style.truth, tap)
            assert (said is not None) == (tap.name in pairs), tap.name
            if said is not None:
                truth = true_values(said, candidate, tap.shape, kept_tokens(reference))
                assert np.array_equal(candidate_values(pairs[tap.name], candidate, None), truth), tap.name


def test_a_table_of_another_family_says_so(tmp_path: Path):
    with (sides := recorded("nanogpt", *SIZES[0], tmp_path))[0] as reference, sides[1] as candidate:
        problems = check(read_table(Path("fused-llama")), reference, candidate).problems
    assert "the candidate has no module 'output'" in problems[0].message


def test_a_bare_name_that_is_no_table_lists_those_that_are():
    with pytest.raises(ProbeError, match=r"no table 'nosuch': those that come with probe are fused-llama, .*, nanogpt"):
        read_table(Path("nosuch"))


def test_a_file_of_that_name_comes_before_the_shipped_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("nanogpt").write_text('[[skip]]\nreference = "x"\nreason = "mine"\n')
    assert [row.reason for row in read_table(Path("nanogpt")).rows] == ["mine"]
