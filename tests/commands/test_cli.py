"""The parser, the help, and what a command must not import."""

import shlex
from pathlib import Path

import pytest

from probe import __version__
from probe.cli import build_parser, main
from probe.commands import COMMANDS
from tests.commands.running import TINY, Run, in_new_process

NAMES = [command.__name__.rpartition(".")[2].rstrip("_") for command in COMMANDS]
HEAVY = {"torch", "numpy", "h5py", "textual", "transformers", "rich", "matplotlib", "einops", "shtab"}


def left_with(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that ends by itself, with 0."""
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]):
    text = left_with(["--help"], capsys)
    for name in NAMES:
        assert f"\n    {name} " in text
    assert "exit codes: 0 the candidate matches, 1 it diverges, 2 trouble, 130 interrupted" in text


@pytest.mark.parametrize("name", NAMES)
def test_help_of_every_command_has_examples_and_exit_codes(name: str, capsys: pytest.CaptureFixture[str]):
    text = left_with([name, "--help"], capsys)
    _, _, examples = text.partition("\nexamples:\n")
    assert examples.startswith(f"  probe {name}")
    assert "\nexit codes: " in examples
    for flag in ("--quiet", "--no-color"):
        assert flag in text


@pytest.mark.parametrize("name", NAMES)
def test_every_example_in_a_help_text_can_be_parsed(name: str, capsys: pytest.CaptureFixture[str]):
    text = left_with([name, "--help"], capsys)
    lines = [line.strip() for line in text.splitlines() if line.startswith("  probe ")]
    assert lines
    for line in lines:
        words = shlex.split(line.partition(" | ")[0])
        assert build_parser(words[1:]).parse_args(words[1:]).command == name


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]):
    assert left_with(["--version"], capsys) == f"probe {__version__}\n"


def test_a_crash_is_2_with_a_traceback_and_never_1(probe: Run, monkeypatch: pytest.MonkeyPatch):
    def run(args: object) -> bool:
        raise ZeroDivisionError("ours to fix")

    monkeypatch.setattr("probe.commands.env.run", run)
    outcome = probe("env")
    assert outcome.code == 2
    assert outcome.err.endswith("ZeroDivisionError: ours to fix\n")


def test_sys_exit_in_a_model_s_own_code_is_2_and_not_0(probe: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("probe.commands.env.run", lambda args: exit(0))
    assert probe("env").code == 2


def imported(statement: str) -> set[str]:
    outcome = in_new_process("-c", f"{statement}; import sys; print(); print(*sys.modules)")
    assert outcome.code == 0, outcome.err
    return HEAVY & set(outcome.out.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("statement", "packages"),
    [
        ("import probe.cli; probe.cli.build_parser(['dump'])", set()),
        ("import probe", set()),
        ("import probe.dump", {"numpy", "h5py"}),
        ("import probe.capture.record", {"numpy", "h5py", "torch"}),  # and so torch would be noticed above
    ],
)
def test_importing_stays_light(statement: str, packages: set[str]):
    assert imported(statement) == packages


@pytest.mark.parametrize(
    ("words", "code", "allowed"),
    [
        (["show", "ref.h5"], 0, {"numpy", "h5py", "rich"}),
        (["show", "ref.h5", "--json"], 0, {"numpy", "h5py"}),
        (["diff", "ref.h5", "faulty.h5", "--no-replay"], 1, {"numpy", "h5py", "einops", "rich"}),
        (
            ["plot", "ref.h5", "faulty.h5", "--kind", "tokens", "-o", "a.svg"],
            0,
            {"numpy", "h5py", "einops", "matplotlib"},
        ),
    ],
    ids=["show", "show --json", "diff --no-replay", "plot"],
)
@pytest.mark.usefixtures("faulty")
def test_what_runs_no_model_does_without_torch(words: list[str], code: int, allowed: set[str]):
    assert imported(f"import probe.cli; assert probe.cli.main({words!r}) == {code}") - allowed == set()


@pytest.mark.usefixtures("reference")
def test_recording_needs_no_rich_and_what_does_says_so(tmp_path: Path):
    (tmp_path / "rich.py").write_text("raise ImportError('there is no rich here', name='rich')")
    lines = [
        ["dump", f"{TINY}:build", "--inputs", "ref.h5", "-o", "x.h5"],
        ["env"],
        ["show", "x.h5", "--json"],
        ["diff", "ref.h5", "x.h5", "--json"],
        ["show", "x.h5"],
    ]
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from probe.cli import main"
    outcome = in_new_process("-c", f"{code}; print(*map(main, {lines!r}), file=sys.stderr)")
    assert outcome.err.splitlines()[-3:] == [
        "probe: error: 'probe show' cannot import what it needs: there is no rich here",
        "hint: pip install rich",
        "0 0 0 0 2",
    ]
