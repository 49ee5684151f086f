"""Names of modules are written by strangers: whatever is in one, its tensor is found under it, and no other."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from probe.dump import Dump, DumpWriter, Sketches, Weight, projections
from probe.dump.names import clean, link_name, linked_name
from probe.tap import UNMEASURED, Tap
from tests.dump.small import written

HOSTILE = [
    "a/b", "/", "//", "%", "%2F", "%252F", "%25", ".", "..", "./x", "...", "a\0b", "\0", "a\\x00b", "\r\n\x1b[2J",
    "\N{BELL}", "\ud800", "e\u0301", "\u00e9", "\u202eabc", "\N{PILE OF POO}", " ", "steps/0/x", "taps", "x" * 70_000,
]  # fmt: skip
ANY_TEXT = st.text(st.characters(exclude_categories=()), min_size=1, max_size=30)
NAMES = st.lists(st.one_of(ANY_TEXT, st.sampled_from(HOSTILE)), min_size=1, max_size=8, unique_by=clean)


def number(value):
    return np.array(value, np.int64), "int64"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("names") / "names.h5"


@settings(deadline=None, max_examples=60)
@example(names=[name for name in HOSTILE if name != "a\\x00b"])
@given(names=NAMES)
def test_every_tap_is_found_under_its_own_name(path, names):
    with Dump(written(path, {name: number(place) for place, name in enumerate(names)})) as dump:
        assert [int(dump[name]) for name in names] == list(range(len(names)))
        assert [tap.name for tap in dump.taps] == [clean(name) for name in names]


@settings(deadline=None, max_examples=60)
@example(names=[name for name in HOSTILE if name != "a\\x00b"])
@given(names=NAMES)
def test_inputs_keep_their_names_and_their_order(path, names):
    with DumpWriter(path, force=True) as writer:
        for place, name in enumerate(names):
            writer.add_input(0, name, *number(place))
    with Dump(path) as dump:
        found = {name: int(bits) for name, (bits, _) in dump.inputs().items()}
    assert list(found.items()) == [(clean(name), place) for place, name in enumerate(names)]


@settings(deadline=None, max_examples=40)
@given(names=NAMES)
def test_weights_are_found_under_their_names(path, names):
    rows = [Weight(name, "", "", (), "int64", UNMEASURED, place, 1, 0, 0) for place, name in enumerate(names)]
    sketches = Sketches(np.ones(len(names), np.float32), projections(len(names)).astype(np.float16))
    with DumpWriter(path, force=True) as writer:
        writer.add_weights(rows, sketches, {name: number(place) for place, name in enumerate(names)})
    with Dump(path) as dump:
        assert [weight.name for weight in dump.weights] == [clean(name) for name in names]
        assert [int(dump.weight_value(name, "int64")) for name in names] == list(range(len(names)))
        assert dump.weight_value("no such weight", "int64") is None


@settings(deadline=None)
@given(name=ANY_TEXT)
def test_a_link_says_the_name_that_it_was_made_of(name):
    link = link_name(name)
    assert linked_name(link) == clean(name)
    assert b"/" not in link
    assert b"\0" not in link
    assert link != b"."


@settings(deadline=None)
@given(names=NAMES)
def test_no_two_names_make_one_link(names):
    assert len({link_name(name) for name in names}) == len(names)


@settings(deadline=None, max_examples=40)
@given(texts=st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT))
def test_module_class_and_port_come_back(path, texts):
    module, kind, port = texts
    with DumpWriter(path, force=True) as writer:
        writer.add(Tap("x:out", module, kind, 7, port, 3, 9, (2,), "int64"), np.zeros(2, np.int64))
    with Dump(path) as dump:
        (tap,) = dump.taps
    assert (tap.module, tap.module_class, tap.port) == tuple(map(clean, texts))
    assert (tap.call, tap.step, tap.order, tap.shape, tap.dtype) == (7, 3, 9, (2,), "int64")


def test_a_longer_name_than_all_before_leaves_those_as_they_were(tmp_path):
    names = [f"layer{'x' * length}:out" for length in (1, 15, 16, 17, 900, 3, 5000)]
    with DumpWriter(tmp_path / "x.h5") as writer:
        for place, name in enumerate(names):
            bits, dtype = number(place)
            writer.add(Tap(name, name, "Linear", 0, "out", 0, place, (), dtype), bits)
            writer.flush()
    with Dump(tmp_path / "x.h5") as dump:
        assert [(tap.name, tap.module, tap.order) for tap in dump.taps] == [(n, n, i) for i, n in enumerate(names)]
        assert [int(dump[name]) for name in names] == list(range(len(names)))
