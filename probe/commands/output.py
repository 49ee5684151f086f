"""The file that a command writes: may it be written; and what is in a dump."""

from typing import TYPE_CHECKING

from probe.errors import ProbeError

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "dumps"
"""Where dumps go that are given no name."""


def check_output(output: "Path", *, force: bool, example: str = "ref.h5") -> None:
    """Before the work, which may take minutes. ProbeError where it cannot be written."""
    if output.is_dir():
        raise ProbeError(f"{output} is a folder", hint=f"name a file in it: -o {output / example}")
    if output.exists() and not force:
        raise ProbeError(f"{output} exists already", hint="give another name with -o, or --force to replace it")
    if str(output.parent) == FOLDER:
        output.parent.mkdir(exist_ok=True)
    elif not output.parent.is_dir():
        raise ProbeError(f"there is no folder {output.parent}", hint=f"mkdir -p {output.parent}")


def extent(output: "Path") -> str:
    """`24 taps, 0.1 MB`, and in which steps if there are several."""
    from probe.dump import Dump
    from probe.render.steps import steps_in_words

    with Dump(output) as dump:
        steps = steps_in_words(dump)
        return f"{len(dump.taps)} taps, {output.stat().st_size / 1e6:.1f} MB" + (f" ({steps})" if steps else "")
