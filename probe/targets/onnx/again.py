"""A graph's quantized weights, read again from its file: what one whole number is worth, and how inputs are rounded."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from probe.errors import ProbeError
from probe.tap import tap_name
from probe.targets.onnx.graph import Array, Graph, Node, read_graph
from probe.targets.onnx.homes import homes_of
from probe.targets.onnx.quantized import bits_of, step_of
from probe.targets.onnx.roundings import WHOLE, Rounding
from probe.targets.onnx.taps import module_taps
from probe.targets.onnx.unrounded import Unrounded
from probe.targets.onnx.weights import Use, Weights
from probe.targets.rerun import Rerun, Rerunning, Rounded, nothing_rerun
from probe.targets.stored import StoredWeight

Change = Callable[[torch.Tensor], torch.Tensor]


def stored_in(path: Path) -> Callable[[str], tuple[torch.Tensor, StoredWeight] | None]:
    """Given a weight's name: the tensor as it is recorded, and what is known of it; None for what is no quantized
    matrix. ProbeError where the file cannot be read."""
    graph = read_graph(path)
    weights = Weights(graph, {})
    uses = homes_of(graph, weights).weights

    def found(name: str) -> tuple[torch.Tensor, StoredWeight] | None:
        use = uses.get(name)
        array = weights.array(use) if use else None
        step = step_of(graph, use.node, use.value) if use else None
        if use is None or array is None or step is None or array.ndim > 2:
            return None
        recorded, steps = torch.from_numpy(np.ascontiguousarray(array)), torch.from_numpy(np.array(step))
        is_OI = array.ndim == 1 or use.node.op in ("Gather", "MatMulNBits") or bool(use.node.attributes.get("transB"))
        if not is_OI:
            steps = steps.expand_as(recorded).T
        values = recorded if is_OI else recorded.T
        return recorded, StoredWeight(
            f"int{bits_of(graph, use.node, use.value)}", values, steps, rounding_of(graph, use)
        )

    return found


def rerunning_of(path: Path) -> Rerunning:
    """ProbeError where the file cannot be read."""
    graph = read_graph(path)
    parts = Unrounded(graph)
    if not parts:
        return nothing_rerun
    weights = Weights(graph, {})
    names = {
        tap_name(tap.module, tap.call, tap.port): str(tap.value)
        for tap in module_taps(graph, homes_of(graph, weights), weights)
    }

    def rerun(fed: Mapping[str, Array], targets: Sequence[str], mended: bool) -> Rerun | None:
        if not all(name in names for name in (*fed, *targets)):
            return None
        try:
            found = parts.rerun(
                {names[name]: fed[name] for name in fed}, [names[one] for one in targets], mended=mended
            )
        except ProbeError:
            return None
        if found is None:
            return None
        return Rerun(
            {name: found.as_it_is[names[name]] for name in targets},
            {name: found.unrounded[names[name]] for name in targets},
            tuple(_rounded(one, found.given[one.given]) for one in found.roundings),
        )

    return rerun


def _rounded(one: Rounding, given: Array) -> Rounded:
    step, zero = float(one.scale.mean()), float(one.zero.mean())
    low, high = WHOLE[one.kind]
    return Rounded(given, one.kind, step, (low - zero) * step, (high - zero) * step, one.factor, one.shift)


def rounding_of(graph: Graph, use: Use) -> Change | None:
    """What is done to a product's other operand, where it is rounded to integers."""
    given = graph.producer.get(use.node.inputs[0]) if use.node.op != "Gather" else None
    if given is None:
        return None
    if given.op == "DynamicQuantizeLinear":
        return dynamically
    rounder = graph.producer.get(given.inputs[0]) if given.op == "DequantizeLinear" else None
    return _with_scale(graph, rounder) if rounder and rounder.op == "QuantizeLinear" else None


def dynamically(given: torch.Tensor) -> torch.Tensor:
    """ONNX's DynamicQuantizeLinear and back: eight bits from the smallest number, or 0, to the largest."""
    wide = given.float()
    low, high = wide.amin().clamp(max=0), wide.amax().clamp(min=0)
    scale = (high - low) / 255
    zero = (-low / scale).round().clamp(0, 255)
    return (((wide / scale).round() + zero).clamp(0, 255) - zero).mul(scale).to(given.dtype)


def _with_scale(graph: Graph, rounder: Node) -> Change | None:
    scale, zero = (graph.initializers.get(value) for value in rounder.inputs[1:3])
    if scale is None or zero is None or scale.size != 1 or zero.dtype.kind not in "iu":
        return None
    worth, offset, limits = float(scale), int(zero), np.iinfo(zero.dtype)

    def rounding(given: torch.Tensor) -> torch.Tensor:
        whole = ((given.float() / worth).round() + offset).clamp(int(limits.min), int(limits.max))
        return ((whole - offset) * worth).to(given.dtype)

    return rounding
