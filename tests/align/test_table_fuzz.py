"""Random tables: every one ends in pairs or in problems with words, never in an exception of another kind."""

import tomllib
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import probe
from probe.align.table.check import check
from probe.align.table.read import parse_table
from probe.align.table.write import comment, quoted
from probe.dump import Dump
from probe.errors import ProbeError

NAMES = ["layers", ".", "0", "1", "{i}", "{j}", "{i+1}", "{a,b}", "{0,1}", ":", "out", "in", "@1", "norm", "proj"]
MARKS = [
    "[",
    "]",
    "0:4",
    "0:h*d",
    ",",
    "...",
    "{",
    "}",
    "*",
    "//",
    "\\",
    '"',
    "\n",
    "unpadded",
    " -> ",
    "(h d)",
    "b t c",
]
WORDS = NAMES + MARKS
TEXTS = st.lists(st.sampled_from(WORDS), max_size=7).map("".join)
VALUES = st.one_of(TEXTS, st.integers(-3, 10), st.floats(), st.booleans(), st.lists(TEXTS, max_size=3))
PAIRS = st.fixed_dictionaries(
    {"reference": st.one_of(st.just("layers.{i}.proj"), TEXTS)},
    optional={
        "candidate": st.one_of(st.just("layers.{i}.proj"), TEXTS, VALUES),
        "layout": TEXTS,
        "scale": VALUES,
        "firm": VALUES,
        "sizes": st.one_of(VALUES, st.dictionaries(st.sampled_from(["h", "d"]), st.one_of(TEXTS, st.integers()))),
    },
)
SKIPS = st.fixed_dictionaries({"reference": TEXTS}, optional={"reason": VALUES})


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dump]:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.proj(self.proj(x)).unflatten(-1, (2, 2)).flatten(-2)

    model = nn.Module()
    model.layers = nn.ModuleList(Layer() for _ in range(2))
    model.forward = lambda x: model.layers[1](model.layers[0](x))  # type: ignore[method-assign]
    path = tmp_path_factory.mktemp("fuzz") / "d.h5"
    with torch.no_grad(), probe.record(model, path):
        model(torch.randn(2, 3, 4))
    with probe.open(path) as opened:
        yield opened


def written(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {written(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return repr(value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(PAIRS, max_size=3), skips=st.lists(SKIPS, max_size=2))
def test_a_random_table_is_pairs_or_problems(dump: Dump, pairs: list[dict], skips: list[dict]):
    rows = [("pair", row) for row in pairs] + [("skip", row) for row in skips]
    lines = [
        f"[[{kind}]]\n" + "".join(f"{key} = {written(value)}\n" for key, value in row.items()) for kind, row in rows
    ]
    text = "".join(lines) or "[sizes]\n"
    tomllib.loads(text)
    found = check(parse_table(text, "t"), dump, dump)
    for problem in found.problems:
        assert problem.message
        assert problem.hint
        assert len(problem.message) <= 300


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_are_a_table_or_one_line_of_error(content: bytes):
    said = ""
    try:
        parse_table(content.decode("latin-1"), "t")
    except ProbeError as error:
        said = str(error)
    assert "\n" not in said


@given(st.text())
def test_any_text_survives_in_a_string_and_none_leaves_its_comment(text: str):
    table = f"# {comment(text)}\na = {quoted(text)}\n"
    assert tomllib.loads(table) == {"a": text}
