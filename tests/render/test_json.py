"""JSON as programs can read it."""

import json
import math
from contextlib import redirect_stdout
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.render.json import print_json

numbers = st.floats() | st.integers() | st.complex_numbers() | st.booleans() | st.none() | st.text()
values = st.recursive(numbers, lambda child: st.lists(child) | st.dictionaries(st.text(), child) | st.tuples(child))


@settings(max_examples=40)
@given(values)
def test_whatever_holds_numbers_becomes_json_without_nan(value: object):
    def refuse(token: str) -> None:
        raise AssertionError(token)

    with redirect_stdout(StringIO()) as printed:
        print_json(value)
    json.loads(printed.getvalue(), parse_constant=refuse)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), (1 + 2j, "(1+2j)"), (0.1, 0.1), (2**63, 2**63)],
)
def test_what_json_has_no_number_for_becomes_a_word(value: object, shown: object, capsys: pytest.CaptureFixture[str]):
    print_json({"value": [value]})
    assert json.loads(capsys.readouterr().out) == {"value": [shown]}
