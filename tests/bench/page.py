"""What `probe report` costs over a pair of 20,000 taps: to write the page, its size, and a sort and a filter in it."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.bench.browsing import NUM_TAPS, pair
from tests.bench.measurement import Line, milliseconds

WRITTEN, SIZE = 10.0, 15
ROUNDS = 3
MEASURE = """() => {
    const taken = (action) => {
        const start = performance.now();
        action();
        document.body.offsetHeight;  // laid out
        return performance.now() - start;
    };
    const sorts = [...document.querySelectorAll("#window th button")].flatMap((title) =>
        [taken(() => title.click()), taken(() => title.click())]);
    const words = document.getElementById("words");
    const keys = [..."layers.17 norm"].map((letter) => taken(() => {
        words.value += letter;
        words.dispatchEvent(new Event("input"));
    }));
    return [sorts, keys];
}"""


def page(folder: Path) -> list[Line]:
    reference, candidate, report = pair(folder)
    written = folder / "report.html"
    command = [sys.executable, "-m", "probe", "report", str(reference), str(candidate), "--report", str(report)]
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        done = subprocess.run([*command, "-o", str(written), "--force"], stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
        assert done.returncode == 1, "the pair diverges"
    median, megabytes = statistics.median(taken), written.stat().st_size / 1e6
    subject = f"page, {NUM_TAPS:,} taps: "
    return [
        Line(f"{subject}to write it", milliseconds(median), "", f"{median:.1f} s", f"{WRITTEN:g} s", median <= WRITTEN),
        Line(f"{subject}size", f"{megabytes:.1f} MB", "", f"{megabytes:.1f} MB", f"{SIZE} MB", megabytes <= SIZE),
        *_used(written, subject),
    ]


def _used(written: Path, subject: str) -> list[Line]:
    """The slowest of all sorts and of all keys of a filter, until the page is laid out anew."""
    found = shutil.which("chromium")
    if found is None:
        return [Line(f"{subject}a sort, a key of the filter", "no chromium", "", "")]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, chromium_sandbox=os.geteuid() != 0)
        opened = browser.new_page()
        opened.goto(written.as_uri())
        sorts, keys = opened.evaluate(MEASURE)
        browser.close()
    return [
        Line(f"{subject}the slowest {what}", milliseconds(max(times) / 1e3), "", milliseconds(max(times) / 1e3))
        for what, times in ((f"sort of {len(sorts)}", sorts), (f"key of {len(keys)} of the filter", keys))
    ]
