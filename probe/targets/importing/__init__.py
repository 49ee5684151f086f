"""Arrays that any runtime wrote, as a dump: `probe import`.

An array's key is its name in an archive, or its path in a folder without the suffix. It says what the array is:

    model.layers.0.mlp                 the tap model.layers.0.mlp:out
    model.layers.0.mlp:in              a port: in, in.1, in.<keyword>, out, out.1, out.<key>
    model.norm@1:out                   the second call of a module in one step
    0003_model.layers.0.mlp            with its place in the order of execution; 0003-model... too
    step1/0003_model.layers.0.mlp      of step 1; step_1, step-1 and iteration_1 too
    model.layers.0.mlp-step1           of step 1, as TensorRT-LLM's debug_mode names its files
    inputs/input_ids                   what the model was fed; step1/inputs/input_ids in a later step
    weights/model.layers.0.mlp.weight  a weight

Any other "/" is read as ".": model/layers/0/mlp is model.layers.0.mlp.
"""

from probe.targets.importing.write import ImportJob, import_arrays

__all__ = ["ImportJob", "import_arrays"]
