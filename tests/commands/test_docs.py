"""Pages in docs/: their commands print what is shown, their links lead somewhere, and README quotes them truly."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from probe.commands.settable import SETTABLE
from tests.commands.console_blocks import console_blocks
from tests.commands.pages import assert_page_is_true

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "dumps" / "README.md", *sorted(DOCS.glob("*.md"))]
NOT_RUN = {
    "probe dump gguf:model-q8_0.gguf --inputs ref.h5 -o cand.h5": "its model is the reader's own, and too large",
    "probe dump onnx:model.onnx --inputs ref.h5 -o cand.h5": "its model is the reader's own",
    "probe import npz run.npz --weights model.safetensors -o cand.h5": "the arrays are the reader's own",
}
"""By its first command: why a block says no-run."""


@pytest.fixture
def scripts(here: Path) -> Iterator[None]:
    """The working directory is one with the scripts of docs/cases, which leave no modules behind."""
    loaded = set(sys.modules)
    for script in (DOCS / "cases").glob("*.py"):
        shutil.copy(script, here)
    yield
    for name in set(sys.modules) - loaded:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(here)):
            del sys.modules[name]


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize("page", [page for page in PAGES if page.parent == DOCS], ids=lambda page: page.stem)
def test_a_page_s_commands_print_what_it_shows_and_its_python_runs(page: Path):
    text = page.read_text("utf-8")
    num_commands = assert_page_is_true(text)
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, page.name, "exec"), {})
    assert num_commands or page.stem not in ("cases", "looking")


def test_every_block_of_a_page_that_is_not_run_has_a_reason_here():
    blocks = [block for page in PAGES if page.parent == DOCS for block in console_blocks(page.read_text("utf-8"))]
    assert [block.commands[0].line for block in blocks if not block.runs] == list(NOT_RUN)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_links_between_pages_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
    inner = [link for link in links if "://" not in link]
    assert [link for link in inner if not (page.parent / link).exists()] == []


def test_every_page_is_linked_from_readme():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [page.name for page in DOCS.glob("*.md") if f"(docs/{page.name})" not in readme] == []


def test_the_settings_that_a_file_may_have_are_those_of_the_page():
    told = (DOCS / "settings.md").read_text("utf-8").partition("\nThere are: ")[2].partition(".")[0]
    assert re.findall(r"`([^`]+)`", told) == sorted(SETTABLE)


def test_readme_quotes_what_the_cases_print():
    _, _, section = (ROOT / "README.md").read_text("utf-8").partition("\n## Real cases\n")
    quotes = re.findall(r"`([^`]+)`", section.partition("\n## ")[0])
    told = " ".join((DOCS / "cases.md").read_text("utf-8").split())
    assert len(quotes) >= 4
    assert [quote for quote in quotes if " ".join(quote.split()) not in told] == []


def test_the_runtimes_that_were_run_have_the_versions_that_are_pinned():
    pinned = {
        tuple(line.split("=="))
        for name in ("constraints.txt", "tests/old-environment.txt", "tests/llama-environment.txt")
        for line in (ROOT / name).read_text().split()
    }
    rows = [line for line in (DOCS / "runtimes.md").read_text("utf-8").splitlines() if re.match(r"\| .* \| `", line)]
    told = re.findall(r"([a-z]+(?:-[a-z]+)*) (\d+(?:\.\d+)+)", "\n".join(rows))
    assert {"torch", "transformers", "xllamacpp", "onnxruntime", "safetensors"} <= {name for name, _ in told}
    assert [one for one in told if one not in pinned] == []
