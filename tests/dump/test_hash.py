"""Equal bytes have equal hashes; a flipped bit, a swapped element or block has another."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.dump import Dump, tensor_hash
from probe.dump.statistics import BLOCK_BYTES, statistics
from tests.dump.small import random_bits, written


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16", "float32", "int64", "complex128", "bool"])
@pytest.mark.parametrize("count", [0, 1, 3, 1000, BLOCK_BYTES // 4 + 3])
def test_equal_bytes_have_equal_hashes_wherever_they_lie(dtype, count):
    bits = random_bits((count,), dtype)
    elsewhere = np.concatenate([bits[:1], bits])[1:]
    assert tensor_hash(bits) == tensor_hash(elsewhere) == statistics(bits, dtype).hash
    assert tensor_hash(bits) == tensor_hash(bits.view(np.uint8)) == tensor_hash(bits.reshape(1, -1))


def test_the_hash_in_a_dump_is_the_tensors(tmp_path):
    bits = random_bits((301, 409), "bfloat16")
    with Dump(written(tmp_path / "x.h5", {"layer:out": (bits, "bfloat16")})) as dump:
        assert dump.tap("layer:out").statistics.hash == tensor_hash(bits)


def test_hashes_of_today_are_those_of_yesterday():
    """Dumps of two machines and of two versions of probe are compared by them."""
    assert tensor_hash(np.arange(300_003).astype(np.uint8)) == 0x696ED2DF940BA6A6
    assert tensor_hash(np.arange(1000.0)) == 0xC1F406B2E4A4EC0E


@settings(deadline=None)
@given(raw=st.binary(min_size=1, max_size=200), bit=st.integers(min_value=0))
def test_any_flipped_bit_changes_the_hash(raw, bit):
    bits = np.frombuffer(raw, np.uint8)
    flipped = bits.copy()
    flipped[bit // 8 % len(raw)] ^= 1 << bit % 8
    assert tensor_hash(flipped) != tensor_hash(bits)


def test_a_flipped_bit_in_any_block_changes_the_hash():
    bits = random_bits((3 * BLOCK_BYTES + 5,), "uint8")
    before = tensor_hash(bits)
    for place in (*range(0, len(bits), 4001), len(bits) - 1):
        bits[place] ^= 0x80
        assert tensor_hash(bits) != before
        bits[place] ^= 0x80
    assert tensor_hash(bits) == before


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "float64", "int64"])
def test_one_moved_through_zeros_never_hashes_the_same(kind):
    """A mask, or a tensor of few values: the case that a plain sum of products takes for equal."""
    zeros = np.zeros(3000, kind)
    hashes = set()
    for place in range(len(zeros)):
        zeros[place] = 1
        hashes.add(tensor_hash(zeros))
        zeros[place] = 0
    assert len(hashes) == len(zeros)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float16", "float32", "float64", "int64"])
def test_swapped_elements_change_the_hash(kind):
    values = np.arange(1, 61).astype(kind)
    hashes = {tensor_hash(values)}
    for first, second in itertools.combinations(range(len(values)), 2):
        values[[first, second]] = values[[second, first]]
        hashes.add(tensor_hash(values))
        values[[first, second]] = values[[second, first]]
    assert len(hashes) == 1 + 60 * 59 // 2


def test_flipped_signs_change_the_hash():
    values = np.ones(60, np.float32)
    hashes = set()
    for first, second in itertools.combinations(range(len(values)), 2):
        values[[first, second]] *= -1
        hashes.add(tensor_hash(values))
        values[[first, second]] *= -1
    assert len(hashes) == 60 * 59 // 2


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_negated_rows_and_columns_change_the_hash(kind):
    """An even number of sign bits adds up to nothing modulo 2**64."""
    values = np.random.default_rng(0).standard_normal((64, 4096)).astype(kind)
    parts = [np.s_[:0], np.s_[:], np.s_[::2], np.s_[:, ::2]]
    for width in (1, 2, 32):
        parts += [np.s_[:width], np.s_[:, :width], np.s_[:width, :width]]
    hashes = set()
    for part in parts:
        values[part] *= -1
        hashes.add(tensor_hash(values))
        values[part] *= -1
    assert len(hashes) == len(parts)


@pytest.mark.parametrize("kind", ["uint8", "float16", "float32", "float64", "int64"])
@pytest.mark.parametrize("width", [8, 1000, 1024, 4096])
def test_exchanged_rows_of_one_hot_numbers_change_the_hash(kind, width):
    """As two tokens exchanged do: the sums of all rows and of all columns stay as they are."""
    tokens = np.random.default_rng(0).permutation(8)
    hashes = set()
    for first, second in itertools.combinations(range(8), 2):
        exchanged = tokens.copy()
        exchanged[[first, second]] = exchanged[[second, first]]
        one_hot = np.zeros((8, width), kind)
        one_hot[np.arange(8), exchanged] = 1
        hashes.add(tensor_hash(one_hot))
    assert len(hashes) == 28


def test_swapped_blocks_change_the_hash():
    blocks = random_bits((4, BLOCK_BYTES), "uint8")
    blocks[0] = 0
    hashes = {tensor_hash(blocks[list(order)]) for order in itertools.permutations(range(4))}
    assert len(hashes) == 24


def test_zeros_of_another_length_hash_otherwise():
    lengths = [0, 1, 2, 7, 8, 9, 4096, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES]
    assert len({tensor_hash(np.zeros(length, np.uint8)) for length in lengths}) == len(lengths)
