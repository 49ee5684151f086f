"""Attention in one vocabulary, whatever computes it: found by where tensors go, and by no name of a class.

One call of scaled_dot_product_attention, or softmax of a product of two activations (scaled, capped, masked in between)
whose result is multiplied by a third: both are `@attention` of the module whose code multiplies query and key.

B sentences, H heads, T queries, S keys, D channels. Ports: `in.query` [B, H, T, D]; `in.key` and `in.value` (before
they are repeated for several query heads); `in.mask` (of a boolean one True where a key is seen); numbers as 0-d
tensors, `in.scale`, `in.softcap`, and those flags of the fused function that are not what they are by default;
`out.scores` and `out.probabilities` [B, H, T, S] where there are such tensors; `out` [B, H, T, D].
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from probe.capture.einsum import product_of
from probe.capture.functions import Function, Kind, is_weight
from probe.capture.hooks import Call
from probe.capture.living import Living
from probe.capture.repeated import Repeated, repeated, turned
from probe.capture.scores import Mask, Scores, Seen, carried


@dataclass(frozen=True, slots=True)
class _Probabilities:
    owner: Call
    call: Call
    num_tokens: int


Show = Callable[[Call, Iterable[Seen], Call | None], Call]
"""Given the owner, tensors, and the pseudo-child's call if it has been shown before; returns that call."""


