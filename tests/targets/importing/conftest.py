"""`imported(kind, path)`: what a path of arrays is as a dump."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from probe.dump import Dump
from probe.targets.importing import ImportJob, import_arrays

Imported = Callable[..., Dump]


@pytest.fixture
def imported(tmp_path: Path) -> Iterator[Imported]:
    with ExitStack() as opened:

        def run(kind: str, path: Path, **how: Any) -> Dump:
            output = tmp_path / "imported.h5"
            import_arrays(ImportJob(kind, path, output, **how), lambda what, done, total: None)
            return opened.enter_context(Dump(output))

        yield run
