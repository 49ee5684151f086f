"""`onnx:FILE`: a graph in ONNX Runtime, with the value of every node recorded under the names of modules.

graph       the file; scopes: what the exporter wrote down of modules
session     ONNX Runtime
feeding     what the graph is fed
homes       the modules around each node; calls and boundary: their calls and ports
weights     constants as weights
taps        all of it as taps, in order; attention among them, found from its scores
roundings   where it rounds; unrounded and part: parts of it run again without that
play        from the job to the dump; again: the file read again for its quantized weights
"""

from importlib.util import find_spec

from probe.errors import ProbeError
from probe.targets.apart import run_apart
from probe.targets.runtime import Job, Progress

PACKAGES = ("onnx", "onnxruntime")
INSTALL = "pip install onnxruntime onnx"


def record(job: Job, progress: Progress) -> list[str]:
    """Run it in a process of its own: notes. ProbeError with ONNX Runtime's last words where that ends badly."""
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise ProbeError(f"an onnx: target needs {' and '.join(missing)}", hint=INSTALL)
    return run_apart("ONNX Runtime", "probe.targets.onnx.play", job, progress)
