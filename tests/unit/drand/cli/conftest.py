"""Commands are tested without the variables of whoever runs the tests, and leave the log as they found it."""

import logging
import os
from collections.abc import Iterator

import pytest


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
