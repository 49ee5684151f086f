"""The smallest parts of a table's language: arithmetic, sizes by name, einops shapes, names with {i} and {q,k,v}."""

import re

import einops
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.align.table.arithmetic import evaluate
from probe.align.table.names import Names, alternatives, with_indices
from probe.align.table.pattern import result_shape
from probe.align.table.sizes import Sizes

NUMBERS = {"a": 3, "b.c": 7}
LEAVES = st.one_of(st.integers(0, 99).map(str), st.sampled_from(["a", "b.c"]))
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "//", " + "]), inner).map("".join), inner.map("({})".format)
    ),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_arithmetic_is_python_s(expression: str):
    plain = expression.replace("b.c", "7").replace("a", "3")
    plain = re.sub(r"\b0+(?=\d)", "", plain)
    try:
        expected = eval(plain)  # of generated digits and signs alone
    except ZeroDivisionError:
        with pytest.raises(ValueError, match="divides by zero"):
            evaluate(expression, NUMBERS.__getitem__)
    else:
        assert evaluate(expression, NUMBERS.__getitem__) == expected


@pytest.mark.parametrize(
    "expression",
    ["", "1 +", "(1", "1)", "2**9", "1/2", "a b", "__import__('os')", "-1", "1.5", "()", "a[0]", "1" * 201, "(" * 300],
)
def test_arithmetic_that_is_none_is_refused_in_words(expression: str):
    with pytest.raises(ValueError, match=r"cannot read|longer than"):
        evaluate(expression, NUMBERS.__getitem__)


def test_a_size_is_the_table_s_before_the_config_s_and_may_be_made_of_others():
    sizes = Sizes({"q": "heads * d", "d": 16}, {"heads": 4, "d": 99, "text": {"layers": 3}, "flag": True})
    assert (sizes.value("q"), sizes.value("d+text.layers"), sizes.value(5)) == (64, 19, 5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": "b", "b": "a + 1"}, "'a' is given in terms of itself: a -> b -> a"),
        ({"a": "a"}, "in terms of itself: a -> a"),
        ({"a": "layers.x"}, "'layers.x' is neither in \\[sizes\\] nor in the reference's config"),
        ({"a": "flag"}, "'flag' is no whole number in the reference's config"),
    ],
)
def test_a_size_that_leads_nowhere_says_so(given: dict[str, int | str], said: str):
    with pytest.raises(ValueError, match=said):
        Sizes(given, {"layers": 2, "flag": True}).value("a")


@pytest.mark.parametrize(
    ("pattern", "shape", "sizes"),
    [
        ("b t (h d) -> b h t d", (2, 5, 12), {"h": 4}),
        ("(b t) (h d) -> b h t d", (10, 12), {"b": 2, "h": 4}),
        ("b h t d -> b t (h d)", (2, 4, 5, 3), {}),
        ("t b c -> b t c", (5, 2, 7), {}),
        ("... a b -> ... b a", (2, 3, 4, 5), {}),
        ("b 1 c -> c b", (2, 1, 3), {}),
        ("b (g h r) -> b h (g r)", (2, 24), {"g": 2, "r": 3}),
    ],
)
def test_a_pattern_s_shape_is_einops_s(pattern: str, shape: tuple[int, ...], sizes: dict[str, int]):
    expected = einops.rearrange(np.zeros(shape), pattern, **sizes).shape
    made, taken = result_shape(pattern, shape, sizes, ())
    assert made == expected
    assert einops.rearrange(np.zeros(shape), pattern, **taken).shape == expected


def test_what_shape_is_wanted_tells_sizes_too():
    assert result_shape("(b t) (h d) -> b t (h d)", (10, 12), {"h": 3}, (2, 5, 12))[1] == {
        "b": 2,
        "t": 5,
        "h": 3,
        "d": 4,
    }


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("b t c", "is no einops pattern"),
        ("b t -> t b", "is for 2 axes, and the candidate has 3"),
        ("b t c -> b t", "do not hold the same axes"),
        ("b b c -> b c", "do not hold the same axes"),
        ("b t (h d) -> b h t d", "the sizes of h and d in .* are not known"),
        ("b t (five d) -> b five t d", "an axis of 12 is not \\(five d\\) with five = 5"),
        ("b (t c -> b t c", "stays open"),
        ("b t) c -> b t c", "cannot read the einops pattern"),
        ("b [t] c -> b t c", "cannot read the einops pattern"),
        ("b ((t)) c -> b t c", "cannot read the einops pattern"),
    ],
)
def test_a_pattern_that_does_not_fit_says_why(pattern: str, said: str):
    with pytest.raises(ValueError, match=said):
        result_shape(pattern, (2, 5, 12), {"five": 5}, ())


def test_alternatives_are_chosen_in_parallel():
    rows = alternatives("x.{q,k}_{a, b}", ("y.{Q,K}[{0:2,2:4}]", "shared"))
    assert rows[0] == ("x.q_a", ("y.Q[0:2]", "shared"))
    assert [row[1][0] for row in rows] == ["y.Q[0:2]", "y.Q[2:4]", "y.K[0:2]", "y.K[2:4]"]


@pytest.mark.parametrize(
    ("reference", "candidates", "said"),
    [
        ("x.{q,k}", ("y.{q,k,v}",), "other numbers of alternatives"),
        ("x.{q,k}", ("y",), "all would be the same tap"),
        ("x", ("y.{q,k}",), "other numbers of alternatives"),
        ("{" + ",".join("ab" * 40) + "}{" + ",".join("ab" * 40) + "}", ("y",), "more than 4096 rows"),
    ],
)
def test_alternatives_that_are_not_parallel_are_refused(reference: str, candidates: tuple[str, ...], said: str):
    with pytest.raises(ValueError, match=said):
        alternatives(reference, candidates)


def test_a_template_stands_for_numbers_alone():
    names = Names(["h.1.a", "h.10.a", "h.x.a", "h.1.a.b", "h.1.1", "h.1.2", "layer_3", "h.1"])
    assert [name for name, _ in names.matching("h.{i}.a")] == ["h.1.a", "h.10.a"]
    assert [name for name, _ in names.matching("h.{i}.{i}")] == ["h.1.1"]
    assert names.matching("layer_{j}") == [("layer_3", {"j": "3"})]
    assert names.matching("h.1") == [("h.1", {})]  # not h.10
    assert with_indices("b.{i+1}.{i}", {"i": "9"}) == "b.10.9"


@pytest.mark.parametrize("template", ["h.{i}{j}", "h.1{i}", "h.{i", "h.{ij}", "h.{I}", "h.i}"])
def test_a_template_that_can_be_read_in_two_ways_is_refused(template: str):
    with pytest.raises(ValueError, match=r"whose|braces"):
        Names(["h.1"]).matching(template)


@pytest.mark.parametrize("text", ["b.{j}", "b.{i*2}", "b.{", "b.{i+}"])
def test_a_number_that_the_reference_does_not_have_is_refused(text: str):
    with pytest.raises(ValueError, match=r"is not in the reference|cannot read the braces"):
        with_indices(text, {"i": "1"})
