"""[tool.probe] of a pyproject.toml: which defaults are taken, and what a file that came with a folder cannot do."""

from pathlib import Path

import pytest

from probe.cli import build_parser
from probe.commands import COMMANDS
from probe.commands.settable import REFUSED, SETTABLE
from probe.dump import Dump
from tests.commands.running import TINY, Refused, Run

FEED = (f"{TINY}:build", "--tokens", "1,2,3")
NAMES = [command.__name__.rpartition(".")[2].rstrip("_") for command in COMMANDS]


def write(text: str, folder: str = ".") -> Path:
    path = Path(folder) / "pyproject.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path.absolute()


def num_taps(path: str) -> int:
    with Dump(path) as dump:
        return len(dump.taps)


def test_a_default_is_taken_and_told(probe: Run):
    probe("dump", *FEED, "-o", "all.h5")
    file = write('[tool.probe.dump]\ninclude = ["*.norm"]\nfunctional = "none"\nstats-only = false\n')
    outcome = probe("dump", *FEED, "-o", "norms.h5")
    assert outcome.err.startswith(f"note: {file} sets --include, --functional\n")
    assert 0 < num_taps("norms.h5") < num_taps("all.h5")
    assert probe("dump", *FEED, "-o", "quiet.h5", "-q").err == ""


def test_what_is_typed_wins_and_nobody_is_told_of_the_other(probe: Run):
    write('[tool.probe.dump]\ninclude = ["*.norm"]\nsketch = 8\n')
    outcome = probe("dump", *FEED, "-o", "x.h5", "--include", "*", "--stats-only")
    assert outcome.code == 0
    assert "sets" not in outcome.err
    with Dump("x.h5") as dump:
        assert not dump.detail.has_values
        assert dump.detail.num_projections == 0


def test_the_nearest_file_that_has_a_table_counts_and_its_paths_are_its_own(
    probe: Run, faulty: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = [f'[[skip]]\nreference = "blocks.{k}"\nreason = "not asked"\n' for k in (0, 1)]
    Path("port.toml").write_text("".join(rows))
    file = write('[tool.probe.diff]\nmap = "port.toml"\n')
    write('[project]\nname = "layer-probe-user"\n', "inner")
    monkeypatch.chdir("inner")
    outcome = probe("diff", "../ref.h5", "../faulty.h5", "--no-replay")
    assert f"note: {file} sets --map\n" in outcome.err
    assert "not asked" in outcome.out


def test_the_name_of_a_shipped_table_stays_a_name(probe: Run, reference: Path):
    write('[tool.probe.diff]\nmap = "nanogtp"\n')
    assert "there is no table 'nanogtp'" in probe("diff", reference, reference, "--no-replay").err


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        ('[tool.probe.dump]\ndtpye = "fp32"', "[tool.probe.dump] dtpye is no option", "there are: compress, device,"),
        ("[tool.probe.dmup]\n", "[tool.probe.dmup] is no command", "commands: demo, dump,"),
        ('[tool.probe]\ndtype = "fp32"', "[tool.probe] dtype is no option", "there are: no-color; those of a command"),
        ("[tool.probe]\nno-color = 1", "[tool.probe] no-color is not true or false", "what it is for"),
        ('[tool.probe.dump]\nrepeat = "2"', "[tool.probe.dump] repeat is not a whole number", "what it is for"),
        ("[tool.probe.dump]\nrepeat = true", "[tool.probe.dump] repeat is not a whole number", "what it is for"),
        ("[tool.probe.dump]\ndtype = 32", "[tool.probe.dump] dtype is not a text", "what it is for"),
        ('[tool.probe.dump]\ninclude = "*"', "[tool.probe.dump] include is no list of texts", 'include = ["...'),
        ('[tool.probe.dump]\nfunctional = "some"', "[tool.probe.dump] functional is not known", "one of auto, all"),
        ('[tool]\nprobe = "x"', "tool.probe is no table", "[tool.probe] holds keys"),
        ("[tool.probe\n", "no TOML", "mend it there"),
        (f"[tool.probe]\na = {'[' * 5000}", "no TOML", "mend it there"),
    ],
    ids=lambda text: text.partition("\n")[0][:30],
)
def test_what_is_wrong_in_the_file_is_named_with_what_there_is(text: str, error: str, hint: str, refused: Refused):
    file = write(text)
    refusal = refused("dump", *FEED, "-o", "x.h5")
    assert refusal.error.startswith(str(file))
    assert error in refusal.error
    assert hint in refusal.hint
    assert not Path("x.h5").exists()


def test_a_file_that_is_there_to_be_waited_for_is_not_read_whole(refused: Refused):
    file = write("")
    with file.open("wb") as sparse:
        sparse.truncate(2**40)
    assert refused("dump", *FEED, "-o", "x.h5").error == f"{file} is larger than 1,000,000 bytes"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_file_cannot_name_what_runs_or_is_written_nor_pass_over_a_check(name: str, refused: Refused):
    write(f'[tool.probe.dump]\n{name} = "py:hostile.py:build"\n')
    refusal = refused("dump", *FEED, "-o", "x.h5")
    assert f"[tool.probe.dump] {name} may not stand in a file: it {REFUSED[name]}" in refusal.error


def test_every_option_of_every_command_is_refused_unless_it_was_decided_that_a_file_may_set_it(refused: Refused):
    commands = build_parser(NAMES)._subparsers._group_actions[0].choices  # type: ignore[union-attr, index, call-overload]
    options = {
        (command, option[2:]) for command in NAMES for option in commands[command]._option_string_actions
        if option.startswith("--")
    }  # fmt: skip
    dangerous = {"target", "reference", "arg", "attn", "trust-remote-code", "trust-anyway", "force", "output", "quiet"}
    assert dangerous <= REFUSED.keys()
    assert not SETTABLE & REFUSED.keys()
    there = {option for _, option in options}
    assert there >= SETTABLE
    assert there | {"target"} >= REFUSED.keys()
    for option in {option for command, option in options if command == "dump"} - SETTABLE:
        write(f"[tool.probe.dump]\n{option} = true\n")
        assert f" {option} " in refused("dump", *FEED, "-o", "x.h5").error


def test_defaults_that_have_no_place_beside_a_target_or_a_flag_are_left_away(probe: Run, reference: Path):
    write('[tool.probe.diff]\nno-replay = true\n[tool.probe.dump]\ndtype = "fp32"\nrepeat = 2\n')
    outcome = probe("diff", reference, reference, "--reference", f"{TINY}:build")
    assert (outcome.code, outcome.err) == (0, "")
    outcome = probe("dump", "onnx:none.onnx", "--tokens", "1")
    assert "--dtype" not in outcome.err
    assert "there is no file" in outcome.err or "none.onnx" in outcome.err


def test_a_file_that_another_wrote_is_not_read_further_than_the_word(probe: Run, reference: Path):
    write("[tool.other\n")
    assert probe("show", reference).code == 0


def test_a_working_directory_that_is_gone_has_no_file(probe: Run, reference: Path, monkeypatch: pytest.MonkeyPatch):
    path = reference.absolute()
    gone = Path("gone").absolute()
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert probe("show", path).code == 0
