"""A target's name, and the model behind it."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from probe.errors import ProbeError
from probe.targets.foreign import message

DTYPES = {
    "fp32": torch.float32,
    "float32": torch.float32,
    "bf16": torch.bfloat16,
    "bfloat16": torch.bfloat16,
    "fp16": torch.float16,
    "float16": torch.float16,
    "fp64": torch.float64,
    "float64": torch.float64,
}


RUNTIMES = {"gguf": "probe.targets.gguf", "onnx": "probe.targets.onnx"}
"""What runs a model's file without PyTorch, and the module that has its `record`: see probe.targets.runtime."""


@dataclass(frozen=True, slots=True)
class Target:
    """How a model is named on the command line and in a dump."""

    kind: str
    """"hf" or "py", or one of RUNTIMES."""
    place: str
    """What follows the kind: a folder or hub id; "/path/FILE.py:FUNCTION"; "package.module:FUNCTION"; a file."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of a py: function; options of a runtime."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How the model is brought up."""

    dtype: str | None = None
    """A key of DTYPES; None leaves what the target gives."""
    device: str = "cpu"
    attention: str | None = None
    """transformers' attn_implementation: "eager", "sdpa", ...; hf: targets only."""
    trust_remote_code: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to run."""

    model: nn.Module
    inputs: Mapping[str, Any] | None
    """What the target itself wants to be fed, by forward's parameter names."""
    encode: Callable[[Sequence[str], bool], dict[str, list[list[int]]]] | None = None
    """Its tokenizer: prompts to a batch, padded on the left if so asked, by forward's parameter names."""
    notes: tuple[str, ...] = ()
    """What the user should know about how it was loaded."""


def parse(text: str, arguments: Mapping[str, Any] | None = None) -> Target:
    """`hf:DIR`, `py:FILE.py:FUNCTION`, `py:package.module:FUNCTION` or `gguf:FILE`; ProbeError for anything else."""
    kind, colon, place = text.partition(":")
    if place.startswith("~"):
        place = str(Path(place).expanduser())  # no shell does it behind a colon
    if kind == "hf" and place:
        if arguments:
            raise ProbeError(
                "--arg has no effect on an hf: target", hint="only a py: target's function takes arguments"
            )
        return Target("hf", str(Path(place).resolve()) if Path(place).exists() else place)
    if kind == "py" and place.rpartition(":")[0]:
        where, _, function = place.rpartition(":")
        if where.endswith(".py"):
            where = str(Path(where).resolve())
        return Target("py", f"{where}:{function}", dict(arguments or {}))
    if kind in RUNTIMES and place:
        return Target(kind, _existing(place, kind), dict(arguments or {}))
    meant = f"; did you mean hf:{text}?" if not colon and Path(text).is_dir() else ""
    raise ProbeError(
        f"{text!r} is no target{meant}",
        hint=f"a target is hf:DIR-or-ID, py:FILE.py:FUNCTION, py:package.module:FUNCTION, {_files()}",
    )


def _files() -> str:
    *first, last = (f"{kind}:FILE" for kind in RUNTIMES)
    return f"{', '.join(first)} or {last}"


def _existing(place: str, kind: str) -> str:
    path = Path(place)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise ProbeError(f"{place}: {what}", hint=f"give the file: {kind}:FILE")
    return str(path.resolve())


def read_arguments(texts: Sequence[str]) -> dict[str, Any]:
    """`key=value` each; a value is a Python literal where it reads as one, else text."""
    arguments: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise ProbeError(f"--arg {text!r} is not KEY=VALUE", hint="write --arg layers=6; repeat it for more")
        try:
            arguments[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            arguments[key] = value
    return arguments


def load(target: Target, options: LoadOptions) -> Loaded:
    """Bring up the model, in eval mode unless its function put it in train mode on purpose.

    Runs the target's own code (py:). ProbeError where it cannot be found or loaded.
    """
    if target.kind in RUNTIMES:
        raise ProbeError(f"{target} is no PyTorch model", hint="it can be recorded (probe dump), and not replayed")
    if options.dtype is not None and options.dtype not in DTYPES:
        raise ProbeError(f"unknown dtype {options.dtype!r}", hint=f"one of {', '.join(DTYPES)}")
    if target.kind == "hf":
        from probe.targets.hf import load_hf

        return load_hf(target, options)
    from probe.targets.py import load_py

    if options.attention:
        raise ProbeError("--attn has no effect on a py: target", hint="pass it to the function: --arg attn=eager")
    if options.trust_remote_code:
        raise ProbeError("--trust-remote-code has no effect on a py: target", hint="its code is run anyway")
    return load_py(target, options)


def to_device(model: nn.Module, options: LoadOptions) -> nn.Module:
    """Move and cast; an unknown or missing device is the user's to fix."""
    try:
        moved = model.to(options.device)
    except (RuntimeError, AssertionError) as error:
        raise ProbeError(f"cannot use device {options.device!r}: {message(error)}", hint="try --device cpu") from None
    return moved.to(DTYPES[options.dtype]) if options.dtype else moved
