"""What an import leaves behind that does not come to its end."""

import zipfile

import numpy as np
import pytest

from probe.dump import Dump
from probe.errors import ProbeError
from probe.targets.importing import ImportJob, import_arrays

NUM_ARRAYS = 4


@pytest.fixture
def archive(tmp_path):
    """Large arrays, so that each is in the file before the next is read."""
    path = tmp_path / "run.npz"
    generator = np.random.default_rng(0)
    np.savez_compressed(
        path, **{f"{at}_{at}": generator.standard_normal((64, 1024), np.float32) for at in range(NUM_ARRAYS)}
    )
    return path


@pytest.mark.parametrize("before", [None, "an earlier dump"])
def test_a_damaged_array_behind_good_ones_leaves_no_file(before, archive, tmp_path):
    with zipfile.ZipFile(archive) as members:
        last = members.infolist()[-1]
    raw = bytearray(archive.read_bytes())
    raw[last.header_offset + last.compress_size] ^= 255
    archive.write_bytes(raw)
    output = tmp_path / "out.h5"
    if before:
        output.write_text(before)
    written = []
    with pytest.raises(ProbeError, match="damaged"):
        import_arrays(
            ImportJob("npz", archive, output, force=True),
            lambda what, done, total: written.append((tmp_path / "out.h5.partial").exists()),
        )
    assert written[-1]  # so far it had come
    assert [path.name for path in tmp_path.glob("out*")] == (["out.h5"] if before else [])
    assert not before or output.read_text() == before


def test_an_interrupted_import_keeps_what_it_had(archive, tmp_path):
    def interrupt(what, done, total):
        if f"({NUM_ARRAYS - 1} of" in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_arrays(ImportJob("npz", archive, tmp_path / "out.h5"), interrupt)
    assert not (tmp_path / "out.h5").exists()
    with Dump(tmp_path / "out.h5.partial") as dump:
        assert not dump.complete
        assert len(dump.taps) == NUM_ARRAYS - 1
