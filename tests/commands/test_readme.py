"""Every ```console block of README.md is run in an empty folder, in order, and must print what the page shows.

Figures of rounding are those of one processor: they may differ, and nothing else may.
"""

from pathlib import Path

import pytest

from tests.commands.console_blocks import console_blocks
from tests.commands.pages import assert_page_is_true

README = Path(__file__).parents[2] / "README.md"
NOT_RUN = {'probe dump hf:path/to/model --prompt "The quick brown fox" -o ref.h5': "the model is the reader's own"}
"""By its first command: why a block says no-run."""


def test_readme_prints_what_it_shows():
    assert assert_page_is_true(README.read_text(encoding="utf-8")) > 0, "README.md has no console block"


def test_every_block_that_is_not_run_has_a_reason_here():
    blocks = console_blocks(README.read_text(encoding="utf-8"))
    assert [block.commands[0].line for block in blocks if not block.runs] == list(NOT_RUN)


def page(*lines: str, how: str = "") -> str:
    return "\n".join(["# A page", f"```console{how}", *lines, "```", "$ not a command", "```sh", "$ nor this", "```"])


@pytest.mark.parametrize(
    "lines",
    [
        ("$ echo one; echo two >&2; echo three", "one", "two", "three"),
        ("$ echo one > made", "$ cat made", "one"),
        ("$ echo 'one  '", "one"),
        ("$ echo; echo one; echo", "", "one"),
        ("$ echo not shown",),
        ("$ false",),
        ("$ probe --version", "probe 0.1.0"),
    ],
    ids=repr,
)
def test_a_true_page_passes(lines: tuple[str, ...]):
    assert assert_page_is_true(page(*lines)) == sum(line.startswith("$ ") for line in lines)


@pytest.mark.parametrize(
    "lines",
    [
        ("$ echo one", "two"),
        ("$ echo one; echo two", "one"),
        ("$ echo one", "one", "two"),
        ("$ echo; echo one", "one"),
        ("$ exit 2",),
        ("$ echo one", "one", "$ no-such-command"),
        ("output", "$ echo output"),
    ],
    ids=repr,
)
def test_a_false_page_fails(lines: tuple[str, ...]):
    with pytest.raises(AssertionError):
        assert_page_is_true(page(*lines))


def test_a_block_that_says_no_run_is_not_run():
    assert assert_page_is_true(page("$ touch made", how=" no-run")) == 0
    assert not Path("made").exists()


def test_a_block_that_says_anything_else_fails():
    with pytest.raises(AssertionError, match="no-run"):
        assert_page_is_true(page("$ touch made", how=" norun"))
