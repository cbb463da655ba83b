"""The Go implementation beside ours: its binary is named by the variable DRAND_GO."""

import os
from pathlib import Path

import pytest

from tests.support.processes import Program, go_program


@pytest.fixture(scope="session")
def go() -> Program:
    """The Go implementation; without it the test is skipped."""
    path = os.environ.get("DRAND_GO", "")
    if not path:
        pytest.skip("set DRAND_GO=/path/to/drand, a Go drand v1.5 binary, to run with it")
    if not Path(path).is_file():
        pytest.fail(f"DRAND_GO names {path}, which is no file")
    return go_program(path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.interop)
