"""What a tap is: one tensor of a run, its place and its statistics. No values: those stay in the dump.

Named tuples: a run makes two a tap, and a frozen dataclass takes three times as long to make.
"""

import re
from typing import NamedTuple


class Statistics(NamedTuple):
    """Of all finite elements of a tensor, as real numbers; of a complex tensor, of its absolute values."""

    minimum: float
    maximum: float
    mean: float
    std: float
    l2: float
    """Euclidean norm."""
    num_nan: int
    num_inf: int
    hash: int
    """64 bits that depend on every byte and its place: equal tensors have equal hashes."""


_NAN = float("nan")
UNMEASURED = Statistics(_NAN, _NAN, _NAN, _NAN, _NAN, 0, 0, 0)


class Tap(NamedTuple):
    """One tensor recorded in a run."""

    name: str
    """`module:port`, or `module@1:port` on the module's second call in a step."""
    module: str
    """Dotted path in the model that was run; "" is the model itself. Functions are its children `@<function>`."""
    module_class: str
    """Of a function, its name."""
    call: int
    """How often this module had been called before in this step."""
    port: str
    """`in`, `in.1`, `in.<keyword>`, `out`, `out.1`, `out.<key>`; from a backward pass `grad.out`, `grad.out.1`, ...:
    gradients of what the call returned, and `grad.<parameter>`: its `.grad`. One that arises again is `grad@1.out`."""
    step: int
    order: int
    """Place in the order of execution within the step."""
    shape: tuple[int, ...]
    dtype: str
    """As torch says it: "float32", "bfloat16", "int64"."""
    statistics: Statistics = UNMEASURED

    def measured(self, statistics: Statistics) -> "Tap":
        """The same tap with statistics."""
        return Tap(*self[:-1], statistics)

    @property
    def is_input(self) -> bool:
        return self.port == "in" or self.port.startswith("in.")

    @property
    def is_functional(self) -> bool:
        """Whether it is of a torch function that a module's code calls, as `self_attn.@softmax:in`."""
        return self.module.rpartition(".@")[1] != "" or self.module.startswith("@")

    @property
    def owner(self) -> str:
        """The module whose code calls the function; of other taps the module itself."""
        return self.module.rpartition(".@")[0] if ".@" in self.module else "" if self.is_functional else self.module

    @property
    def is_returned(self) -> bool:
        """Whether the model itself returns it."""
        return not self.module and not self.is_input and not self.is_gradient

    @property
    def is_gradient(self) -> bool:
        """Whether it arose in a backward pass: then its place in the order is there, its step that of the forward."""
        return self.port.startswith(("grad.", "grad@"))

    @property
    def num_elements(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count


def tap_name(module: str, call: int, port: str) -> str:
    """`model.norm:out`, or `model.norm@1:out` for the second call of a module in one step."""
    return f"{module}@{call}:{port}" if call else f"{module}:{port}"


_NUMBERED = re.compile(r"(?P<name>|(?:[a-z_]*_)?(?:layer|block)_?)(?P<number>0|[1-9][0-9]*)$", re.ASCII)


def template(module: str) -> tuple[str, tuple[int, ...]]:
    """`model.layers.3.mlp` as (`model.layers.{i}.mlp`, (3,)): what repeats through the layers, and where this one is.

    Further numbers become `{j}`, `{k}`, as in a mapping table. `layer_3` and `block3` count too, `norm_2` does not.
    """
    letters = iter("ijklmnopqrstuvwxyz")
    indices: list[int] = []
    parts = []
    for part in module.split("."):
        found = _NUMBERED.match(part)
        if found and len(indices) < 18:
            indices.append(int(found["number"]))
            parts.append(found["name"] + "{" + next(letters) + "}")
        else:
            parts.append(part)
    return ".".join(parts), tuple(indices)
