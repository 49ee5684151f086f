"""Files that are no dumps, or half of one."""

import shutil
from pathlib import Path

import h5py
import pytest

from tests.commands.running import TINY, Refused, Run


@pytest.mark.parametrize("command", [["show"], ["diff", "ref.h5"], ["dump", f"{TINY}:build", "-o", "x.h5", "--inputs"]])
def test_a_file_that_is_not_there_is_named_with_those_that_are(command, reference: Path, refused: Refused):
    refusal = refused(*command, "refx.h5")
    assert refusal.error == "refx.h5: no such file; . holds ref.h5"
    assert "probe dump" in refusal.hint


def test_a_text_file_is_no_dump(refused: Refused):
    Path("notes.h5").write_text("not a dump, although it is called so")
    assert refused("show", "notes.h5").error == "notes.h5 is not an HDF5 file"


def test_another_program_s_hdf5_file_is_no_dump(refused: Refused):
    with h5py.File("weights.h5", "w") as other:
        other["kernel"] = [1.0, 2.0]
    assert refused("show", "weights.h5").error == "weights.h5 is an HDF5 file, but not a dump of probe"


def test_a_dump_of_a_newer_version_asks_for_a_newer_probe(reference: Path, refused: Refused):
    with h5py.File(reference, "r+") as opened:
        opened.attrs["version"] = 3
    for command in (["show", reference], ["diff", reference, reference]):
        refusal = refused(*command)
        assert refusal.error == "ref.h5 is dump version 3, and this probe reads version 2"
        assert "update probe" in refusal.hint


@pytest.mark.parametrize("kept", [0, 4, 0.5, 0.999])
def test_a_truncated_dump_is_not_compared(kept: float, reference: Path, refused: Refused):
    whole = reference.read_bytes()
    Path("cut.h5").write_bytes(whole[: int(kept if kept in (0, 4) else kept * len(whole))])
    assert refused("diff", reference, "cut.h5", "--no-replay").error.startswith("cut.h5 is ")
    assert refused("show", "cut.h5").error.startswith("cut.h5 is ")


def test_an_unfinished_dump_is_shown_and_said_to_be_unfinished(probe: Run):
    assert probe("dump", f"{TINY}:raising_in_forward", "--tokens", "1,2", "-o", "cand.h5").code == 2
    assert not Path("cand.h5").exists()
    shown = probe("show", "cand.h5.partial")
    assert shown.code == 0
    assert shown.out.startswith("UNFINISHED")
    assert "embed:out" in shown.out


def test_an_unfinished_dump_is_compared_with_a_warning(reference: Path, probe: Run):
    shutil.copy(reference, "cand.h5")
    with h5py.File("cand.h5", "r+") as unfinished:
        unfinished.attrs.modify("complete", False)
    compared = probe("diff", reference, "cand.h5")
    assert compared.code == 0
    assert compared.out.startswith("WARN:")
    assert "the candidate's recording is unfinished (cand.h5)" in compared.out


def test_two_runs_of_different_inputs_are_not_compared(reference: Path, refused: Refused, probe: Run):
    probe("dump", f"{TINY}:build", "--tokens", "1,2,3,9,5", "-o", "other.h5")
    refusal = refused("diff", reference, "other.h5")
    assert refusal.error.endswith("fed different inputs: input_ids differs at 1 of 5 places, first at 3: 4 and 9")
    assert "--inputs" in refusal.hint


def test_two_models_with_nothing_in_common_are_not_compared(reference: Path, refused: Refused, probe: Run):
    probe("dump", f"{TINY}:stranger", "--inputs", reference, "-o", "other.h5")
    refusal = refused("diff", reference, "other.h5")
    assert "nothing in common" in refusal.error
    assert "--map" in refusal.hint
