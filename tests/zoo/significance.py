"""How far above rounding a bug's own effect is: whether this input can tell at all, in a narrow dtype.

Both candidates are run in fp32 module by module, the one with the bug on the inputs of the one without. The deepest
modules whose outputs then differ are where the bug acts. Its effect there, d, is held against

* the noise, measured by the same module in the narrow dtype: sqrt(sum(d^2 / sigma^2)), sigma the root mean square of
  a row's noise: what a matched filter could see;
* flips, where the arithmetic can be repeated bit for bit (no sums of products inside): an element is rounded to the
  other side with probability |d| / ulp, and the signs of n flips that all agree stand at sqrt(n).

The larger counts; independent of how a diff goes about it.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.draw import Inputs

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
FRACTION = {torch.bfloat16: 8, torch.float16: 11}
"""Bits of a significand, the leading one included."""


@torch.no_grad()
def significance(clean: nn.Module, planted: nn.Module, inputs: Inputs, dtype: torch.dtype) -> float:
    """In standard deviations, pooled over layers; both models in fp32."""
    without_cache(clean)
    without_cache(planted)
    calls = record_calls(clean, inputs)
    buggy = dict(planted.named_modules())
    effects: dict[str, Tensor] = {}
    for name, module in reversed(list(clean.named_modules())):  # children come before their parents
        if name not in calls or name not in buggy or any(_inside(other, name) for other in effects):
            continue
        effect = _effect(module, buggy[name], calls[name])
        if effect is not None:
            effects[name] = effect
    squares, flips = 0.0, 0.0
    modules = dict(clean.named_modules())
    for name, effect in effects.items():
        exact, narrow = _in_both(modules[name], calls[name], dtype)
        noise = narrow - exact
        sigma = noise.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-30)
        squares += float((effect / sigma).square().sum())
        if not any(weight.dim() > 1 for weight in modules[name].parameters()) or isinstance(
            modules[name], nn.Embedding
        ):
            ulp = torch.exp2(exact.abs().clamp(min=1e-30).log2().floor() - FRACTION[dtype] + 1)
            flips += float((effect.abs() / ulp).clamp(max=1).sum())
    return math.sqrt(max(squares, flips))


def without_cache(model: nn.Module) -> None:
    """A cache would grow with every call."""
    config = getattr(model, "config", None)
    if hasattr(config, "use_cache"):
        config.use_cache = False


def record_calls(model: nn.Module, inputs: Inputs) -> dict[str, Arguments]:
    """What every module was given in its first call."""
    calls: dict[str, Arguments] = {}

    def hook(name: str) -> Callable[..., None]:
        return lambda module, args, kwargs: calls.setdefault(name, (args, kwargs)) and None

    handles = [module.register_forward_pre_hook(hook(name), with_kwargs=True) for name, module in model.named_modules()]
    try:
        model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _inside(name: str, parent: str) -> bool:
    return not parent or name.startswith(f"{parent}.")


def _effect(clean: nn.Module, planted: nn.Module, call: Arguments) -> Tensor | None:
    """What the bug does to this module's output, or None."""
    first, second = (_output(module, *call) for module in (clean, planted))
    if first is None or second is None or first.shape != second.shape or not first.is_floating_point():
        return None
    effect = second - first
    return effect if float(effect.abs().max()) > 1e-7 * float(first.abs().max()) else None


def _in_both(module: nn.Module, call: Arguments, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The module in fp32 and in `dtype`, of the same rounded weights and inputs."""
    narrow = copy.deepcopy(module).to(dtype)
    wide = copy.deepcopy(narrow).float()
    rounded = _cast(call, dtype)
    exact, got = _output(wide, *_cast(rounded, torch.float32)), _output(narrow, *rounded)
    assert exact is not None
    assert got is not None
    return exact, got.float()


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, (tuple, list)):
        return type(value)(_cast(child, dtype) for child in value)
    if isinstance(value, dict):
        return {key: _cast(child, dtype) for key, child in value.items()}
    return value


def _output(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    output = module(*args, **kwargs)
    output = getattr(output, "logits", getattr(output, "last_hidden_state", output))
    output = output[0] if isinstance(output, tuple) else output
    return output if isinstance(output, Tensor) else None
