"""The dump file: one HDF5 file a run, read and written only here.

    /                      attributes: format="probe-dump", version=2, complete, target, target_signature,
                           environment, config, notes (all but the first three JSON); and, where `probe dump` learned it
                           once the run had ended, repetition and prompt (JSON too); detail (JSON) where not all
                           values were kept (detail.py); stored (JSON: by type, names of weights), where a runtime's
                           file has weights in types that are told dequantized
    /inputs/<step>/<name>  what the model's forward was given, by the name of the parameter. The group's attribute
                           past (an integer) is the number of tokens that the model held in its cache before the step;
                           none where there is no such attribute
    /steps/<step>/<tap>    one dataset a tap, created in the order of execution. A tensor that was recorded before
                           (an input that is another module's output) is a second hard link to the same dataset.
                           A torch function that a module's code calls is a child of it whose name begins with @:
                           `self_attn.@attention:in.query`, and `.@silu.1` for a second one in the same call; numbers
                           that it was given (scale, is_causal) are 0-d. "/" and "%" in a name are written %2F and %25.
                           With `--sketch K` a tensor [..., C] that this makes smaller is a dataset [..., K + 1] of
                           float32 (float64 for float64): K projections (projection.py) and the norm of each token;
                           with `--stats-only` there is no dataset. With `--tokens-slice` taps, their shapes and
                           statistics are of these tokens alone; what was fed is whole. With `--compress` a tap that
                           gets smaller is in chunks, through HDF5's own shuffle and deflate filters (squeezed.py).
                           Gradients (ports "grad...", Tap.port) are taps too, in the order in which they arose
    /taps                  one row a tap: step, order, tap, module, class, call, port, shape, dtype, statistics. Of a
                           sketched tap these are l2, nan and inf of the tensor (the others NaN), and the hash is the
                           sketch's
    /repetition            one row for each of /taps that is no gradient, where `probe dump --repeat` saw a difference:
                           how far the run was from its own repetition, and from one given the recorded tensors
    /weights               one row a parameter: name, module, tied, shape, dtype, statistics, rows, columns
    /weight_sketches       a norm and eight projections of every row and every column of every weight, and of those of
                           three axes and more also along their inner ones (Weight.views)
    /weight_values/<name>  the values of one-dimensional parameters

bfloat16 and fp8 are HDF5 floating-point types of their own (dtypes.py). Values are contiguous, but those that were
compressed. Tables are in chunks, each with a checksum, as all of HDF5's own structures have one (its format 1.8); text
is of fixed length, as wide as the longest of its column. `complete` is set last: a file whose writer died has it false,
ends in ".partial", and is readable up to the last second.

Version 1: a hash of our own.
Version 2: hashes are XXH3; a boolean mask of attention is True where a key is seen.
"""

from probe.dump.reader import Dump
from probe.dump.statistics import tensor_hash
from probe.dump.weight import Axis, Sketches, View, Weight, projections
from probe.dump.writer import DumpWriter

__all__ = ["Axis", "Dump", "DumpWriter", "Sketches", "View", "Weight", "projections", "tensor_hash"]
