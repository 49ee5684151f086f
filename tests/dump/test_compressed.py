"""`compress`: the same bits from fewer bytes, in filters of HDF5's own; and what a stranger may have put there."""

import zlib

import h5py
import numpy as np
import pytest

from probe.dump import Dump, DumpWriter
from probe.dump.dtypes import DTYPES, storage
from probe.dump.squeezed import PIECE_BYTES, piece_shape, pieces
from probe.errors import ProbeError
from tests.dump.small import random_bits, tap

SHAPES = [(70, 3000), (3, 5, 70_000), (2, 99, 4096), (1 << 17,), (1, 1, 1, 140_000), (2600, 1, 33)]


def smooth(shape, dtype="float32"):
    """What compresses: a few mantissa bits."""
    numbers = np.random.default_rng(0).integers(0, 9, shape).astype(np.float32)
    return (numbers.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else numbers.astype(storage(dtype))


def compressed(path, bits, dtype="float32"):
    with DumpWriter(path, force=True, compress=True) as writer:
        return writer.add(tap("0:out", bits, dtype), bits)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "int64", "uint8"])
def test_the_very_bits_come_back_whole_and_in_blocks(tmp_path, shape, dtype):
    bits = smooth(shape, dtype)
    measured = compressed(tmp_path / "x.h5", bits, dtype)
    with Dump(tmp_path / "x.h5") as dump:
        assert dump.taps == [measured]
        np.testing.assert_array_equal(dump.bits(measured), bits)
        for length in (1000, 1 << 16, 1 << 22):
            blocks = [block.copy() for block in dump.blocks(measured, length)]
            assert {len(block) for block in blocks[:-1]} <= {length}
            np.testing.assert_array_equal(np.concatenate(blocks), dump.read(measured).reshape(-1))
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["steps/0/0:out"].id.get_storage_size() < 0.95 * bits.nbytes


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_bits_of_every_dtype_come_back_whatever_they_are(tmp_path, dtype):
    bits = random_bits((400, 333), dtype)
    measured = compressed(tmp_path / "x.h5", bits, dtype)
    with Dump(tmp_path / "x.h5") as dump:
        assert dump.bits(measured).tobytes() == bits.tobytes()


def test_any_hdf5_tool_reads_the_numbers(tmp_path):
    bits = smooth((7, 3000))
    compressed(tmp_path / "x.h5", bits)
    with h5py.File(tmp_path / "x.h5") as file:
        found = file["steps/0/0:out"]
        assert (found.compression, found.shuffle) == ("gzip", True)
        np.testing.assert_array_equal(found[()], bits)


def test_what_compresses_best_of_all_is_believed(tmp_path):
    bits = np.zeros((64, 1 << 16), np.float32)
    measured = compressed(tmp_path / "x.h5", bits)
    with Dump(tmp_path / "x.h5") as dump:
        assert not dump.bits(measured).any()


@pytest.mark.parametrize("bits", [random_bits((999, 99), "float32"), smooth((5, 5))])
def test_what_is_not_worth_it_is_stored_as_it_is(tmp_path, bits):
    measured = compressed(tmp_path / "x.h5", bits)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["steps/0/0:out"].chunks is None
    with Dump(tmp_path / "x.h5") as dump:
        assert dump.bits(measured).tobytes() == bits.tobytes()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pieces_are_runs_of_consecutive_numbers(shape):
    piece = piece_shape(shape, 4)
    assert np.prod(piece) * 4 <= PIECE_BYTES
    numbers, seen = np.arange(np.prod(shape)).reshape(shape), 0
    for one in pieces(shape, piece):
        cut = numbers[tuple(slice(at, at + step) for at, step in zip(one.corner, piece, strict=True))]
        assert one.start == seen
        np.testing.assert_array_equal(cut.reshape(-1), np.arange(seen, seen + one.count))
        seen += one.count
    assert seen == numbers.size


SHAPE = (7, 3000)


def chunked(raw=None, chunks=(7, 3000), shape=SHAPE, filters=("shuffle", "gzip"), kind="f4"):
    def make(file):
        del file["steps/0/0:out"]
        how = {"shuffle": "shuffle" in filters, "compression": "gzip" if "gzip" in filters else None}
        how["fletcher32"] = "fletcher32" in filters
        made = file.create_dataset("steps/0/0:out", shape, kind, chunks=chunks, **how)
        if raw is not None:
            made.id.write_direct_chunk((0, 0), raw)

    return make


HOSTILE = {
    "no pieces": (chunked(), "claims to be more than its compressed bytes"),
    "a piece that expands without end": (chunked(zlib.compress(bytes(1 << 25))), "not of the size"),
    "a piece that ends early": (chunked(zlib.compress(b"short" * 99, 0)), "not of the size"),
    "no deflate stream": (chunked(b"x" * 999), "a piece of it is damaged"),
    "a piece that is too long": (chunked(b"x" * (1 << 20)), "stored otherwise than probe stores it"),
    "pieces cut otherwise": (chunked(b"x" * 999, chunks=(1, 3000)), "cut otherwise than probe cuts it"),
    "another shape": (chunked(b"x" * 999, shape=(7, 3001)), "it has shape (7, 3001)"),
    "a trillion numbers": (chunked(b"x" * 999, shape=(10**6, 10**6)), "it has shape (1000000, 1000000)"),
    "another type": (chunked(b"x" * 999, kind="i4"), "not of the type"),
    "other filters": (chunked(b"x" * 999, filters=("shuffle", "gzip", "fletcher32")), "do not lie in one piece"),
    "no filters": (chunked(b"x" * 84000, filters=()), "do not lie in one piece"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_pieces_that_a_stranger_wrote_are_not_believed(tmp_path, kind):
    make, complaint = HOSTILE[kind]
    measured = compressed(tmp_path / "x.h5", smooth(SHAPE))
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        make(file)
    with Dump(tmp_path / "x.h5") as dump:
        for read in (dump.bits, lambda found: list(dump.blocks(found, 100))):
            with pytest.raises(ProbeError, match="damaged: the tap '0:out'") as caught:
                read(measured)
            assert complaint in str(caught.value)


def test_a_table_that_claims_far_more_than_the_file_holds_is_not_believed(tmp_path):
    """A billion numbers in one piece of deflated zeros each: refused before anything is allocated."""
    shape = (1 << 10, 1 << 20)
    with DumpWriter(tmp_path / "x.h5") as writer:
        measured = writer.add(tap("0:out", smooth((2, 2)), "float32"), smooth((2, 2)))
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        chunked(zlib.compress(bytes(1 << 18)), chunks=(1, 1 << 16), shape=shape)(file)
    claimed = measured._replace(shape=shape)
    with Dump(tmp_path / "x.h5") as dump, pytest.raises(ProbeError, match="claims to be more"):
        dump.bits(claimed)
