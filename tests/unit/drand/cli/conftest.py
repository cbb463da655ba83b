"""Commands are tested without the variables of whoever runs the tests, and leave the log as they found it."""

import io
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.node_folder import Node


@pytest.fixture(autouse=True)
def no_variables_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DRAND_") and name != "DRAND_VECTORS"]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_log_of_an_earlier_command() -> Iterator[None]:
    """A command that logs (`start`, `relay`) leaves handlers on streams that are closed when its test is over."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = [kept for kept in root.handlers if kept in handlers]
    root.setLevel(level)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node's folder in which nothing is yet."""
    return Node(tmp_path)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What the operator types."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))
