"""Where the fields lie that are read and set: found, or checked, by what they must hold. Else nothing is touched.

llama.cpp moves the fields of its structures from version to version. A structure of parameters is recognised by the
values that stand in it by default; a tensor's by tensors that are made for it.
"""

import ctypes
import struct
from dataclasses import dataclass
from functools import cache

from probe.errors import ProbeError
from probe.targets.gguf.native import HOW_TO_INSTALL, Memory, Parameters, installed, library, version

NODE = struct.Struct("<i4xQ4q4Qi64si10QQQQ64s")
"""ggml_tensor: type, buffer, ne, nb, op, op_params, flags, src, view_src, view_offs, data, name."""
COMPUTED = 16
"""The flag of tensors that a graph really computes, in versions that have such a flag."""


@dataclass(frozen=True, slots=True)
class ContextLayout:
    """Offsets in llama_context_params; n_ctx, n_batch and n_ubatch are its first three."""

    threads: int
    """Of two numbers: for one token, and for many."""
    flash: int
    callback: int
    key_type: int
    """The values' is the next."""


def context_layout(defaults: Parameters) -> ContextLayout:
    """ProbeError where the defaults are none that are known."""
    words = struct.unpack_from("<64i", bytes(defaults))
    floats = struct.unpack_from("<64f", bytes(defaults))
    kinds = next((at for at in range(6, 16) if words[at : at + 4] == (-1, -1, -1, -1)), None)
    if words[0] == 512 and words[2] == 512 and kinds is not None:
        threads = next((at for at in range(4, kinds) if words[at : at + 2] == (4, 4)), None)
        yarn = floats[kinds + 6 : kinds + 8]
        callback = kinds + 12 + kinds % 2
        types = callback + 4
        is_empty = not any(words[callback:types])
        if (
            threads is not None
            and yarn[0] == -1
            and yarn[1] in (-1, 1)
            and is_empty
            and words[types : types + 2] == (1, 1)
        ):
            return ContextLayout(4 * threads, 4 * (kinds + 3), 4 * callback, 4 * types)
    raise _unknown("llama_context_params")


def check_model_defaults(defaults: Parameters) -> None:
    """ProbeError unless n_gpu_layers is the number at 16."""
    num_on_gpu, split = struct.unpack_from("<2i", bytes(defaults), 16)
    if num_on_gpu not in (-1, 0, 99, 999) or split != 1:
        raise _unknown("llama_model_params")


def repacking(defaults: Parameters) -> int | None:
    """Where llama_model_params says whether weights are stored anew for some kernels (use_extra_bufts): a boolean.

    None where that is not known. Behind pointers that are null stand: vocab_only, then mmap and what goes with it in
    versions before it became a number, check_tensors, and this.
    """
    flags = bytes(defaults)[40:88]
    first = next((at for at, flag in enumerate(flags) if flag), len(flags))
    start = first - first % 8
    shown = tuple(flags[start : start + 8])
    offset = next((place for known, place in _FLAGS if shown[: len(known)] == known), None)
    return None if offset is None else 40 + start + offset


_FLAGS = (((0, 0, 1, 0, 0), 2), ((0, 1, 0, 0, 1, 0), 4), ((0, 1, 0, 0, 0, 1, 0), 5))


@cache
def tensors_are_flagged() -> bool:
    """Whether graphs flag what they compute. ProbeError where a tensor's fields lie otherwise than in NODE."""
    found = library()
    context = found.ggml_init(Memory(1 << 22, None, True))
    try:
        left, right = (found.ggml_new_tensor_2d(context, 0, 8, count) for count in (3, 5))
        product = found.ggml_mul_mat(context, left, right)
        found.ggml_set_name(product, b"a product")
        view = found.ggml_view_1d(context, product, 2, 4)
        scaled = found.ggml_scale(context, product, 0.5)
        found.ggml_build_forward_expand(found.ggml_new_graph(context), scaled)
        given, seen, viewed, last = (
            NODE.unpack(ctypes.string_at(at, NODE.size)) for at in (left, product, view, scaled)
        )
        claims = (
            seen[0] == 0 and given[2:6] == (8, 3, 1, 1) and seen[2:6] == (3, 5, 1, 1),
            seen[6:10] == (4, 12, 60, 60),
            seen[13:16] == (left, right, 0),
            viewed[23:25] == (product, 4) and seen[23] == 0,
            seen[26].split(b"\0")[0] == b"a product",
            struct.unpack_from("<f", last[11])[0] == 0.5,
            found.ggml_op_desc(product) == b"MUL_MAT",
        )
        if not all(claims):
            raise _unknown("ggml_tensor")
        return bool(last[12] & COMPUTED)
    finally:
        found.ggml_free(context)


def _unknown(structure: str) -> ProbeError:
    package, _ = installed()
    return ProbeError(
        f"{package} {version(package)}: its {structure} is laid out in a way that is not known here",
        hint=f"{HOW_TO_INSTALL}, in the versions that README names",
    )
