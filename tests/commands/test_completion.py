"""`probe --print-completion`: what a real shell makes of the script."""

import subprocess
from pathlib import Path

import pytest

from probe.cli import main
from tests.commands.running import in_new_process

TAB = """
source ./script
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_shtab_probe
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What bash does when the last of the words is followed by a TAB."""


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as left:
        main(["--print-completion", shell])
    assert left.value.code == 0
    return capsys.readouterr().out


def completed(*words: str) -> set[str]:
    done = subprocess.run(["bash", "-c", TAB, "bash", *words], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completes_commands_options_choices_and_files(capsys: pytest.CaptureFixture[str]):
    Path("script").write_text(script("bash", capsys))
    for name in ("ref.h5", "cand.h5", "port.toml"):
        Path(name).touch()
    assert completed("probe", "di") == {"diff"}
    assert completed("probe", "diff", "--no-r") == {"--no-replay"}
    assert completed("probe", "diff", "r") == {"ref.h5"}
    assert completed("probe", "diff", "ref.h5", "c") == {"cand.h5"}
    assert completed("probe", "diff", "ref.h5", "cand.h5", "--map", "p") == {"port.toml"}
    assert completed("probe", "dump", "hf:x", "--functional", "a") == {"auto", "all", "attention"}
    assert completed("probe", "dump", "hf:x", "--inputs", "r") == {"ref.h5"}


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_every_command_too(shell: str, capsys: pytest.CaptureFixture[str]):
    text = script(shell, capsys)
    assert "selftest" in text
    assert "no-replay" in text


def test_without_shtab_the_one_command_that_installs_it_is_named(tmp_path: Path):
    (tmp_path / "shtab.py").write_text("raise ImportError('there is no shtab here', name='shtab')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from probe.cli import main"
    outcome = in_new_process("-c", f"{code}; sys.exit(main(['--print-completion', 'bash']))")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines() == [
        "probe: error: --print-completion needs shtab",
        "hint: pip install shtab",
    ]
