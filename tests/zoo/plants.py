"""How bugs get into a model: an attribute, a weight, an argument of a forward, or a function that a forward calls."""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.bug import Plant, Site

Change = Callable[[Tensor], Tensor]


def set_attribute(role: str, attribute: str, value: Any) -> Plant:
    """`value` may be a function of the attribute's present value."""

    def plant(site: Site) -> None:
        for module in site.modules(role):
            present = getattr(module, attribute)
            setattr(
                module, attribute, value(present) if callable(value) and not isinstance(value, nn.Module) else value
            )

    return plant


def set_config(attribute: str, value: Any) -> Plant:
    def plant(site: Site) -> None:
        assert hasattr(site.config, attribute)
        setattr(site.config, attribute, value)

    return plant


def change_weight(role: str, how: Callable[..., Tensor], parameter: str = "weight") -> Plant:
    """`how` gets the weight, and, where it takes two arguments, the site."""
    takes_site = how.__code__.co_argcount > 1 if hasattr(how, "__code__") else False

    @torch.no_grad()
    def plant(site: Site) -> None:
        for module in site.modules(role):
            weight = module.get_parameter(parameter)
            old = weight.clone()
            weight.copy_(how(old, site) if takes_site else how(old))

    return plant


def swap_weights(first: str, second: str, parameter: str = "weight") -> Plant:
    @torch.no_grad()
    def plant(site: Site) -> None:
        for one, other in zip(site.modules(first), site.modules(second), strict=True):
            ours, theirs = one.get_parameter(parameter), other.get_parameter(parameter)
            copy = ours.clone()
            ours.copy_(theirs)
            theirs.copy_(copy)

    return plant


def from_another_layer(role: str, parameter: str = "weight") -> Plant:
    """The weight of the next layer (the last one takes the first's) in its place."""

    @torch.no_grad()
    def plant(site: Site) -> None:
        count = num_layers(site)
        for layer in site.layers:
            other = Site(site.model, site.view, ((layer + 1) % count,), site.generator).modules(role)[0]
            own = Site(site.model, site.view, (layer,), site.generator).modules(role)[0]
            own.get_parameter(parameter).copy_(other.get_parameter(parameter))

    return plant


def num_layers(site: Site) -> int:
    config = site.config
    if site.view.startswith("whisper"):
        return int(getattr(config, site.view.replace("whisper-", "") + "_layers"))
    return int(config.num_hidden_layers)


def wrap(role: str, wrapper: Callable[..., Any]) -> Plant:
    """`wrapper(forward, module, *args, **kwargs)` in the place of each module's forward."""

    def plant(site: Site) -> None:
        for module in site.modules(role):
            wrap_forward(module, wrapper)

    return plant


def wrap_forward(module: nn.Module, wrapper: Callable[..., Any]) -> None:
    forward = module.forward
    module.forward = lambda *args, **kwargs: wrapper(forward, module, *args, **kwargs)


def with_function(role: str, name: str, replacement: Callable[..., Any]) -> Plant:
    """While the module runs, the global function `name` of its file is `replacement(original, module, ...)`."""

    def wrapper(forward: Any, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        namespace = vars(sys.modules[type(module).__module__])
        original = namespace[name]
        namespace[name] = lambda *given, **named: replacement(original, module, *given, **named)
        try:
            return forward(*args, **kwargs)
        finally:
            namespace[name] = original

    return wrap(role, wrapper)


def with_argument(role: str, name: str, change: Callable[..., Any]) -> Plant:
    """`change(value, module)` of the keyword argument `name`."""

    def wrapper(forward: Any, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return forward(*args, **{**kwargs, name: change(kwargs[name], module)})

    return wrap(role, wrapper)


def change_output(role: str, change: Callable[[Tensor], Tensor]) -> Plant:
    return wrap(role, lambda forward, module, *args, **kwargs: change(forward(*args, **kwargs)))


def together(*plants: Plant) -> Plant:
    def plant(site: Site) -> None:
        for one in plants:
            one(site)

    return plant
