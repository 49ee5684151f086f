"""What lies at a path: one file of arrays, or a folder of them, whose paths take part in the keys."""

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from probe.errors import ProbeError
from probe.targets.importing.key import is_step
from probe.targets.importing.npy import open_npy
from probe.targets.importing.npz import npz_sources
from probe.targets.importing.source import Source

SUFFIXES = {"npz": (".npy", ".npz"), "safetensors": (".safetensors",)}
"""What is read of a folder."""
MOST_FILES = 1 << 20


def sources(kind: str, path: Path) -> tuple[list[Source], int]:
    """All arrays, in the order of a file, or of a folder's paths (numbers in them counted as numbers); and how many
    files of a folder hold none. ProbeError for a path without any."""
    if path.is_file():
        return _of_file(path, _kind(kind, path), ""), 0
    if not path.is_dir():
        what = "no file of arrays" if path.exists() else "no such file or folder"
        raise ProbeError(f"{path}: {what}", hint="give an .npz or .safetensors file, or a folder of arrays")
    found: list[Source] = []
    others = 0
    for file in _files(path):
        if file.suffix.lower() not in SUFFIXES[kind]:
            others += 1
            continue
        inside = file.relative_to(path)
        parts = inside.parent.parts
        if file.suffix.lower() != ".npy" and is_step(file.stem):
            parts = (*parts, file.stem)
        found += _of_file(file, file.suffix.lower()[1:], "/".join((*parts, "")))
    if not found:
        looked = " and ".join("*" + end for end in SUFFIXES[kind])
        raise ProbeError(f"no array in {path}", hint=f"{kind} reads {looked}, in folders below too")
    return found, others


def _of_file(path: Path, kind: str, folder: str) -> list[Source]:
    if kind == "npy":
        return [Source(folder + path.stem, str(path), partial(open_npy, path))]
    if kind == "npz":
        inside = npz_sources(path)
    else:
        from probe.targets.importing.tensors import safetensors_sources

        inside = safetensors_sources(path)
    return [replace(source, key=folder + source.key) for source in inside]


def _kind(kind: str, path: Path) -> str:
    """A lone .npy file is taken where an archive is asked for; any other name is taken at the user's word."""
    return "npy" if kind == "npz" and path.suffix.lower() == ".npy" else kind


def _files(folder: Path) -> list[Path]:
    """Files below a folder, hidden ones left out; links to folders are not followed."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
        if len(found) > MOST_FILES:
            raise ProbeError(f"{folder} holds more than {MOST_FILES} files", hint="give the folder of one run")
    return sorted((path for path in found if path.is_file()), key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]{1,18})", str(path))
    return [(int(part), "") if at % 2 else (-1, part) for at, part in enumerate(parts)]
