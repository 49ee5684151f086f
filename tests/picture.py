"""python -m tests.picture: README's pictures, of the real programs over the demo's dumps, are drawn anew.

docs/tui.svg, docs/depth.png (`probe plot`), and docs/report.png (`probe report`, as Chromium shows it).
"""

import asyncio
import io
import os
import shutil
import subprocess
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from PIL import Image

import probe
from probe.cli import main
from probe.report import Report
from probe.saved_report import read_report
from tui.app import ProbeApp, Subject

DOCS = Path(__file__).parent.parent / "docs"
DUMPS = "dumps/demo-reference.h5", "dumps/demo-port.h5"
TERMINAL, WINDOW, DOTS_AN_INCH, COLOURS = (118, 34), (1200, 980), 120, 96
KEYS = ("right_square_bracket",) * 3
"""From the finding to the map of the error: it begins at the token where the window ends."""


async def draw(app: ProbeApp) -> str:
    async with app.run_test(size=TERMINAL) as pilot:
        await pilot.press(*KEYS)
        for _ in range(2):
            await pilot.pause()
            await app.workers.wait_for_complete()
        await pilot.pause()
        return app.export_screenshot(title=f"probe tui {' '.join(DUMPS)}")


def terminal(report: Report) -> None:
    """What `probe tui` shows."""
    subject = Subject(*map(Path, DUMPS))
    (DOCS / "tui.svg").write_text(asyncio.run(draw(ProbeApp(subject, report))))


def page() -> None:
    """The top of the page that `probe report` writes."""
    browser = shutil.which("chromium")
    assert browser, "apt install chromium"
    main(["report", *DUMPS, "--report", "report.json", "-o", "report.html"])
    size = ",".join(map(str, WINDOW))
    options = "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={size}"
    picture = f"--screenshot={DOCS / 'report.png'}"
    subprocess.run(
        [browser, *options, picture, Path("report.html").absolute().as_uri()], check=True, stderr=subprocess.DEVNULL
    )
    with Image.open(DOCS / "report.png") as shown:
        shown.convert("RGB").quantize(COLOURS).save(DOCS / "report.png", optimize=True)


def pictures() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        told = io.StringIO()
        with redirect_stdout(told):
            main(["demo", "--json", "-q"])
        Path("report.json").write_text(told.getvalue())
        report = read_report(Path("report.json"))
        terminal(report)
        probe.plot.depth(report).savefig(DOCS / "depth.png", dpi=DOTS_AN_INCH)
        page()


if __name__ == "__main__":
    pictures()
