"""`probe report`: a page or a text of two dumps, from the files alone or from a saved report."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.commands.running import TINY, Refused, Run, in_new_process

PAGE = "report.html"


def test_a_page_is_written_and_the_exit_code_is_diff_s(probe: Run, reference: Path, faulty: Path):
    outcome = probe("report", reference, faulty, "--no-replay", "-o", PAGE)
    assert outcome.code == 1
    assert outcome.out == f"{PAGE}: {Path(PAGE).stat().st_size / 1e6:.1f} MB\n"
    page = Path(PAGE).read_text()
    assert "<strong>DIVERGED</strong>" in page
    assert "probe report ref.h5 faulty.h5 -o report.html --no-replay" in page
    assert (
        page.count("tiny.py:build; the command is not in the dump") == 1
    )  # these tests' own command is none of probe's
    same = probe("report", reference, reference, "--no-replay", "-o", "same.html")
    assert same.code == 0
    assert "<strong>IDENTICAL</strong>" in Path("same.html").read_text()


def test_a_dump_that_a_command_recorded_says_which(probe: Run, reference: Path):
    words = ["dump", f"{TINY}:build", "--inputs", "ref.h5", "-o", "a b.h5"]
    assert in_new_process("-m", "probe", *words).code == 0
    assert probe("report", reference, "a b.h5", "--no-replay", "--markdown").code == 0
    text = probe("report", reference, "a b.h5", "--no-replay", "--markdown").out
    assert f"\nprobe dump {words[1]} --inputs ref.h5 -o 'a b.h5'\n" in text
    assert "\nprobe diff ref.h5 'a b.h5' --no-replay\n" in text


def test_a_saved_report_is_taken_even_where_a_dump_has_gone(probe: Run, reference: Path, faulty: Path):
    Path("saved.json").write_text(probe("diff", reference, faulty, "--no-replay", "--json").out)
    faulty.unlink()
    assert probe("report", reference, faulty, "--report", "saved.json", "-o", PAGE).code == 1
    page = Path(PAGE).read_text()
    assert "not known</strong> of" in page
    assert "blocks.1:out" in page
    assert "<dt>the comparison was read from</dt><dd>saved.json</dd>" in page
    text = probe("report", reference, faulty, "--report", "saved.json", "--markdown").out
    assert "| `faulty.h5` |" in text
    assert "# candidate: faulty.h5: no such file" in text


@pytest.mark.parametrize(("flags", "kept"), [(["--stats-only"], "statistics"), (["--sketch", "2"], "sketch")])
def test_of_values_that_were_not_kept_the_page_says_so(probe: Run, flags: list[str], kept: str):
    for name, gain in (("less.h5", "1"), ("other.h5", "1.5")):
        probe("dump", f"{TINY}:build", "--arg", f"gain={gain}", "--tokens", "1,2,3,4,5", *flags, "-o", name)
    assert probe("report", "less.h5", "other.h5", "-o", PAGE).code == 1
    page = Path(PAGE).read_text()
    assert page.count("<svg") >= 1
    left_out = page[page.index("<p>Not here:</p>") : page.index('id="taps"')]
    assert "Tokens by layers" in left_out
    assert kept in left_out


def test_markdown_goes_to_stdout_or_into_a_file(probe: Run, reference: Path, faulty: Path):
    words = ["report", reference, faulty, "--no-replay", "--markdown"]
    printed = probe(*words)
    assert printed.code == 1
    assert printed.out.startswith("**DIVERGED**")
    assert probe(*words, "-o", "issue.md").out == "issue.md: 0.0 MB\n"
    assert Path("issue.md").read_text() == printed.out


def test_nothing_is_overwritten_unless_asked_and_no_dump_ever_is(refused: Refused, probe: Run, reference: Path):
    Path(PAGE).write_text("mine")
    words = ["report", reference, reference, "--no-replay"]
    assert refused(*words, "-o", PAGE).error == f"{PAGE} exists already"
    assert Path(PAGE).read_text() == "mine"
    assert probe(*words, "-o", PAGE, "--force").code == 0
    assert Path(PAGE).read_text() != "mine"
    before = reference.read_bytes()
    assert refused(*words, "-o", reference, "--force").error == "ref.h5 is to be a page, and does not end in .html"
    assert reference.read_bytes() == before
    assert refused(*words, "--markdown", "-o", PAGE).hint == "name it: -o report.md"
    Path("folder.html").mkdir()
    assert refused(*words, "-o", "folder.html").hint == "name a file in it: -o folder.html/report.html"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "a page needs a file"),
        (["--markdown", "--force"], "--force has no effect without -o"),
        (["-o", "nowhere/report.html"], "there is no folder nowhere"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_before_anything_is_compared(
    refused: Refused, reference: Path, words: list[str], error: str
):
    assert refused("report", reference, "nowhere.h5", *words).error == error


def test_a_wheel_has_all_that_a_page_is_made_of(tmp_path: Path, reference: Path, faulty: Path):
    """Read out of the wheel itself, by an interpreter that sees no other `probe`."""
    repository = Path(__file__).parents[2]
    source = tmp_path / "source"
    shutil.copytree(repository / "probe", source / "probe", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(repository / "tui", source / "tui", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(repository / name, source)
    build = "from hatchling.build import build_wheel; print(build_wheel('..'))"
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(tmp_path / done.stdout.strip()) as wheel:
        wheel.extractall(tmp_path / "installed")
    code = "import probe.cli; print(probe.cli.__file__); exit(probe.cli.main())"
    words = ["report", str(reference), str(faulty), "--no-replay", "-o", PAGE]
    outcome = in_new_process("-c", code, *words, PYTHONPATH=str(tmp_path / "installed"))
    assert outcome.code == 1, outcome.err
    assert outcome.out.startswith(str(tmp_path / "installed"))
    assert Path(PAGE).read_text().rstrip().endswith("</html>")
