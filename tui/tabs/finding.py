"""The finding of a module, with its evidence; of any other module, what is known of its error."""

from rich.console import Group, RenderableType
from rich.text import Text

from probe.printable import printable
from probe.report import Finding, Report
from probe.words import module_name, number, percent
from tui.entries import findings_at
from tui.reading import Files
from tui.scene import Scene
from tui.tree import MEANING


def show(scene: Scene, files: Files, width: int) -> RenderableType:
    assert scene.report is not None
    found = findings_at(scene.report, scene.node.module)
    if not found:
        return _elsewhere(scene, scene.report)
    return Group(*(part for one in found for part in _told(one)))


def _told(finding: Finding) -> list[RenderableType]:
    lines: list[RenderableType] = [
        Text.assemble((f" {finding.cause} ", "bold reverse"), " ", (module_name(finding.module), "bold")),
        Text(),
        Text(printable(finding.message)),
        Text(),
    ]
    for label, value in (("reference", finding.reference_value), ("candidate", finding.candidate_value)):
        if value is not None:
            lines.append(Text.assemble((f"{label:<11}", "dim"), printable(str(value))))
    if finding.error_after is not None:
        fall = f"{number(finding.error_before)} -> {number(finding.error_after)} once planted into the reference"
        lines.append(Text.assemble(("its error  ", "dim"), fall))
    if finding.share is not None:
        lines.append(Text.assemble(("explains   ", "dim"), f"{percent(finding.share)} of the output's error"))
    if finding.coefficient is not None:
        spread = f" +- {finding.stderr:.2g}" if finding.stderr is not None else ""
        lines.append(
            Text.assemble(("coefficient", "dim"), f" {finding.coefficient:.3g}{spread}   (1: does it, 0: not)")
        )
    begin, end = (printable(tap) or "the inputs" for tap in finding.span)
    lines.append(Text.assemble(("between    ", "dim"), f"{begin}\n{'':11}{end}"))
    if finding.seen_at:
        lines.append(Text.assemble(("seen from  ", "dim"), printable(finding.seen_at)))
    if len(finding.modules) > 1:
        names = "\n           ".join(map(module_name, finding.modules))
        lines.append(Text.assemble(("also in    ", "dim"), names))
    if finding.uncaptured:
        names = "\n           ".join(map(printable, finding.uncaptured))
        lines.append(Text.assemble(("not shown  ", "dim"), f"{names}\n{'':11}(in the candidate)"))
    return [*lines, Text()]


def _elsewhere(scene: Scene, report: Report) -> RenderableType:
    mark = scene.node.mark
    lines = [Text(f"no finding here: {MEANING[mark]}" if mark else "no finding here")]
    if report.findings:
        lines.append(Text())
        lines += [
            Text(f"{index}. {one.cause} at {module_name(one.module)}") for index, one in enumerate(report.findings, 1)
        ]
        lines.append(Text("n goes to the next", style="dim"))
    return Group(*lines)
