"""Nothing in a dump is ever executed: its py: target only by who recorded it, and only as it was recorded."""

import json
from pathlib import Path
from typing import Any

import h5py
import pytest

from tests.commands.running import TINY, Run

MARKER = Path("imported")
"""Made by the code that a dump names, as soon as that is imported."""


@pytest.fixture
def own(here: Path, probe: Run) -> Path:
    """A dump of this user's, whose target leaves a mark."""
    Path("marking.py").write_text(
        f"from pathlib import Path\nPath({str(here / MARKER)!r}).touch()\nfrom tests.commands.tiny import build\n"
    )
    assert probe("dump", "py:marking.py:build", "--arg", "seed=0", "--tokens", "1,2,3", "-o", "own.h5").code == 0
    assert MARKER.exists()
    MARKER.unlink()
    return Path("own.h5")


@pytest.fixture
def foreign(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same dump, after its recorder has become somebody else, who has a key too."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "somebody-else"))
    return own


@pytest.fixture
def candidate(own: Path, probe: Run) -> Path:
    words = ["--arg", "gain=1.5", "--inputs", own, "-o", "cand.h5"]
    assert probe("dump", f"{TINY}:build", *words).code == 0
    return Path("cand.h5")


def change_target(dump: Path, **changes: Any) -> None:
    with h5py.File(dump, "r+") as opened:
        target = json.loads(opened.attrs["target"]) | changes
        raw = json.dumps({key: value for key, value in target.items() if value is not None}).encode()
        opened.attrs.create("target", raw, dtype=h5py.string_dtype("utf-8", len(raw)))


def assert_compared_without_running_it(dump: Path, candidate: Path, probe: Run) -> None:
    compared = probe("diff", dump, candidate, "--json")
    assert not MARKER.exists()
    report = json.loads(compared.out)
    assert (compared.code, report["verdict"], report["replayed"]) == (1, "diverged", False)
    [warning] = [check["message"] for check in report["trust"] if check["status"] == "warn"]
    assert "was not recorded by you on this machine, so the code it names is not run" in warning
    assert "places are approximate" in warning
    assert "name it yourself: --reference " in warning
    assert probe("diff", dump, candidate).out.startswith("WARN:")


def test_what_i_recorded_is_loaded_again(own: Path, candidate: Path, probe: Run):
    compared = probe("diff", own, candidate, "--json")
    assert MARKER.exists()
    assert (compared.code, json.loads(compared.out)["replayed"]) == (1, True)


def test_what_somebody_else_recorded_is_compared_and_not_run(foreign: Path, candidate: Path, probe: Run):
    assert_compared_without_running_it(foreign, candidate, probe)


def test_without_any_key_it_is_not_run_and_no_key_is_made(
    own: Path, candidate: Path, probe: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "nobody"))
    assert_compared_without_running_it(own, candidate, probe)
    assert not (tmp_path / "nobody").exists()


@pytest.mark.parametrize("signature", [None, "", "0" * 64, "\u00e9", 0, ["0" * 64]], ids=repr)
def test_a_forged_signature_is_none(signature: object, own: Path, candidate: Path, probe: Run):
    change_target(own, signature=signature)
    assert_compared_without_running_it(own, candidate, probe)


def test_a_signature_transplanted_from_my_own_dump_is_none(foreign: Path, candidate: Path, probe: Run):
    probe("dump", f"{TINY}:build", "--tokens", "1,2,3", "-o", "mine.h5")
    with h5py.File("mine.h5", "r") as mine:
        change_target(foreign, signature=json.loads(mine.attrs["target"])["signature"])
    assert_compared_without_running_it(foreign, candidate, probe)


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {"seed": 0, "overflow": "nan"}},
        {"arguments": {}},
        {"arguments": {"seed": 0.0}},
        {"place": f"{Path(TINY.removeprefix('py:'))}:build"},
        {"kind": "py "},
    ],
    ids=repr,
)
def test_a_changed_target_has_lost_its_signature(changes: dict[str, Any], own: Path, candidate: Path, probe: Run):
    change_target(own, **changes)
    assert_compared_without_running_it(own, candidate, probe)


def test_named_again_it_is_run_as_its_hint_says(foreign: Path, candidate: Path, probe: Run, here: Path):
    words = ["--reference", f"py:{here}/marking.py:build", "--arg", "seed=0"]
    assert f"name it yourself: {' '.join(words)}" in " ".join(probe("diff", foreign, candidate).out.split())
    compared = probe("diff", foreign, candidate, "--json", *words)
    assert MARKER.exists()
    assert (compared.code, json.loads(compared.out)["replayed"]) == (1, True)


def test_showing_and_feeding_from_a_dump_run_nothing(foreign: Path, probe: Run):
    assert probe("show", foreign).code == 0
    assert probe("show", foreign, "head:out").code == 0
    assert probe("dump", f"{TINY}:build", "--inputs", foreign, "-o", "x.h5").code == 0
    assert not MARKER.exists()
