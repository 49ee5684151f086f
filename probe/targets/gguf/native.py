"""llama.cpp's own functions, in the library that xllamacpp or llama-cpp-python brings along."""

import ctypes
from ctypes import POINTER, c_bool, c_char_p, c_int, c_int8, c_int32, c_int64, c_size_t, c_void_p
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from probe.errors import ProbeError

HOW_TO_INSTALL = "pip install xllamacpp gguf"
PLACES = {
    "xllamacpp": ("xllamacpp*.so", "xllamacpp*.pyd"),
    "llama_cpp": ("lib/libllama.so", "lib/libllama.dylib", "lib/llama.dll"),
}
"""Packages whose library exports the C functions of llama.cpp, and where it lies in them."""
NAMES = {"xllamacpp": "xllamacpp", "llama_cpp": "llama-cpp-python"}
"""As pip knows them."""


class Parameters(ctypes.Structure):
    """Any of llama.cpp's structures of parameters: it is longer than they are, and is handed on as it came."""

    _fields_ = (("bytes", ctypes.c_uint8 * 512),)


class Batch(ctypes.Structure):
    _fields_ = (
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", c_void_p),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(POINTER(c_int32))),
        ("logits", POINTER(c_int8)),
    )


class Memory(ctypes.Structure):
    """ggml_init_params."""

    _fields_ = (("size", c_size_t), ("buffer", c_void_p), ("no_alloc", c_bool))


EVALUATED = ctypes.CFUNCTYPE(c_bool, c_void_p, c_bool, c_void_p)
"""ggml_backend_sched_eval_callback: (tensor, whether it is only asked for, user data)."""
ABORTED = ctypes.CFUNCTYPE(None, c_char_p)
"""ggml_abort_callback: the process ends when it returns."""

_SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "llama_backend_init": (None, ()),
    "llama_model_default_params": (Parameters, ()),
    "llama_context_default_params": (Parameters, ()),
    "llama_model_load_from_file": (c_void_p, (c_char_p, Parameters)),
    "llama_init_from_model": (c_void_p, (c_void_p, Parameters)),
    "llama_model_n_ctx_train": (c_int32, (c_void_p,)),
    "llama_n_ctx": (c_int32, (c_void_p,)),
    "llama_batch_init": (Batch, (c_int32, c_int32, c_int32)),
    "llama_batch_free": (None, (Batch,)),
    "llama_decode": (c_int32, (c_void_p, Batch)),
    "llama_free": (None, (c_void_p,)),
    "llama_model_free": (None, (c_void_p,)),
    "ggml_op_desc": (c_char_p, (c_void_p,)),
    "ggml_type_name": (c_char_p, (c_int,)),
    "ggml_nbytes": (c_size_t, (c_void_p,)),
    "ggml_backend_tensor_get": (None, (c_void_p, c_void_p, c_size_t, c_size_t)),
    "ggml_init": (c_void_p, (Memory,)),
    "ggml_free": (None, (c_void_p,)),
    "ggml_new_tensor_2d": (c_void_p, (c_void_p, c_int, c_int64, c_int64)),
    "ggml_set_name": (c_void_p, (c_void_p, c_char_p)),
    "ggml_mul_mat": (c_void_p, (c_void_p, c_void_p, c_void_p)),
    "ggml_view_1d": (c_void_p, (c_void_p, c_void_p, c_int64, c_size_t)),
    "ggml_scale": (c_void_p, (c_void_p, c_void_p, ctypes.c_float)),
    "ggml_new_graph": (c_void_p, (c_void_p,)),
    "ggml_build_forward_expand": (None, (c_void_p, c_void_p)),
}


def installed() -> tuple[str, Path]:
    """The package, and its library. ProbeError that says how to get one."""
    for package, patterns in PLACES.items():
        spec = find_spec(package)
        folder = Path(spec.origin).parent if spec is not None and spec.origin else None
        for pattern in patterns if folder is not None else ():
            for path in sorted(folder.glob(pattern)) if folder is not None else ():
                return package, path
    raise ProbeError(
        "a gguf: target needs xllamacpp or llama-cpp-python, and neither is installed", hint=HOW_TO_INSTALL
    )


@cache
def library() -> ctypes.CDLL:
    """With the functions that are needed. ProbeError where it cannot be loaded, or lacks one."""
    package, path = installed()
    try:
        found = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise ProbeError(f"{package} {version(package)}: {error}", hint=f"{HOW_TO_INSTALL} --upgrade") from None
    found.llama_backend_init()
    return found


def version(package: str) -> str:
    """Of what is installed under that name in Python."""
    try:
        return metadata.version(NAMES.get(package, package))
    except metadata.PackageNotFoundError:
        return "of an unknown version"


def build(found: ctypes.CDLL) -> str:
    """What the library says of itself: ggml's version, and the commit if it was told one."""
    told = []
    for name in ("ggml_version", "ggml_commit"):
        function = getattr(found, name, None)
        if function is not None:
            function.restype, function.argtypes = c_char_p, ()
            told.append(function().decode())
    return " ".join(word for word in told if word != "unknown") or "unknown"
