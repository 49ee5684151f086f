"""A writer that is killed, or runs out of space, leaves what can be read, or nothing at all."""

import itertools
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from probe.dump import Dump
from tests.dump.small import in_new_process

WRITE_AND_WAIT = """
import os, sys
from pathlib import Path
import numpy as np
from probe.dump import DumpWriter
from tests.dump.small import tap

path, ready, flushed, unflushed = Path(sys.argv[1]), *map(int, sys.argv[2:])
writer = DumpWriter(path)
values = np.arange(12, dtype=np.float32)
for place in range(flushed):
    writer.add(tap(f"model.layers.{place}.self_attn.q_proj:out", values + place, "float32"), values + place)
if flushed:
    writer.flush()
for place in range(unflushed):
    writer.add(tap(f"model.layers.{place}.mlp.down_proj:out", values, "float32"), values)
os.write(ready, b"!")
sys.stdin.read()
"""
LITTLE_ROOM = """
import resource, sys
from pathlib import Path
import numpy as np
from probe.dump import DumpWriter
from probe.errors import ProbeError
from tests.dump.small import everything, tap

def write(path):
    with DumpWriter(path) as writer:
        for place in range(60):
            values = np.zeros(30_000 if place % 3 else 3, np.float32)
            stored = writer.add(tap(f"{place}{'x' * place}:out", values, "float32"), values)
            writer.link(tap(f"{place}:in", values, "float32"), stored)
            if place % 4 == 0:
                writer.flush()

outcomes = []
for limit in range(0, 7_000_000, 230_000):
    path = Path(sys.argv[1]) / f"{limit}.h5"
    partial = path.with_suffix(".h5.partial")
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write(path)
    except (ProbeError, OSError) as error:
        assert not path.exists(), limit
        outcomes.append(f"refused {everything(partial) if partial.exists() else -1}")
    else:
        outcomes.append(f"whole {everything(path)}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(*outcomes, sep=chr(10))
"""

WAITING_FOR_ROOM = """
import resource, sys
from pathlib import Path
import numpy as np
from probe.dump import DumpWriter
from tests.dump.small import everything, tap

values, added, refused = np.zeros(1000, np.float32), 0, 0
with DumpWriter(Path(sys.argv[1])) as writer:
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
    for place in range(1500):
        try:
            writer.add(tap(f"{place}:out", values, "float32"), values)
            added += 1
        except OSError:
            refused += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert everything(Path(sys.argv[1])) == added
print(added, refused)
"""


def killed(path, *, flushed, unflushed):
    """Run until all is added, then SIGKILL."""
    listening, ready = os.pipe()
    words = [sys.executable, "-c", WRITE_AND_WAIT, str(path), str(ready), str(flushed), str(unflushed)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=[ready]) as running:
        os.close(ready)
        assert os.read(listening, 1) == b"!"
        running.kill()
        running.wait()
        os.close(listening)
        assert running.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("flushed", "unflushed"), [(0, 0), (1, 0), (300, 0), (300, 6_000)])
def test_a_killed_run_can_be_read_up_to_its_last_flush(tmp_path, flushed, unflushed):
    killed(tmp_path / "x.h5", flushed=flushed, unflushed=unflushed)
    assert [file.name for file in tmp_path.iterdir()] == ["x.h5.partial"]
    with Dump(tmp_path / "x.h5.partial") as dump:
        assert not dump.complete
        assert len(dump.taps) >= flushed
        for place in range(flushed):
            values = dump[f"model.layers.{place}.self_attn.q_proj:out"]
            assert np.array_equal(values, np.arange(12, dtype=np.float32) + place)


def test_out_of_space_anywhere_leaves_what_came_before_and_no_file_that_looks_whole(tmp_path):
    """At every place: HDF5 itself must never meet the full disk, for then it takes the process down."""
    ended = in_new_process(LITTLE_ROOM, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    kinds, counts = zip(*(line.split() for line in ended.stdout.splitlines()), strict=True)
    counts = [int(count) for count in counts]
    assert all(more >= fewer - 8 for fewer, more in itertools.pairwise(counts))  # what was not yet flushed
    assert len(set(counts)) > 4
    assert (kinds[0], counts[0]) == ("refused", -1)
    assert (kinds[-1], counts[-1]) == ("whole", 120)
    assert {count for kind, count in zip(kinds, counts, strict=True) if kind == "whole"} == {120}


def test_a_writer_that_was_refused_goes_on_when_there_is_room(tmp_path):
    ended = in_new_process(WAITING_FOR_ROOM, tmp_path / "x.h5")
    assert (ended.returncode, ended.stderr) == (0, "")
    added, refused = map(int, ended.stdout.split())
    assert added + refused == 1500
    assert min(added, refused) > 300
