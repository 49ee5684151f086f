"""The library of llama.cpp: where it is, and whether its structures are those that are known."""

import struct
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

from probe.errors import ProbeError
from probe.targets.gguf.layout import check_model_defaults, context_layout, repacking, tensors_are_flagged
from probe.targets.gguf.native import NAMES, Parameters, installed, library
from tests.targets.gguf_runs import dumped, file_of

INSTALL = "pip install xllamacpp gguf"


def changed(defaults: Parameters, place: int, word: int) -> Parameters:
    """The same with another number at a place."""
    made = Parameters.from_buffer_copy(defaults)
    struct.pack_into("<i", made, place, word)
    return made


def test_the_installed_library_s_structures_are_known():
    assert installed()[0] in NAMES
    layout = context_layout(library().llama_context_default_params())
    assert (layout.threads, layout.flash, layout.callback, layout.key_type) == (28, 52, 88, 104)
    check_model_defaults(library().llama_model_default_params())
    assert repacking(library().llama_model_default_params()) == 74
    assert tensors_are_flagged()


@pytest.mark.parametrize(("place", "word"), [(0, 513), (8, 0), (32, 5), (52, 0), (64, 0), (92, 1), (104, 0), (108, 8)])
def test_defaults_that_stand_elsewhere_are_refused(place: int, word: int):
    defaults = changed(library().llama_context_default_params(), place, word)
    with pytest.raises(ProbeError, match="its llama_context_params is laid out in a way that is not known") as refusal:
        context_layout(defaults)
    assert refusal.value.hint == f"{INSTALL}, in the versions that README names"


@pytest.mark.parametrize(("place", "word"), [(16, 7), (20, 0)])
def test_a_model_s_parameters_too(place: int, word: int):
    with pytest.raises(ProbeError, match="its llama_model_params is laid out in a way that is not known"):
        check_model_defaults(changed(library().llama_model_default_params(), place, word))


def test_the_layout_before_one_more_number_was_there_is_known_too():
    """As llama.h had it some months before: the threads behind n_outputs_max."""
    words = struct.unpack_from("<36i", library().llama_context_default_params())
    older = Parameters()
    struct.pack_into("<36i", older, 0, *words[:6], *words[7:22], 0, *words[22:])
    layout = context_layout(older)
    assert (layout.threads, layout.flash, layout.callback, layout.key_type) == (24, 48, 88, 104)


@pytest.mark.parametrize(
    ("start", "flags", "place"),
    [
        (72, (0, 0, 1, 0, 0, 0), 74),  # with a number that says how a file is loaded
        (64, (0, 1, 0, 0, 1, 0), 68),  # vocab_only, use_mmap, use_mlock, check_tensors, use_extra_bufts, no_host
        (64, (0, 1, 0, 0, 0, 1, 0, 0), 69),  # use_direct_io behind use_mmap
        (64, (0, 1, 0, 0, 0, 0, 0, 0), None),  # before there was one
    ],
)
def test_where_weights_are_stored_anew_is_known_or_left_alone(start: int, flags: tuple[int, ...], place: int | None):
    made = Parameters()
    struct.pack_into(f"<{len(flags)}B", made, start, *flags)
    assert repacking(made) == place


def test_without_the_packages_the_one_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = file_of("llama", tmp_path)
    for missing in (tuple(NAMES), ("gguf",)):
        with monkeypatch.context() as without:
            for package in missing:
                without.setitem(sys.modules, package, None)
            with pytest.raises(ProbeError, match=r"a gguf: target needs .*installed") as refusal:
                installed() if missing != ("gguf",) else dumped(path)
            assert refusal.value.hint == INSTALL


def test_a_part_of_a_model_is_refused(tmp_path: Path):
    path = tmp_path / "m-00001-of-00003.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint16("split.count", 3)
    writer.add_tensor("token_embd.weight", np.zeros((4, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ProbeError, match="is one of 3 parts of a model"):
        dumped(path, "1,2")


def test_llama_cpp_python_s_library_is_found_where_that_package_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Another package's library stands in for it: the functions are the same."""
    (tmp_path / "llama_cpp" / "lib").mkdir(parents=True)
    (tmp_path / "llama_cpp" / "__init__.py").touch()
    there = tmp_path / "llama_cpp" / "lib" / "libllama.so"
    there.symlink_to(installed()[1])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert installed() == ("llama_cpp", there)
