"""Sizes written as `num_attention_heads*head_dim`: whole numbers, names, + - * // and parentheses; never executed."""

import re
from collections.abc import Callable

LONGEST = 200
"""Characters of an expression: no honest one is longer, and none this short takes long or nests deep."""
_TOKEN = re.compile(r"\s*([0-9]{1,18}|[A-Za-z_][A-Za-z0-9_.]*|//|[-+*()])")


def evaluate(expression: str, value_of: Callable[[str], int]) -> int:
    """Its value. ValueError says, in words, what is wrong with it; `value_of` raises its own for an unknown name."""
    if len(expression) > LONGEST:
        raise ValueError(f"{expression[:30]!r}... is longer than {LONGEST} characters")
    return _Reader(expression, value_of).whole()


class _Reader:
    """One expression, read from left to right."""

    def __init__(self, expression: str, value_of: Callable[[str], int]) -> None:
        self._expression = expression
        self._value_of = value_of
        self._tokens: list[str] = []
        at = 0
        while expression[at:].strip():
            found = _TOKEN.match(expression, at)
            if not found:
                raise self._refused()
            self._tokens.append(found[1])
            at = found.end()
        self._tokens.reverse()

    def whole(self) -> int:
        value = self._sum()
        if self._tokens:
            raise self._refused()
        return value

    def _sum(self) -> int:
        value = self._product()
        while self._next() in ("+", "-"):
            value = value + self._product() if self._tokens.pop() == "+" else value - self._product()
        return value

    def _product(self) -> int:
        value = self._single()
        while self._next() in ("*", "//"):
            if self._tokens.pop() == "*":
                value *= self._single()
            elif divisor := self._single():
                value //= divisor
            else:
                raise ValueError(f"{self._expression!r} divides by zero")
        return value

    def _single(self) -> int:
        token = self._tokens.pop() if self._tokens else ""
        if token == "(":
            value = self._sum()
            if self._next() != ")":
                raise self._refused()
            self._tokens.pop()
            return value
        if token.isdigit():
            return int(token)
        if token[:1].isalpha() or token[:1] == "_":
            return self._value_of(token)
        raise self._refused()

    def _next(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def _refused(self) -> ValueError:
        return ValueError(f"cannot read {self._expression!r}: whole numbers, names, + - * // and parentheses are known")
