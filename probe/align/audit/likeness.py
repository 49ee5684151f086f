"""What makes two weights alike: templates of names, and the classes of the modules that hold them."""

from probe.align.audit.verdict import Verdict
from probe.dump import Dump


class Likeness:
    """The classes and shapes of both sides, by name."""

    def __init__(self, reference: Dump, candidate: Dump) -> None:
        self.ours = {tap.module: tap.module_class for tap in reference.module_taps}
        self.theirs = {tap.module: tap.module_class for tap in candidate.module_taps}
        self.shapes = {weight.name: weight.shape for weight in reference.weights}
        self.same_code = self.ours.get("") is not None and self.ours.get("") == self.theirs.get("")

    def classes(self, verdict: Verdict) -> tuple[str, str] | None:
        """Of both modules; None where they are not known."""
        ours = self.ours.get(module_of(verdict.reference))
        theirs = self.theirs.get(module_of(verdict.home))
        return (ours, theirs) if ours and theirs else None

    def is_square(self, verdict: Verdict) -> bool:
        shape = self.shapes.get(verdict.reference, ())
        return len(shape) == 2 and shape[0] == shape[1]

    def key(self, verdict: Verdict, num_axes: int) -> object:
        """Equal for weights of so many axes and one name, in modules of the same classes; None where those are not
        known."""
        classes = self.classes(verdict)
        fits = len(self.shapes.get(verdict.reference, ())) == num_axes
        return (*classes, verdict.reference.rpartition(".")[2]) if classes and fits else None


def module_of(name: str) -> str:
    return name.rpartition(".")[0]
