"""The app over the demo's two dumps, and tests that are coroutines."""

import asyncio
import inspect
from pathlib import Path

import pytest

from tests.conftest import Demo
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


@pytest.fixture
def app(demo: Demo) -> ProbeApp:
    return ProbeApp(Subject(REFERENCE, CANDIDATE), demo.report)
