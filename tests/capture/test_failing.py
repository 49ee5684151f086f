"""A recording that fails ends alone: the model runs on, its result is intact, and no file pretends to be a dump."""

import errno
import os

import pytest
import torch
from torch import nn

import probe
from probe.errors import ProbeError
from tests.capture.models import MODELS, built, fed
from tests.dump.small import in_new_process

LITTLE_ROOM = """
import resource, sys
from pathlib import Path
import torch
from torch import nn
import probe

torch.manual_seed(0)
model = nn.Sequential(*[nn.Linear(64, 64) for _ in range(40)])
x = torch.randn(256, 64)
expected = model(x)
outcomes = []
for limit in range(0, 8_000_000, 400_000):
    folder = Path(sys.argv[1]) / str(limit)
    folder.mkdir()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    ran = False
    try:
        with probe.record(model, folder / "x.h5"):
            found = model(x)
            ran = True
    except probe.ProbeError as error:
        assert "File too large" in str(error) and "make room" in error.hint, error
        assert list(folder.iterdir()) == [], limit
        outcomes.append(f"refused {ran}")
    else:
        outcomes.append(f"whole {len(probe.open(folder / 'x.h5').taps)}")
    if ran:
        assert torch.equal(found, expected)
    assert not any(module._forward_hooks for module in model.modules())
print(*dict.fromkeys(outcomes), sep=chr(10))
"""


class Filling(nn.Module):
    """Fills the disk, and returns what it was given."""

    def __init__(self, fill):
        super().__init__()
        self.fill = fill

    def forward(self, x):
        self.fill()
        return x


def test_without_space_the_model_runs_to_its_end(tmp_path):
    ended = in_new_process(LITTLE_ROOM, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == ["refused False", "refused True", "whole 82"]


class Disk:
    """Counts writes of values, and finds no space from a certain one on."""

    def __init__(self, write):
        self.write = write
        self.num_writes, self.room = 0, 1 << 30

    def __call__(self, *arguments):
        if self.num_writes >= self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.num_writes += 1
        return self.write(*arguments)


@pytest.fixture
def disk(monkeypatch):
    monkeypatch.setattr(os, "pwrite", Disk(os.pwrite))
    return os.pwrite


@pytest.fixture
def full_disk(disk):
    """`full_disk(n)`: from now on n writes of values succeed, and all later ones find no space."""

    def run_out(num_writes):
        disk.room = disk.num_writes + num_writes

    return run_out


@pytest.mark.parametrize("name", MODELS)
def test_the_result_is_intact_when_no_value_can_be_written(tmp_path, full_disk, name):
    expected, model = built(name).eval()(fed()), built(name).eval()
    full_disk(0)
    with pytest.raises(ProbeError, match="No space left on device") as caught, probe.record(model, tmp_path / "x.h5"):
        found = model(fed())
    assert repr(found) == repr(expected)
    assert caught.value.hint.startswith("make room")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("num_outputs", range(3))
def test_the_result_is_intact_wherever_the_disk_is_full(tmp_path, disk, num_outputs):
    """Each layer's output is written, those of three layers last; its input is the one before, and is linked."""
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(4)])
    with probe.record(model, tmp_path / "whole.h5"):
        expected = model(fed())
    (tmp_path / "whole.h5").unlink()
    disk.room = 2 * disk.num_writes - 3 + num_outputs
    failure = f"failed after {4 + 2 * num_outputs} taps: .*No space left"
    with pytest.raises(ProbeError, match=failure) as caught, probe.record(model, tmp_path / "x.h5"):
        found = model(fed())
    assert torch.equal(found, expected)
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_a_large_tensor_that_does_not_fit_is_seen_from_the_writing_thread(tmp_path, full_disk):
    model, x = nn.Identity(), torch.randn(500_000)
    full_disk(0)
    with pytest.raises(ProbeError, match="No space left"), probe.record(model, tmp_path / "x.h5"):
        assert torch.equal(model(x), x)
    assert list(tmp_path.iterdir()) == []


def test_an_older_dump_stays_when_its_replacement_fails(tmp_path, full_disk):
    model = nn.Linear(4, 4)
    with probe.record(model, tmp_path / "x.h5"):
        model(fed())
    before = (tmp_path / "x.h5").read_bytes()
    full_disk(0)
    with pytest.raises(ProbeError), probe.record(model, tmp_path / "x.h5", force=True):
        model(fed())
    assert (tmp_path / "x.h5").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.h5"]


def test_the_models_own_error_is_the_one_that_is_raised(tmp_path, full_disk):
    model = nn.Sequential(Filling(lambda: full_disk(0)), nn.Linear(4, 4), nn.Linear(3, 3))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), probe.record(model, tmp_path / "x.h5"):
        model(fed())
    assert not (tmp_path / "x.h5").exists()
