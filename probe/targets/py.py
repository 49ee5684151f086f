"""py: a function of the user's that returns an nn.Module, or a module and its inputs."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from probe.errors import ProbeError
from probe.targets.target import Loaded, LoadOptions, Target, to_device


def load_py(target: Target, options: LoadOptions) -> Loaded:
    """Import the file or module and call its function. This runs the user's code."""
    where, _, name = target.place.rpartition(":")
    function = _function(where, name)
    try:
        made = function(**target.arguments)
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise ProbeError(
            f"{target} raised {type(error).__name__}: {error} ({Path(at.filename).name}, line {at.lineno})",
            hint="the function must return an nn.Module, or (module, inputs); --arg key=value passes it arguments",
        ) from error
    model, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, nn.Module):
        raise ProbeError(
            f"{target} returned {type(made).__name__}, not an nn.Module", hint="return the model, or (model, inputs)"
        )
    return Loaded(to_device(model, options), _named_inputs(model, inputs, target), None)


def _function(where: str, name: str) -> Callable[..., Any]:
    try:
        module = _import_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except ProbeError:
        raise
    except Exception as error:
        raise ProbeError(
            f"cannot import {where}: {type(error).__name__}: {error}", hint="run 'python' on it to see where it fails"
        ) from error
    found = getattr(module, name, None)
    if not callable(found):
        callables = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ProbeError(f"{where} has no function {name!r}", hint=f"it has {', '.join(callables[:8]) or 'none'}")
    return found  # type: ignore[no-any-return]


def _import_file(path: Path) -> Any:
    """The file as a module; its folder goes first on sys.path, as when it is run."""
    if not path.is_file():
        raise ProbeError(f"{path}: no such file", hint="a py: target is py:FILE.py:FUNCTION")
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(path.parent))
    sys.modules.setdefault(path.stem, module)  # dataclasses and pickles of the file look it up
    specification.loader.exec_module(module)
    return module


def _named_inputs(model: nn.Module, inputs: Any, target: Target) -> dict[str, torch.Tensor] | None:
    """Inputs given as one tensor, a tuple or a dict, by the names of forward's parameters."""
    if inputs is None:
        return None
    if isinstance(inputs, dict):
        return inputs
    from probe.targets.inputs import forward_parameters

    given = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
    names = forward_parameters(model)
    if len(given) > len(names):
        raise ProbeError(f"{target} returned {len(given)} inputs, but its forward takes {len(names)}")
    return dict(zip(names, given, strict=False))
