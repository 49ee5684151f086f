"""A dump that a stranger made leads nowhere outside itself, and is not believed about sizes or types."""

import h5py
import numpy as np
import pytest

from probe.dump import Dump, DumpWriter, Sketches, Weight, projections
from probe.dump.dtypes import file_type
from probe.errors import ProbeError
from probe.tap import UNMEASURED
from tests.dump.small import everything, small_dump

TAP = "steps/0/0:in"
SHAPE = (2, 12)


def refusal(path):
    with pytest.raises(ProbeError) as caught:
        everything(path)
    assert caught.value.hint == "copy it or record it again"
    return str(caught.value)


def with_something_else(path, name, make):
    """A small dump in which `make(file, name)` stands where `name` was."""
    with h5py.File(small_dump(path), "r+") as file:
        del file[name]
        make(file, name)
    return path


def link_to(link):
    def make(file, name):
        file[name] = link

    return make


def external_storage(file, name):
    secret = f"{file.filename}.secret"
    np.arange(24, dtype=np.float32).tofile(secret)
    file.create_dataset(name, SHAPE, "f4", external=[(secret, 0, 96)])


def virtual(file, name):
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource(f"{file.filename}.other", "x", SHAPE)
    file.create_virtual_dataset(name, layout)


def huge(file, name):
    file.create_dataset(name, (10**12,), "f4")


def squeezed(file, name):
    file.create_dataset(name, SHAPE, "f4", compression="gzip")


def compact(file, name):
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(file.id, name.encode(), file_type("float32"), h5py.h5s.create_simple(SHAPE), dcpl=plan)


def never_written(file, name):
    file.create_dataset(name, SHAPE, "f4")


def of_type(kind):
    return lambda file, name: file.create_dataset(name, data=np.zeros(SHAPE, kind))


INSTEAD_OF_VALUES = {
    "nothing": (lambda file, name: None, "it is missing"),
    "a soft link": (link_to(h5py.SoftLink("/steps/0/0:out")), "is a link to somewhere else"),
    "a dangling link": (link_to(h5py.SoftLink("/nowhere")), "is a link to somewhere else"),
    "an external link": (link_to(h5py.ExternalLink("/etc/passwd", "/x")), "is a link to somewhere else"),
    "external storage": (external_storage, "do not lie in one piece inside the file"),
    "a virtual dataset": (virtual, "do not lie in one piece inside the file"),
    "compressed values": (squeezed, "do not lie in one piece inside the file"),
    "compact values": (compact, "do not lie in one piece inside the file"),
    "values never written": (never_written, "the file is shorter than its tables say"),
    "a trillion elements": (huge, "it has shape (1000000000000,) where its table says (2, 12)"),
    "another type": (of_type("f8"), "it is not of the type that its table gives, float32"),
    "bytes in the other order": (of_type(">f4"), "it is not of the type that its table gives, float32"),
    "a group": (lambda file, name: file.create_group(name), "is no dataset"),
    "a named type": (lambda file, name: file.__setitem__(name, np.dtype("f4")), "is no dataset"),
    "no values": (lambda file, name: file.__setitem__(name, h5py.Empty("f4")), "it has shape None"),
}


@pytest.mark.parametrize("kind", INSTEAD_OF_VALUES)
def test_what_stands_in_place_of_a_tap_is_not_followed(tmp_path, kind):
    make, complaint = INSTEAD_OF_VALUES[kind]
    path = with_something_else(tmp_path / "x.h5", TAP, make)
    assert "is damaged: the tap '0:in': " in refusal(path)
    assert complaint in refusal(path)
    with Dump(path) as dump, pytest.raises(ProbeError, match="is damaged: the tap '0:in'"):
        next(dump.blocks(dump.tap("0:in"), 4))


@pytest.mark.parametrize(
    "name", ["steps", "steps/0", "taps", "weights", "weight_sketches", "inputs/0", "weight_values"]
)
@pytest.mark.parametrize("link", [h5py.SoftLink("/elsewhere"), h5py.ExternalLink("other.h5", "/elsewhere")])
def test_no_link_is_followed_anywhere(tmp_path, name, link):
    path = tmp_path / "x.h5"
    with h5py.File(small_dump(path), "r+") as file, h5py.File(tmp_path / "other.h5", "w") as other:
        file.copy(name, other, "elsewhere")
        file.move(name, "elsewhere")
        file[name] = link
    assert "is a link to somewhere else" in refusal(path)


@pytest.mark.parametrize("place", ["inputs/0/input_ids", "weight_values/0.bias", "weight_sketches/norms"])
@pytest.mark.parametrize(
    "kind", ["a soft link", "an external link", "external storage", "a virtual dataset", "a group"]
)
def test_other_values_are_not_followed_either(tmp_path, place, kind):
    make, _ = INSTEAD_OF_VALUES[kind]
    assert "is damaged" in refusal(with_something_else(tmp_path / "x.h5", place, make))


@pytest.mark.parametrize("rows", [(-1, 4), (0, -4), (6, 4), (2**62, 2**62)])
def test_weights_whose_sketches_are_not_there_are_refused(tmp_path, rows):
    row = Weight("w", "", "", (4, 3), "float32", UNMEASURED, *rows, 0, 0)
    with DumpWriter(tmp_path / "x.h5") as writer:
        writer.add_weights([row], Sketches(np.ones(7, np.float32), projections(7).astype(np.float16)), {})
    with Dump(tmp_path / "x.h5") as dump, pytest.raises(ProbeError, match="has sketches that are not there"):
        dump.weights  # noqa: B018
