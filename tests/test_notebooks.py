"""The notebooks run from top to bottom, in a fresh kernel and anywhere; what they claim, their own cells assert."""

import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from tests.notebooks import NOTEBOOKS, read, stripped

LONGEST = 240
"""Seconds that a cell may take before it counts as stuck."""
REPORT, FIGURE = "Report(", "<Picture size"
"""How what has a picture of its own begins as plain text."""


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel and the notebooks write; a user's settings and kernels count for nothing."""
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    for name in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))


def run(notebook: NotebookNode, folder: Path) -> None:
    """Fails with the cell's source and what it raised."""
    resources, trouble = {"metadata": {"path": str(folder)}}, ""
    try:
        NotebookClient(notebook, timeout=LONGEST, kernel_name="python3", resources=resources).execute()
    except CellTimeoutError as error:
        trouble = f"a cell takes too long: {error}"
    except CellExecutionError as error:
        failed = next(cell for cell in notebook.cells if any(o.output_type == "error" for o in cell.get("outputs", ())))
        trouble = f"this cell raises {error.ename}: {error.evalue}\n\n{failed.source}"
    if trouble:
        pytest.fail(trouble, pytrace=False)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_found(path: Path, tmp_path: Path):
    notebook = read(path)
    run(notebook, tmp_path)
    shown = [output.data for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    reports = [one["text/html"] for one in shown if one["text/plain"].startswith(REPORT)]
    assert any(">DIVERGED<" in report for report in reports)
    assert any(">NOISE<" in report for report in reports)
    assert all("image/png" in one for one in shown if one["text/plain"].startswith(FIGURE))


def test_a_cell_that_fails_is_shown_with_what_it_raised(tmp_path: Path):
    here = f"import sys\nassert sys.executable == {sys.executable!r}, 'another Python'"
    cells = [new_code_cell(here), new_code_cell("right = 2"), new_code_cell("assert right == 3, 'two is not three'")]
    with pytest.raises(pytest.fail.Exception, match="AssertionError: two is not three\n\nassert right == 3"):
        run(new_notebook(cells=cells), tmp_path)


def test_there_are_four_notebooks():
    assert [path.name[:2] for path in NOTEBOOKS] == ["1-", "2-", "3-", "4-"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_committed(path: Path):
    """`python -m tests.notebooks` strips them."""
    text = path.read_text()
    assert text == stripped(nbformat.reads(text, as_version=4))


def test_stripping_takes_outputs_counts_and_who_ran_it():
    cell = new_code_cell("1 + 1", execution_count=7, metadata={"collapsed": True})
    cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=7)]
    text = stripped(new_notebook(cells=[cell], metadata={"kernelspec": {"name": "mine", "display_name": "/home/me"}}))
    assert "1 + 1" in text
    for told in ("7", "text/plain", "collapsed", "mine", "/home/me"):
        assert told not in text.replace(cell.id, "")
