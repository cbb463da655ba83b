"""Where the tests of this folder keep their store."""

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """In folders that do not exist yet."""
    return tmp_path / "default" / "db" / "drand.sqlite"