class Attention:
    """Follows tensors from product to product."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._known = Living()

    def takes(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether a call is a part of attention, and is shown as such alone."""
        if function.kind is Kind.FUSED_ATTENTION:
            return True
        if function.kind is Kind.SOFTMAX:
            return isinstance(self._of(args, kwargs), Scores)
        factors = _factors(function, args)
        return factors is not None and isinstance(self._known.get(factors[0]), _Probabilities)

    def minds(self, name: str) -> bool:
        """Whether `carry` may have anything to do after a call of that name; mostly not."""
        return name in _MERGES or bool(self._known)

    def carry(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """After a call that leaves a tensor what it is."""
        if not isinstance(result, torch.Tensor):
            return
        if name in _MERGES and args and isinstance(args[0], torch.Tensor) and (found := repeated(name, args, result)):
            self._known.note(result, found)
        if not self._known:
            return
        for argument in args[0] if name == "cat" and args and isinstance(args[0], (tuple, list)) else args:
            known = self._known.get(argument) if isinstance(argument, torch.Tensor) else None
            if known is not None:
                if isinstance(known, Repeated):
                    known = turned(known, name, args, result)
                elif isinstance(known, Scores):
                    known = carried(known, name, args, argument)
                self._known.note(result, known)
                return

    def follow(
        self, owner: Call, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> None:
        """After a call of another kind."""
        with torch._C.DisableTorchFunction():
            if function.kind is Kind.FUSED_ATTENTION:
                self._fused(owner, args, kwargs, result)
            elif function.kind is Kind.SOFTMAX:
                self._softmax(args, kwargs, result)
            elif function.kind is Kind.PRODUCT:
                self._product(owner, function, args, result)
            elif function.name == "tanh" and isinstance(known := self._of(args, kwargs), Scores):
                capped = replace(known, scale=known.scale / known.last_factor, cap=1 / known.last_factor)
                self._known.note(result, capped)

    def _of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = args[0] if args else kwargs.get("input")
        return self._known.get(given) if isinstance(given, torch.Tensor) else None

    def _product(self, owner: Call, function: Function, args: tuple[Any, ...], result: Any) -> None:
        factors = _factors(function, args)
        if factors is None:
            return
        left, right = factors
        known = self._known.get(left)
        if isinstance(known, _Probabilities):
            self._mixed(known, args[0] if function.name == "einsum" else "", left, right, result)
        elif left.dim() >= 3 and right.dim() >= 3 and not is_weight(right) and not is_weight(left):
            if function.name == "einsum":
                if product := product_of(args[0], left, right):
                    query, key = Seen("in.query", product.left, left), self._plain("in.key", right)
                    if key.tensor is right:
                        key = Seen("in.key", product.right.transpose(-1, -2), right)
                        self._known.note(result, Scores(owner, query, key, product=product))
                return
            key = self._plain("in.key", right, is_turned=True)
            added = (args[0],) if function.name == "baddbmm" else ()
            self._known.note(result, Scores(owner, Seen("in.query", left), key, masks=tuple(map(Mask, added))))

    def _mixed(
        self, known: _Probabilities, equation: str, left: torch.Tensor, right: torch.Tensor, result: torch.Tensor
    ) -> None:
        value, out = self._plain("in.value", right), Seen("out", result)
        if equation:
            product = product_of(equation, left, right, known.num_tokens)
            if product is None or value.tensor is not right:
                return
            value, out = Seen("in.value", product.right, right), Seen("out", product.arranged(result), result)
        self._show(known.owner, [value, out], known.call)

    def _plain(self, port: str, tensor: torch.Tensor, *, is_turned: bool = False) -> Seen:
        """Keys or values [.., S, D] with as many heads as were projected; `is_turned`: given as [.., D, S]."""
        known = self._known.get(tensor)
        plain, source = tensor, None
        if isinstance(known, Repeated):
            plain, source, is_turned = known.plain, tensor, known.is_turned != is_turned
        if is_turned:
            plain, source = plain.transpose(-1, -2), tensor
        return Seen(port, plain, source)

    def _softmax(self, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        scores = args[0] if args else kwargs["input"]
        known = self._known.get(scores)
        if not isinstance(known, Scores) or kwargs.get("dim", args[1] if len(args) > 1 else -1) not in _last(scores):
            return
        tensors = [known.query, known.key, _number("in.scale", known.scale), *_masks(known.masks)]
        tensors += [_number("in.softcap", known.cap)] if known.cap is not None else []
        tensors += [known.arranged("out.scores", scores), known.arranged("out.probabilities", result)]
        call = self._show(known.owner, tensors, None)
        self._known.note(result, _Probabilities(known.owner, call, known.query.tensor.shape[-2]))

    def _fused(self, owner: Call, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = dict(zip(names, args, strict=False)) | kwargs
        query, mask, scale = given["query"], given.get("attn_mask"), given.get("scale")
        tensors = [Seen("in.query", query), self._plain("in.key", given["key"])]
        tensors.append(_number("in.scale", query.shape[-1] ** -0.5 if scale is None else scale))
        tensors += _masks((Mask(mask),) if isinstance(mask, torch.Tensor) else ())
        tensors += [_number(f"in.{name}", value) for name, value in given.items() if name in _FLAGS and value]
        self._show(owner, [*tensors, self._plain("in.value", given["value"]), Seen("out", result)], None)


_FLAGS = ("is_causal", "dropout_p", "enable_gqa")
"""Arguments that are taps where they are not what they are by default."""
_MERGES = frozenset({"reshape", "flatten", "view", "contiguous", "repeat_interleave"})


def _factors(function: Function, args: tuple[Any, ...]) -> tuple[torch.Tensor, torch.Tensor] | None:
    """What a call multiplies; None where that is not two tensors."""
    if function.kind is not Kind.PRODUCT or function.name == "addmm":
        return None
    given = args[1:] if function.name in ("einsum", "baddbmm") else args
    if function.name == "einsum" and len(given) == 1 and isinstance(given[0], (list, tuple)):
        given = tuple(given[0])
    if len(given) < 2 or not all(isinstance(one, torch.Tensor) for one in given[:2]):
        return None
    return (given[0], given[1]) if function.name != "einsum" or len(given) == 2 else None


def _masks(masks: Iterable[Mask]) -> list[Seen]:
    return [mask.seen(f"in.mask.{index}" if index else "in.mask") for index, mask in enumerate(masks)]


def _number(port: str, value: float | bool) -> Seen:
    return Seen(port, torch.tensor(value, dtype=torch.bool if isinstance(value, bool) else torch.float64))


def _last(scores: torch.Tensor) -> tuple[int, int]:
    return -1, scores.dim() - 1
