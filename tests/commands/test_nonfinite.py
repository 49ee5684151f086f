"""NaN and infinity are no bad input: on one side alone they are a divergence, on both sides they are equal."""

import json
from pathlib import Path

import pytest

from tests.commands.running import TINY, Run

OVERFLOWS = ["nan", "inf", "-inf"]
REPLAY = pytest.mark.parametrize("how", [[], ["--no-replay"]], ids=["replayed", "not replayed"])


def overflowing(probe: Run, overflow: str, reference: Path) -> Path:
    """The reference's model, but block 1's own code makes such a number of its first channel."""
    path = Path(f"overflow{overflow}.h5")
    words = ["--arg", f"overflow={overflow}", "--inputs", reference, "-o", path]
    assert probe("dump", f"{TINY}:build", *words).code == 0
    return path


@REPLAY
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_on_one_side_alone_it_is_a_divergence_where_it_first_is(
    how: list[str], overflow: str, reference: Path, probe: Run
):
    candidate = overflowing(probe, overflow, reference)
    for pair in ([reference, candidate], [candidate, reference]):
        compared = probe("diff", *pair, "--json", *how)
        report = json.loads(compared.out)
        assert (compared.code, report["verdict"]) == (1, "diverged")
        assert report["first"]["tap"] == "blocks.1:out"
        assert report["output"]["rel_l2"] == "inf"


@REPLAY
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_at_the_same_places_on_both_sides_it_is_equal(how: list[str], overflow: str, reference: Path, probe: Run):
    candidate = overflowing(probe, overflow, reference)
    compared = probe("diff", candidate, candidate, "--json", *how)
    assert (compared.code, json.loads(compared.out)["verdict"]) == (0, "identical")


@REPLAY
def test_where_one_side_has_nan_and_the_other_infinity_they_diverge(how: list[str], reference: Path, probe: Run):
    ours, theirs = overflowing(probe, "nan", reference), overflowing(probe, "inf", reference)
    compared = probe("diff", ours, theirs, "--json", *how)
    assert (compared.code, json.loads(compared.out)["first"]["tap"]) == (1, "blocks.1:out")


def test_a_dump_shows_where_it_has_one(reference: Path, probe: Run):
    candidate = overflowing(probe, "nan", reference)
    assert "blocks.1:out  NaN!" in probe("show", candidate).out
    assert "of which 5 NaN and 0 infinite" in probe("show", candidate, "blocks.1:out").out
