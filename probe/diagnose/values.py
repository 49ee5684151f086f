"""Finding one's way in a program: who made a value, who uses it, and what is the same but for a cast."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from probe.replay.program import Call, Edit, Program, Result, Value

MULTIPLY = {"mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__"}
DIVIDE = {"div", "div_", "divide", "true_divide", "__truediv__", "__itruediv__"}
ADD = {"add", "add_", "__add__", "__radd__", "__iadd__"}
SUBTRACT = {"sub", "sub_", "subtract", "__sub__", "__isub__"}
CASTS = {"to", "float", "double", "half", "bfloat16", "type", "type_as", "contiguous", "clone"}

Users = Mapping[int, list[Call]]
"""Of each call, by its id, the calls that are given what it returned."""


def users_in(program: Program) -> Users:
    users: dict[int, list[Call]] = defaultdict(list)
    for call in program.calls:
        for made in dict.fromkeys(value.call for value in call.inputs if isinstance(value, Result)):
            users[id(made)].append(call)
    return users


def after(call: Call, users: Users) -> list[Call]:
    """Who uses a call's result, casts aside."""
    found: list[Call] = []
    for user in users.get(id(call), ()):
        found += after(user, users) if user.name in CASTS else [user]
    return found


def bare(value: Value) -> Value:
    """A value as it was before it was cast."""
    while isinstance(value, Result) and value.call.name in CASTS and value.call.inputs:
        value = value.call.inputs[0]
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two arguments are one value, casts aside."""
    one, other = (bare(value) if isinstance(value, Result) else value for value in (one, other))
    if isinstance(one, Result) and isinstance(other, Result):
        return one.call is other.call and one.path == other.path
    return one is other


def places(call: Call, value: Value) -> list[int]:
    """At which positions a call is given a value."""
    return [place for place, given in enumerate(call.args) if same(given, value)]


def passing(call: Call, value: Value) -> Edit:
    """The call answered by one of its arguments."""
    place = places(call, value)[0]
    return lambda function, args, kwargs: args[place]
