"""How many tokens the cache held before a step: a plain number of the step's inputs, and not believed otherwise."""

import h5py
import numpy as np
import pytest

from probe.dump import Dump
from probe.errors import ProbeError
from tests.dump.small import small_dump

STEP = "inputs/1"


def test_a_step_without_a_number_had_nothing_before_it(tmp_path):
    with Dump(small_dump(tmp_path / "x.h5")) as dump:
        assert dump.past == {0: 0, 1: 6}


def test_it_is_an_integer_attribute_of_the_step_s_inputs(tmp_path):
    with h5py.File(small_dump(tmp_path / "x.h5")) as file:
        assert file[STEP].attrs["past"] == 6
        assert file[STEP].attrs.get_id("past").dtype == np.int64


INSTEAD = {
    "negative": np.int64(-1),
    "higher than any count": np.int64(2**31 + 1),
    "a fraction": np.float64(6),
    "several": np.arange(2),
    "a text": np.bytes_(b"6"),
    "text of any length": "6",
    "a truth": np.bool_(True),
    "nothing": h5py.Empty("i8"),
    "a pair": np.zeros((), [("a", "i8"), ("b", "i8")]),
    "a number too many": np.zeros(1 << 10),
}


@pytest.mark.parametrize("kind", INSTEAD)
def test_what_is_no_count_is_refused(tmp_path, kind):
    path = small_dump(tmp_path / "x.h5")
    with h5py.File(path, "r+") as file:
        file[STEP].attrs["past"] = INSTEAD[kind]
    with Dump(path) as dump, pytest.raises(ProbeError, match=r"is damaged: /inputs/1: its attribute 'past'"):
        dump.past  # noqa: B018
