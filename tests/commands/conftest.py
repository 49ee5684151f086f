"""`probe` in this process, in an empty folder, with a state directory of its own."""

import sys
from pathlib import Path

import pytest

from probe.cli import main
from tests.commands.running import TINY, Outcome, Refusal, Refused, Run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("NO_COLOR", "")  # the same as unset; --no-color sets it, and this puts it back
    monkeypatch.setattr(sys, "path", list(sys.path))  # a py: target's folder is put on it
    return folder


@pytest.fixture
def probe(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(probe: Run) -> Refused:
    """Runs what must end with exit code 2, nothing on stdout, and one line of error and one of hint on stderr."""

    def run(*words: object) -> Refusal:
        outcome = probe(*words)
        assert (outcome.code, outcome.out) == (2, ""), outcome
        lines = outcome.err.splitlines()
        assert [line.partition(": ")[0] for line in lines] == ["probe", "hint"], outcome.err
        return Refusal(lines[0].removeprefix("probe: error: "), lines[1].removeprefix("hint: "))

    return run


@pytest.fixture
def reference(probe: Run) -> Path:
    """A finished dump of tiny.build."""
    assert probe("dump", f"{TINY}:build", "--tokens", "1,2,3,4,5", "-o", "ref.h5").code == 0
    return Path("ref.h5")


@pytest.fixture
def faulty(probe: Run, reference: Path) -> Path:
    """The same run with block 1's own code at fault."""
    words = ["--arg", "gain=1.5", "--inputs", reference, "-o", "faulty.h5"]
    assert probe("dump", f"{TINY}:build", *words).code == 0
    return Path("faulty.h5")
