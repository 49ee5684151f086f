"""The demo's two dumps and their report, recorded once for all tests of a process."""

import asyncio
import inspect
import io
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from probe.cli import main
from probe.report import Report
from probe.saved_report import read_report
from tui.app import ProbeApp, Subject


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that drives the app is a coroutine."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


REFERENCE, CANDIDATE = Path("dumps/demo-reference.h5"), Path("dumps/demo-port.h5")


@dataclass(frozen=True)
class Demo:
    folder: Path
    report: Report
    report_path: Path


@pytest.fixture(scope="session")
def recorded_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_STATE_HOME", str(folder))
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(io.StringIO()):
            assert main(["demo", "--json", "-q"]) == 0
        path = folder / "report.json"
        path.write_text(out.getvalue())
        yield Demo(folder, read_report(path), path)


@pytest.fixture
def demo(recorded_demo: Demo, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Its folder is the test's: paths are those that a user has."""
    monkeypatch.chdir(recorded_demo.folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(recorded_demo.folder))
    return recorded_demo


@pytest.fixture
def app(demo: Demo) -> ProbeApp:
    return ProbeApp(Subject(REFERENCE, CANDIDATE), demo.report)
