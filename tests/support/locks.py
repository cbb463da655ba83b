"""The lock that another program's transaction holds on an SQLite file."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class WriteLock:
    """Held from the beginning until `let_go`."""

    def __init__(self, path: Path) -> None:
        self._other = sqlite3.connect(path, isolation_level=None)
        self._other.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        """End the transaction."""
        if self._other.in_transaction:
            self._other.execute("ROLLBACK")


@contextmanager
def locked(path: Path) -> Iterator[WriteLock]:
    """While this lasts nobody else writes to the file."""
    lock = WriteLock(path)
    try:
        yield lock
    finally:
        lock.let_go()
        lock._other.close()
