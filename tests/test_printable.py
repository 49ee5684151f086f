"""Anybody's text, made safe for a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.printable import printable
from probe.render.progress import say


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str):
    assert printable(text).isprintable()


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_can_be_printed_stays_as_it_is(text: str):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202e", "\\u202e"),
        ("\x9b", "\\x9b"),
        ("caf\u00e9", "caf\u00e9"),
    ],
)
def test_what_cannot_is_written_out(text: str, shown: str):
    assert printable(text) == shown


def test_what_is_said_goes_to_stderr_in_one_line_and_nowhere_when_quiet(capsys: pytest.CaptureFixture[str]):
    say("one\ntwo")
    say("three", quiet=True)
    assert capsys.readouterr() == ("", "one\\ntwo\n")
