"""What an import costs beside a plain copy of the same files."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from probe.targets.importing import ImportJob, import_arrays
from tests.bench.measurement import Line, in_turn, ratio_line

ALLOWED = 2.0
NUM_ARRAYS, SHAPE = 100, (256, 3072)
"""315 MB in float32."""
REPETITIONS = 7


def importing(folder: Path) -> list[Line]:
    """An archive, a file of tensors, and a folder of arrays."""
    generator = np.random.default_rng(0)
    arrays = {
        f"{number:03d}_layers.{number}": generator.standard_normal(SHAPE, np.float32) for number in range(NUM_ARRAYS)
    }
    archive, tensors, files = folder / "arrays.npz", folder / "arrays.safetensors", folder / "arrays"
    np.savez(archive, **arrays)  # type: ignore[arg-type]
    save_file({key: torch.from_numpy(array) for key, array in arrays.items()}, tensors)
    files.mkdir()
    for key, array in arrays.items():
        np.save(files / f"{key}.npy", array)
    arrays.clear()
    lines = [
        _line("npz", archive, folder),
        _line("safetensors", tensors, folder),
        _line("npz", files, folder, "folder of .npy"),
    ]
    archive.unlink()
    tensors.unlink()
    shutil.rmtree(files)
    return lines


def _line(kind: str, path: Path, folder: Path, name: str = "") -> Line:
    dump, copy = folder / "imported.h5", folder / "copy"
    job = ImportJob(kind, path, dump)

    def tidy() -> None:
        dump.unlink(missing_ok=True)
        if copy.is_dir():
            shutil.rmtree(copy)
        copy.unlink(missing_ok=True)

    copied = partial(shutil.copytree if path.is_dir() else shutil.copyfile, path, copy)
    actions = {"import": lambda: import_arrays(job, lambda what, done, total: None), "copy": copied}
    seconds = in_turn(REPETITIONS, actions, tidy)
    return ratio_line(f"import {name or kind} / copy of the files", seconds["import"], [seconds["copy"]], ALLOWED)
