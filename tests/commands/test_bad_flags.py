"""Flags that are wrong, missing or without effect: said before anything is run, and never passed over in silence."""

from pathlib import Path

import pytest

from tests.commands.running import TINY, Refused, Run

TOKENS = ["--tokens", "1,2"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "nothing to feed the model"),
        (["--tokens", "1,x"], "these are no token ids: invalid literal for int() with base 10: 'x'"),
        (["--tokens", "1.5"], "these are no token ids: invalid literal for int() with base 10: '1.5'"),
        (["--tokens", "[1, 2.5]"], "these are no token ids: rows of whole numbers are needed"),
        (["--tokens", "[[[1]]]"], "these are no token ids: rows of whole numbers are needed"),
        (["--tokens", "1,2;3"], "these are no token ids: expected sequence of length 2 at dim 1 (got 1)"),
        (["--tokens", ""], "there is not one token to feed the model"),
        (["--tokens", "1,32"], "token id 32 is outside the vocabulary of 32"),
        (["--tokens=-1,3"], "token id -1 is outside the vocabulary of 32"),
        (["--tokens-file", "ids.txt"], "cannot read ids.txt: [Errno 2] No such file or directory: 'ids.txt'"),
        (["--random-tokens", "0"], "--random-tokens 0: at least 1 is needed"),
        (["--prompt", "Hello"], "--prompt needs a tokenizer, and only an hf: target has one"),
        ([*TOKENS, "--arg", "gain"], "--arg 'gain' is not KEY=VALUE"),
        ([*TOKENS, "--arg", "no-name=1"], "--arg 'no-name=1' is not KEY=VALUE"),
        ([*TOKENS, "--arg", "colour=1"], f"{TINY}:build raised TypeError: build() got an unexpected keyword argument"),
        ([*TOKENS, "--include", "decoder.*"], "no module's name matches 'decoder.*'"),
    ],
)
def test_what_a_model_cannot_be_fed_or_given_is_said(words: list[str], error: str, refused: Refused):
    assert refused("dump", f"{TINY}:build", "-o", "x.h5", *words).error.startswith(error)
    assert not Path("x.h5").exists()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--seed", "0"], "--seed has no effect without --random-tokens"),
        (["--attn", "sdpa"], "--attn has no effect on a py: target"),
        (["--trust-remote-code"], "--trust-remote-code has no effect on a py: target"),
    ],
)
def test_a_flag_of_dump_without_effect_says_so(words: list[str], error: str, refused: Refused):
    assert refused("dump", f"{TINY}:build", *TOKENS, "-o", "x.h5", *words).error == error
    assert not Path("x.h5").exists()


def test_arguments_of_a_function_have_no_effect_on_an_hf_target(refused: Refused):
    assert refused("dump", "hf:.", *TOKENS, "--arg", "a=1").error == "--arg has no effect on an hf: target"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--no-replay", "--reference", f"{TINY}:build"], "--reference has no effect with --no-replay"),
        (["--no-replay", "--trust-remote-code"], "--trust-remote-code has no effect with --no-replay"),
        (["--trust-remote-code"], "--trust-remote-code has no effect on a py: target"),
        (["--arg", "gain=1"], "--arg has no effect without --reference"),
    ],
)
def test_a_flag_of_diff_without_effect_says_so(words: list[str], error: str, reference: Path, refused: Refused):
    assert refused("diff", reference, reference, *words).error == error


def test_a_step_without_a_tap_has_no_effect_on_show(reference: Path, refused: Refused):
    assert refused("show", reference, "--step", "1").error == "--step has no effect without TAP"


def test_a_dump_is_never_overwritten_without_force(reference: Path, refused: Refused, probe: Run):
    before = reference.read_bytes()
    refusal = refused("dump", f"{TINY}:raising", *TOKENS, "-o", reference)  # said before the factory is called
    assert refusal.error == "ref.h5 exists already"
    assert "--force" in refusal.hint
    assert reference.read_bytes() == before
    assert probe("dump", f"{TINY}:build", *TOKENS, "-o", reference, "--force").code == 0
    assert reference.read_bytes() != before


def test_a_folder_that_is_missing_is_said_before_the_model_is_loaded(refused: Refused):
    refusal = refused("dump", f"{TINY}:raising", *TOKENS, "-o", "results/x.h5")
    assert (refusal.error, refusal.hint) == ("there is no folder results", "mkdir -p results")


def test_a_folder_is_no_dump_s_name(refused: Refused):
    Path("results").mkdir()
    refusal = refused("dump", f"{TINY}:raising", *TOKENS, "-o", "results", "--force")
    assert refusal.error == "results is a folder"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["dmup"],
        ["diff", "ref.h5"],
        ["show", "ref.h5", "--colour"],
        ["dump", "py:a.py:b", "--random-tokens", "many"],
        ["dump", "py:a.py:b", *TOKENS, "--prompt", "both"],
    ],
    ids=" ".join,
)
def test_words_that_no_command_takes_end_with_2(words: list[str], probe: Run, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        probe(*words)
    assert left.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "usage: probe" in output.err
