"""Thousands of damaged copies of a small dump, opened and read in full: refused or read, and nothing else ever.

In a process of its own: HDF5 may crash, hang or allocate what a damaged file claims, and all three must be seen.
"""

import pytest

from tests.dump.small import in_new_process, small_dump

SETUP = """
import random, resource, sys
from pathlib import Path
from probe.dump import Dump
from probe.errors import ProbeError
from tests.dump.small import everything

whole, damaged = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (in_use + (1 << 30), in_use + (1 << 30)))
draw = random.Random(20240229)
"""
READ_ALL = """
def spoiled():
    raw = bytearray(whole)
    if draw.random() < 0.2:
        del raw[draw.randrange(len(raw)):]
    for _ in range(draw.choice([1, 1, 2, 4, 16, 64]) if raw else 0):
        place = draw.randrange(len(raw))
        raw[place] = draw.choice([0, 255, draw.randrange(256), raw[place] ^ 1 << draw.randrange(8)])
    return raw

refused = read = 0
for _ in range(2000):
    damaged.write_bytes(spoiled())
    try:
        everything(damaged)
        read += 1
    except ProbeError as error:
        assert error.hint, error
        refused += 1
print(refused, read)
"""
COMPARE_WHAT_IS_SAID = """
def said(path):
    with Dump(path) as dump:
        attributes = [dump.attribute(name) for name in ("target", "environment", "config", "notes")]
        return repr((dump.complete, attributes, dump.taps, dump.weights, list(dump.inputs())))

truth = said(Path(sys.argv[1]))
refused = same = 0
for place in range(0, len(whole), 31):
    raw = bytearray(whole)
    raw[place] ^= 1 << draw.randrange(8)
    damaged.write_bytes(raw)
    try:
        assert said(damaged) == truth, place
        same += 1
    except ProbeError:
        refused += 1
print(refused, same)
"""


@pytest.fixture
def outcomes(tmp_path):
    """Runs code over a small dump; the two numbers that it prints."""

    def run(code):
        ended = in_new_process(SETUP + code, small_dump(tmp_path / "x.h5"), tmp_path / "damaged.h5")
        assert (ended.returncode, ended.stderr) == (0, "")
        return tuple(map(int, ended.stdout.split()))

    return run


def test_two_thousand_damaged_copies_are_refused_or_read(outcomes):
    refused, read = outcomes(READ_ALL)
    assert refused + read == 2000
    assert refused > 1000
    assert read > 100


def test_no_flipped_bit_changes_what_a_dump_says_of_its_taps(outcomes):
    """Tables and HDF5's own bookkeeping are under checksums; values are not, but have their hash in the table."""
    refused, same = outcomes(COMPARE_WHAT_IS_SAID)
    assert refused > 500
    assert same > 100
