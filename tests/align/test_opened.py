"""Two dumps side by side: rows of both and values in one layout, of files opened here or by the caller."""

import h5py
import numpy as np
import pytest

from probe.align.opened import Opened, opened
from probe.dump import Dump
from probe.errors import ProbeError
from tests.stepwise import record_steps
from tests.tiny_decoders import ids, tiny
from tests.tui import made

TAP = f"{made.ATTENTION}:out"


@pytest.fixture
def paths(tmp_path):
    both = tmp_path / "ref.h5", tmp_path / "cand.h5"
    for path, bugs in zip(both, (False, True), strict=True):
        made.write(path, bugs=bugs)
    return both


def test_a_tap_has_both_sides_rows_and_values(paths):
    with opened(*paths) as files:
        both = files.tap(0, TAP)
        assert both.reference.name == both.candidate[0].name == TAP
        for side, values in zip((False, True), both.read(), strict=True):
            np.testing.assert_array_equal(values, made.arrays(bugs=side)[TAP])
        assert files.num_tokens(0) == made.TOKENS
        with pytest.raises(ProbeError, match=r"no tap 'model\.layers\.0:nothing'"):
            files.tap(0, "model.layers.0:nothing")


def test_what_is_opened_here_is_closed_and_what_a_caller_opened_is_not(paths):
    with Dump(paths[0]) as ours:
        with opened(ours, paths[1]) as files:
            candidate = files.dumps[1]
        assert ours[TAP].shape == (1, made.TOKENS, made.CHANNELS)
        with pytest.raises((ProbeError, ValueError)):
            candidate.attribute("target")
    h5py.File(paths[1], "r+").close()


def test_a_lone_dump_has_no_other_side(paths):
    with Dump(paths[0]) as dump:
        alone = Opened((dump,))
        both = alone.tap(0, TAP)
        assert both.pair is None
        assert both.read()[1] is None
        assert alone.partners("model.norm") == ["model.norm"]


def test_within_a_block_the_same_dumps_are_not_aligned_again(paths):
    with Dump(paths[0]) as ours, Dump(paths[1]) as theirs:
        with opened(ours, theirs) as outer:
            with opened(ours, theirs) as inner:
                assert inner is outer
            with opened(theirs, ours) as other, opened(ours, theirs) as again:
                assert other.dumps[0] is not outer.dumps[0]
                assert again.dumps[0].path == outer.dumps[0].path
            with opened(ours, theirs) as inner:
                assert inner is outer
        with opened(ours, theirs) as later:
            assert later is not outer


def test_a_tap_of_steps_that_go_on_from_each_other_is_the_whole_sequence_s(tmp_path):
    paths = [record_steps(tiny("llama"), tmp_path / f"{side}.h5", ids(7), [4, 1, 1, 1]) for side in ("r", "c")]
    with opened(*paths) as files:
        both = files.tap(0, "model.layers.0:out")
        r, c = both.read()
        assert both.reference.shape == both.candidate[0].shape == r.shape == c.shape == (2, 7, 16)
        assert files.dumps[0]["model.layers.0:out"].shape == (2, 7, 16)
        with pytest.raises(ProbeError, match="no step 1"):
            files.tap(1, "model.layers.0:out")
