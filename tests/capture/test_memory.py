"""A recording needs no more memory, however many tensors it writes."""

import sys
from pathlib import Path

import pytest

from tests.dump.small import in_new_process

RECORDING = """
import sys
import torch
from torch import nn
import probe
from tests.bench.job import peak_bytes

model = nn.Sequential(*[nn.ReLU() for _ in range(100)])
with torch.no_grad():
    model(torch.zeros(1 << 20))
    before = peak_bytes()
    with probe.record(model, sys.argv[1]):
        model(torch.zeros(1 << 20))
print(peak_bytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is Linux's")
def test_a_dump_of_400_mb_is_written_in_a_tenth_of_it(tmp_path: Path) -> None:
    """Each tensor is freed when the next one is there: what is kept between them must leave their places free."""
    more = int(in_new_process(RECORDING, tmp_path / "x.h5").stdout)
    assert (tmp_path / "x.h5").stat().st_size > 400e6
    assert more < 100e6
