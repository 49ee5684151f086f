"""What a bug is: a name, its cause, the models it fits, how it is planted, and where it should be found."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tests.zoo.roles import Roles
from tests.zoo.views import VIEWS


@dataclass(frozen=True)
class Site:
    """Where a bug is planted: a model of a view, in these layers."""

    model: nn.Module
    view: str
    layers: tuple[int, ...]
    generator: torch.Generator

    def names(self, role: str, roles: Roles | None = None) -> list[str]:
        """The module's name in each of the layers; one name where the role is in none."""
        name = (roles or VIEWS[self.view][1])[role]
        return [name.replace("{i}", str(layer)) for layer in self.layers] if "{i}" in name else [name]

    def modules(self, role: str) -> list[Any]:
        return [self.model.get_submodule(name) for name in self.names(role)]

    @property
    def config(self) -> Any:
        return self.model.config


Plant = Callable[[Site], None]


@dataclass(frozen=True)
class Bug:
    """One way to be wrong.

    `weights` changes the reference's weights before a port is made of them (or leaves the model as the port),
    `code` changes the code of a transformers model, `spec` the numbers that tests/zoo/decoder.py is built from. One or
    several; each plants the same bug.
    """

    name: str
    cause: str
    fits: tuple[str, ...]
    """Views."""
    places: tuple[str, ...]
    """Roles; any of them is right, where code and data part or a port has no point between."""
    weights: Plant | None = None
    code: Plant | None = None
    spec: Callable[[Any], Any] | None = None
    """A layer's settings to other ones; the whole model's, where `scope` is "model"."""
    scope: str = "layers"
    """"layers": in one or in all of them, as drawn; "layer": one; "all": all; "model": in none."""
    also: tuple[str, ...] = ()
    """Other causes that say the same."""
    config: dict[str, Any] = field(default_factory=dict)
    """What the reference's configuration must have for the bug to be one."""
    has: Callable[[Any, int], bool] = lambda config, layer: True
    """Of a configuration and a layer: whether the bug would be one there."""
    dtypes: tuple[str, ...] = ("fp32", "bf16", "fp16")
    """Candidates in which it is one."""
    fed: Callable[[Any, torch.Generator], Any] | None = None
    """Changes what both are fed."""

    @property
    def causes(self) -> tuple[str, ...]:
        return (self.cause, *self.also)

    def where(self, site: Site, style: str, roles: Roles | None = None) -> tuple[str, ...]:
        """Names of the reference's modules where it may be found in a candidate of this style.

        `roles` are the reference's, where they are not the view's.
        """
        known = roles or VIEWS[site.view][1]
        functional = [AROUND[role] for role in self.places if role in AROUND] if style in FUNCTIONAL_NORMS else []
        shared = [AFTER[role] for role in self.places if role in AFTER] if style in SHARED_EPS else []
        shared = shared if self.cause == "norm.eps" else []
        roles_at = (*self.places, *functional, *shared)
        return tuple(name for role in roles_at if role in known for name in site.names(role, known))


FUNCTIONAL_NORMS = ("nano decoder",)
"""Styles in which a norm is a line in its parent's code: nothing tells the line from its neighbours but its cause."""
SHARED_EPS = ("plain decoder", "fused decoder", "nano decoder")
"""Styles in which the norm after attention, or after the MLP, has the eps of the one before."""
AFTER = {"attn_norm": "post_attn_norm", "mlp_norm": "post_mlp_norm"}
AROUND = {
    "attn_norm": "layer",
    "mlp_norm": "layer",
    "post_attn_norm": "layer",
    "post_mlp_norm": "layer",
    "q_norm": "attn",
    "k_norm": "attn",
    "final_norm": "model",
}
