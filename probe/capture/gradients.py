"""Gradients of a backward pass that the user runs: they are looked at where they arise, and flow on as they are.

An output's is seen at the node of autograd's graph that made it, so that the tensor itself carries no hook, may be
changed in place afterwards, and counts with all of its uses. A parameter's is its `.grad` after each accumulation.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from probe.capture.hooks import Call, remove
from probe.capture.structure import output_tensors
from probe.capture.weights import named_weights
from probe.tap import tap_name

OnGradient = Callable[[Call, str, torch.Tensor], None]
"""Given the forward call that it belongs to, the port, and the gradient."""


class Gradients:
    """Shows what arises at the outputs that it is told of and at all parameters of a model."""

    def __init__(self, model: nn.Module, on_gradient: OnGradient) -> None:
        self._model = model
        self._on_gradient = on_gradient
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._parameters: dict[int, tuple[nn.Parameter, bool]] = {}
        """By id: those with a hook of ours, and whether they had hooks of this kind before."""
        self._seen: Counter[tuple[int, str, int, str]] = Counter()
        """By step, module, call and port: how many gradients there were."""
        self._step = 0
        """Of the forward call whose gradients are arising; after a forward call, that one's."""
        self.skipped: dict[str, str] = {}
        """Names of gradients that nobody can tell apart, and why they were not shown."""
        self._lock = Lock()
        """Each device has a thread of its own in a backward pass."""
        self._required = False
        """Whether any output or parameter required a gradient."""
        self._has_ended = False

    def begin(self) -> None:
        """From now on those of parameters are shown."""
        self._watch_parameters()

    @property
    def why_none(self) -> str | None:
        """In words, why there was no gradient; None where there was one."""
        if self._seen:
            return None
        if not self._required:
            return "nothing that ran required a gradient: it is frozen, or ran under torch.no_grad()"
        return "no backward pass ran inside the block"

    def watch(self, call: Call, output: Any) -> None:
        """Show the gradients of one call's outputs as soon as they arise; those of leaves are no output's."""
        if call.recomputed:
            call = replace(call, step=self._step)
        self._step = call.step
        for port, tensor in output_tensors(output):
            node = tensor.grad_fn
            if node is not None:
                self._required = True
                self._handles.append(node.register_prehook(self._on_node(call, port, tensor.output_nr)))
        if call.name == "":
            self._handles = [handle for handle in self._handles if handle.hooks_dict_ref() is not None]
            self._watch_parameters()  # some may be new, or trainable only now

    def remove(self) -> None:
        """Leave every tensor, node and parameter as it was."""
        self._has_ended = True
        remove(self._handles)
        for parameter, had_hooks in self._parameters.values():
            if not had_hooks and not parameter._post_accumulate_grad_hooks:
                parameter._post_accumulate_grad_hooks = None  # type: ignore[assignment]

    def _on_node(self, call: Call, port: str, index: int) -> Callable[[tuple[Any, ...]], None]:
        """Must not hold the output: it holds the node, and that holds this."""

        def hook(gradients: tuple[Any, ...]) -> None:
            self._step = call.step
            if call.recomputed and call.number:
                name = tap_name(call.name, 0, f"grad.{port}")
                self.skipped[name] = f"one of {call.number + 1} calls was run again, and it is not known which"
            elif gradients[index] is not None:
                self._show(call, port, gradients[index])

        return hook

    def _watch_parameters(self) -> None:
        names: dict[int, list[str]] = {}
        for name, parameter in named_weights(self._model):
            names.setdefault(id(parameter), []).append(name)
        for parameter in self._model.parameters():
            if not parameter.requires_grad or not parameter.is_leaf or id(parameter) in self._parameters:
                continue
            if is_lazy(parameter):
                continue
            self._required = True
            had_hooks = parameter._post_accumulate_grad_hooks is not None
            self._parameters[id(parameter)] = parameter, had_hooks
            hook = self._on_accumulation(names[id(parameter)])
            handle = parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
            self._handles.append(handle)

    def _on_accumulation(self, names: list[str]) -> Callable[[torch.Tensor], None]:
        def hook(parameter: torch.Tensor) -> None:
            if parameter.grad is None:  # an optimizer that steps within the backward pass has taken it
                return
            for name in names:
                module, _, leaf = name.rpartition(".")
                if leaf == "out":
                    self.skipped[tap_name(module, 0, "grad.out")] = "the parameter's has the name of the output's"
                    continue
                call = Call(self._model.get_submodule(module), module, 0, self._step, None)
                self._show(call, leaf, parameter.grad)

        return hook

    def _show(self, call: Call, place: str, gradient: torch.Tensor) -> None:
        if self._has_ended:
            return
        with self._lock:
            key = call.step, call.name, call.number, place
            again = self._seen[key]
            self._seen[key] += 1
            self._on_gradient(call, f"grad@{again}.{place}" if again else f"grad.{place}", gradient)
