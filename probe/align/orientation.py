"""Which axis of a weight is its output's: nn.Linear has [out, in], Conv1D and JAX kernels [in, out]."""

from collections.abc import Sequence

from probe.dump import Axis, View, Weight
from probe.tap import Tap

_OPPOSITE = {
    Axis.ROWS: Axis.COLUMNS,
    Axis.COLUMNS: Axis.ROWS,
    Axis.INNER_ROWS: Axis.INNER_COLUMNS,
    Axis.INNER_COLUMNS: Axis.INNER_ROWS,
}


def output_view(weight: Weight, taps: Sequence[Tap]) -> View:
    """The vectors that make one output channel each (of an embedding: one word), by what its module returned."""
    axis = Axis.ROWS
    output = next((tap.shape for tap in taps if not tap.is_input), ())
    if output and not any(tap.is_input and tap.dtype.startswith("int") for tap in taps):
        axis = _output_axis(weight.shape, output, taps[0].module_class)
    return next((view for view in weight.views if view.axis is axis), weight.views[0])


def _output_axis(weight: tuple[int, ...], output: tuple[int, ...], module_class: str) -> Axis:
    if len(weight) == 2:
        num_rows, num_columns = weight
        is_square = num_rows == num_columns
        is_transposed = "Conv1D" in module_class if is_square else output[-1] == num_columns
        return Axis.COLUMNS if is_transposed else Axis.ROWS
    if len(weight) == 3 and "Conv" not in module_class:
        if output[-2:] == weight[:2] or output[-1] == weight[0] * weight[1]:
            return Axis.INNER_ROWS
        if output[-2:] == weight[1:] or output[-1] == weight[1] * weight[2]:
            return Axis.COLUMNS
        if output[-1] == weight[2]:
            return Axis.INNER_COLUMNS
    return Axis.ROWS


def input_view(weight: Weight, output: View) -> View:
    """The vectors that belong to one input channel each."""
    return next((view for view in weight.views if view.axis is _OPPOSITE[output.axis]), weight.views[0])
