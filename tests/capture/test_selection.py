"""--include and --exclude choose what is recorded; what they cannot mean is an error before the model runs."""

import pytest
import torch
from torch import nn

import probe
from probe.errors import ProbeError
from tests.capture.models import Shared, fed


def model():
    layers = [nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(3)]
    return nn.Sequential(*layers)


def recorded(path, built, **chosen):
    with probe.record(built, path, **chosen):
        built(fed())
    with probe.open(path) as dump:
        return [tap.name for tap in dump.taps]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["0.0"], [], ["0.0:in", "0.0:out"]),
        (["0.0:out", "2:out"], [], ["0.0:out", "2:out"]),
        (["1*"], ["*:in"], ["1.0:out", "1.1:out", "1:out"]),
        (["?"], ["0", "2:*"], ["1:in", "1:out"]),
        ([":out"], [], [":out"]),
        (["*:out"], ["?", ":*", "*.1"], ["0.0:out", "1.0:out", "2.0:out"]),
        ([], ["*.*", "*:in"], ["0:out", "1:out", "2:out", ":out"]),
        (["[12].0:out"], [], ["1.0:out", "2.0:out"]),
    ],
)
def test_globs_choose_modules_or_taps(tmp_path, include, exclude, expected):
    assert recorded(tmp_path / "x.h5", model(), include=include, exclude=exclude) == expected


def test_a_later_call_may_be_chosen(tmp_path):
    assert recorded(tmp_path / "x.h5", Shared(), include=["first@1:out"]) == ["first@1:out"]
    assert recorded(tmp_path / "y.h5", Shared(), include=["first@*"]) == [
        f"first@{call}:{port}" for call in (1, 2) for port in ("in", "out")
    ]


@pytest.mark.parametrize("pattern", ["layers.*", "3", "0.2:out", "0.0.0", "O", "0.0@x"])
@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_glob_that_matches_no_module_is_refused_and_names_are_shown(tmp_path, option, pattern):
    with pytest.raises(ProbeError) as caught, probe.record(model(), tmp_path / "x.h5", **{option: ["0", pattern]}):
        pytest.fail("the block must not run")
    assert str(caught.value) == f"no module's name matches {pattern!r}"
    assert caught.value.hint == "names look like 0, 0.0, 0.1"
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_modules_says_so(tmp_path):
    with pytest.raises(ProbeError) as caught, probe.record(nn.Linear(4, 4), tmp_path / "x.h5", include=["weight"]):
        pytest.fail("the block must not run")
    assert caught.value.hint == "the model has no modules inside; its own taps are ':*'"


@pytest.mark.parametrize("chosen", [{"include": ["0.0:out.1"]}, {"exclude": ["*"]}])
def test_a_choice_that_leaves_nothing_is_an_error_and_no_file(tmp_path, chosen):
    with pytest.raises(ProbeError, match="no tap of what ran matches") as caught:
        recorded(tmp_path / "x.h5", model(), **chosen)
    assert "--include and --exclude" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_block_in_which_the_model_did_not_run_is_an_error_and_no_file(tmp_path):
    nothing = "no module of the model ran inside the block"
    with pytest.raises(ProbeError, match=nothing) as caught, probe.record(model(), tmp_path / "x.h5"):
        model()(fed())
    assert "call the model itself" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_chosen_is_an_input_all_the_same(tmp_path):
    recorded(tmp_path / "x.h5", model(), include=["2:out"])
    with probe.open(tmp_path / "x.h5") as dump:
        assert torch.equal(torch.from_numpy(dump.inputs()["input"][0]), fed())


def test_progress_counts_taps_and_bytes(tmp_path):
    told = []
    recorded(tmp_path / "x.h5", model(), progress=lambda *counts: told.append(counts))
    assert [taps for taps, _ in told] == list(range(1, 21))
    assert told[0][1] == fed().nbytes
    assert told[-1][1] == 7 * fed().nbytes  # the linked taps take no room
