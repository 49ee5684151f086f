"""A table held against two dumps: every kind of mistake is found, all of them at once, and an honest table has none."""

import pytest
import torch
from torch import nn

import probe
from probe.align.table.check import check
from probe.align.table.read import parse_table
from probe.dump import Dump


class Layer(nn.Module):
    """The second output holds another tensor; the dropout hands on what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(8, 16)
        self.narrow = nn.Linear(16, 8)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        wide = self.wide(x)
        return self.drop(self.narrow(wide)), wide


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = x + layer(x)[0]
        return x


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Dump:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("check") / "d.h5"
    model = Model().eval()
    with torch.no_grad(), probe.record(model, path):
        model(torch.randn(2, 3, 8))
    return probe.open(path)


def pair(reference: str, candidate: str, more: str = "") -> str:
    return f"[[pair]]\nreference = '{reference}'\ncandidate = '{candidate}'\n{more}\n"


HONEST = "".join(pair(name, name) for name in ("", "layers.{i}", "layers.{i}.{wide,narrow,drop}"))


def test_an_honest_table_has_no_problem_and_is_counted(dump: Dump):
    found = check(parse_table(HONEST, "t"), dump, dump)
    assert not found.problems
    assert [(row.num_places, row.num_taps) for row in found.rows] == [(1, 2), (3, 9), (9, 18)]
    assert (found.num_pairs, found.reference_only, found.candidate_only) == (29, (), ())


def test_two_places_that_hold_one_tensor_may_share_a_candidate(dump: Dump):
    text = pair("layers.{i}.narrow:out", "layers.{i}.drop:out") + pair("layers.{i}.drop:out", "layers.{i}.drop:out")
    assert not check(parse_table(text, "t"), dump, dump).problems


@pytest.mark.parametrize(
    "text",
    [
        pair("layers.0.wide", "layers.0.wide") + pair("layers.1.wide", "layers.0.wide"),
        pair("layers.{i}.wide", "layers.0.wide"),
        pair("layers.0.narrow", "layers.0.wide[0:8]") + pair("layers.1.narrow", "layers.0.wide[4:12]"),
    ],
)
def test_a_candidate_tap_that_stands_for_two_things_is_a_problem(text: str, dump: Dump):
    problems = check(parse_table(text, "t"), dump, dump).problems
    assert "layers.0.wide:out is paired with layers.1." in problems[0].message


def test_channels_that_do_not_meet_are_no_problem(dump: Dump):
    text = pair("layers.0.narrow", "layers.0.wide[0:8]") + pair("layers.1.narrow", "layers.0.wide[8:16]")
    assert not check(parse_table(text, "t"), dump, dump).problems


def test_all_that_is_wrong_is_said_at_once(dump: Dump):
    text = HONEST + "".join(
        [
            pair("nowhere", "layers.0"),
            pair("layers.0.wide", "layers.{k}.wide"),
            pair("layers.1.wide", "nowhere"),
            pair("layers.2.wide", "layers.2.narrow"),
            "[[pair]]\nreference = 'layers.0'\ncolour = 3\n",
            "[[skip]]\nreference = 'layers.7'\nreason = 'none'\n",
        ]
    )
    found = check(parse_table(text, "t"), dump, dump)
    assert sorted(problem.row[:6] for problem in found.problems) == [
        "pair 4",
        "pair 5",
        "pair 6",
        "pair 7",
        "pair 8",
        "skip 1",
    ]
    said = " ".join(problem.message for problem in found.problems)
    for words in ("no module 'nowhere'", "{k}", "shapes do not fit", "unknown key 'colour'", "no module 'layers.7'"):
        assert words in said


def test_what_no_row_speaks_of_is_listed_on_both_sides(dump: Dump):
    text = pair("layers.{i}.wide", "layers.{i}.wide") + "[[skip]]\nreference = 'layers.0.drop'\nreason = 'none there'\n"
    found = check(parse_table(text, "t"), dump, dump)
    assert found.skipped == ("layers.0.drop:in", "layers.0.drop:out")
    assert "layers.1.drop:in" in found.reference_only
    assert "layers.0.drop:in" in found.candidate_only
    assert not {"layers.0.drop:in", "layers.0.wide:out"} & set(found.reference_only)
