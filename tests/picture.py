"""python -m tests.picture: the README's picture, of the real app over the demo's dumps, is drawn anew."""

import asyncio
import io
import os
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from probe.cli import main
from probe.saved_report import read_report
from tui.app import ProbeApp, Subject

PICTURE = Path(__file__).parent.parent / "docs" / "tui.svg"
SIZE = 118, 34
KEYS = ("right_square_bracket",) * 3
"""From the finding to the map of the error: it begins at the token where the window ends."""


async def draw(app: ProbeApp) -> str:
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press(*KEYS)
        for _ in range(2):
            await pilot.pause()
            await app.workers.wait_for_complete()
        await pilot.pause()
        return app.export_screenshot(title="probe tui dumps/demo-reference.h5 dumps/demo-port.h5")


def picture() -> str:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        told = io.StringIO()
        with redirect_stdout(told):
            main(["demo", "--json", "-q"])
        Path("report.json").write_text(told.getvalue())
        subject = Subject(Path("dumps/demo-reference.h5"), Path("dumps/demo-port.h5"))
        return asyncio.run(draw(ProbeApp(subject, read_report(Path("report.json")))))


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture())
