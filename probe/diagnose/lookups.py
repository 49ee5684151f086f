"""Where rows of a table are looked up, at which places, and where else the candidate may have looked.

N tokens in all, C channels, V rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from probe.diagnose.case import Case
from probe.diagnose.edits import result
from probe.replay.program import Call, Edit, Leaf, Program, Result, Value
from probe.trust.fed import Role, role_of

_LOOKS_UP = {"embedding", "__getitem__", "index_select"}
EXACT = 1e-6
"""Relative: what float64 leaves of a sum of a few rows is far less."""
CHANNELS = 64
"""Of a row, by which the nearest one is looked for; whether it is the right one is seen by all of them."""
AT_ONCE = 64
"""Tokens that are compared with a whole table at a time."""


@dataclass(frozen=True)
class Lookup:
    """One call that takes rows of a matrix of the model."""

    call: Call
    table: Leaf
    """(V, C)"""
    ids: Value
    """Whole numbers."""
    role: Role

    @property
    def module(self) -> str:
        return self.table.name.rpartition(".")[0]

    def at(self, ids: Tensor) -> Edit:
        """The call with rows of other places."""
        position = next(n for n, argument in enumerate(self.call.args) if argument is self.table)

        def edit(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
            table_VC: Tensor = args[position]
            return table_VC[ids.to(table_VC.device)]

        return edit


def lookups(program: Program) -> Iterator[Lookup]:
    """Of tokens and of positions."""
    for call in program.calls:
        tables = [v for v in call.inputs if isinstance(v, Leaf) and v.is_weight and v.tensor.dim() == 2]
        if call.name not in _LOOKS_UP or len(call.inputs) != 2 or len(tables) != 1:
            continue
        ids = next(value for value in call.inputs if value is not tables[0])
        role = role_in(program, ids)
        if role in (Role.TOKENS, Role.POSITIONS) and any(argument is tables[0] for argument in call.args):
            yield Lookup(call, tables[0], ids, role)


def role_in(program: Program, ids: Value) -> Role:
    """What whole numbers are: by the name under which the model was fed them, or else positions if they count up."""
    numbers = program.value(ids)
    leaves = Program(ids).leaves
    if numbers.is_floating_point() or any(leaf.tensor.is_floating_point() for leaf in leaves):
        return Role.OTHER
    for leaf in leaves:
        if leaf.name.startswith(":in") and torch.equal(leaf.tensor.reshape(-1), numbers.reshape(-1)):
            role = role_of(leaf.name.removeprefix(":in").removeprefix("."), leaf.tensor.cpu().numpy())
            if role is not Role.OTHER:
                return role
    if counts_up(numbers):
        return Role.POSITIONS
    return Role.TOKENS if int(numbers.max()) > 1 else Role.OTHER


def counts_up(numbers: Tensor) -> bool:
    """(..., T) from token to token by one, where they do not stand still: padding."""
    if numbers.dim() == 0 or numbers.shape[-1] < 2:
        return False
    steps = numbers.diff(dim=-1)
    return bool(((steps == 0) | (steps == 1)).all()) and bool((steps == 1).any())


def other_ids(case: Case, lookup: Lookup) -> Tensor | None:
    """Whose rows the candidate has; None where more than a factor and a sum lies between the rows and the place.

    A token whose row is the reference's own keeps its number, whatever other row is equal.
    """
    program = case.program
    rows = program.value(Result(lookup.call))
    base = program.run({lookup.call: result(torch.zeros_like)})
    if base.shape != case.exact.shape or rows.shape[-1] != base.shape[-1] or rows.dim() > base.dim():
        return None
    added = case.exact - base
    factor = float((added * rows).sum() / rows.square().expand(base.shape).sum())
    apart = torch.linalg.vector_norm(added - factor * rows)
    if not factor or not float(apart) <= EXACT * float(torch.linalg.vector_norm(added)):
        return None
    wanted_NC = ((case.candidate - base) / factor).reshape(-1, base.shape[-1])
    own = program.value(lookup.ids).expand(base.shape[:-1]).reshape(-1)
    table_VC = lookup.table.tensor.detach()
    counts = counting(case, base.shape[:-1]).reshape(-1)
    found = torch.where(counts, nearest(wanted_NC, table_VC), own)
    closer = [torch.linalg.vector_norm(wanted_NC - table_VC[ids].double(), dim=1) for ids in (found, own)]
    return torch.where(closer[0] < closer[1], found, own).reshape(base.shape[:-1])


def counting(case: Case, shape: tuple[int, ...]) -> Tensor:
    """Which tokens are compared: all channels of them."""
    return case.counts.reshape(*shape, -1).all(-1)


def nearest(wanted_NC: Tensor, table_VC: Tensor) -> Tensor:
    """[N]: the row that lies nearest, by some of the channels."""
    step = max(1, wanted_NC.shape[1] // CHANNELS)
    wanted, table = wanted_NC[:, ::step].double(), table_VC[:, ::step].double()
    squares_V = table.square().sum(1)
    parts = [
        (squares_V - 2 * some @ table.T).argmin(1) for some in wanted.nan_to_num().chunk(1 + len(wanted) // AT_ONCE)
    ]
    return torch.cat(parts)
