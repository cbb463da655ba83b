"""A client's archive: verified beacons of any chains, in any order, in one SQLite file that never forgets.

Unlike a node's store it may have gaps, and several processes may write to it at the same time. Its rows can be fetched
again, so a write is complete when SQLite's log has it (`synchronous = NORMAL`): a crash of the machine may lose the
last rows, never part of one.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from drand.model.chain import Beacon, Round
from drand.store.contract import StoreFailed
from drand.store.schema import SQLITE_ERRORS, connect, failure, make_empty
from drand.store.sqlite import MAX_SQLITE_INTEGER

VERSION = 1
FORMAT = "pydrand beacon archive"
_TABLES = (
    "CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS beacons (chain BLOB, round INTEGER, signature BLOB NOT NULL, previous BLOB NOT NULL,"
    " PRIMARY KEY (chain, round)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS walked (chain BLOB PRIMARY KEY, round INTEGER NOT NULL) WITHOUT ROWID",
)


class BeaconArchive:
    """Beacons by chain hash and round. Calls must not overlap, but may come from different threads.

    path     made when absent, its folder too
    raises   StoreFailed when the disk refuses, or the file is something else
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        make_empty(path)
        self._connection: sqlite3.Connection | None = connect(path)
        try:
            self._prepare(self._connection)
        except SQLITE_ERRORS as error:
            self.close()
            raise failure(path, error) from error
        except StoreFailed:
            self.close()
            raise

    def get(self, chain: bytes, round_: Round) -> Beacon | None:
        """One beacon; None when it is not there. Whoever asks verifies it again."""
        found = self.run(chain, round_, 1)
        return found[0] if found else None

    def run(self, chain: bytes, first: Round, limit: int) -> list[Beacon]:
        """The consecutive rounds that begin with `first`, at most `limit`; empty when `first` is not there."""
        query = "SELECT round, signature, previous FROM beacons WHERE chain = ? AND round >= ? ORDER BY round LIMIT ?"
        found: list[Beacon] = []
        for place, row in enumerate(self._rows(query, (chain, min(first, MAX_SQLITE_INTEGER), limit))):
            if row[0] != first + place:
                break
            found.append(Beacon(Round(row[0]), bytes(row[1]), bytes(row[2])))
        return found

    def next_stored(self, chain: bytes, first: Round) -> Round | None:
        """The least stored round that is `first` or later."""
        query = "SELECT min(round) FROM beacons WHERE chain = ? AND round >= ?"
        found = self._rows(query, (chain, min(first, MAX_SQLITE_INTEGER)))[0][0]
        return None if found is None else Round(found)

    def highest(self, chain: bytes) -> Round | None:
        """The highest stored round of a chain."""
        found = self._rows("SELECT max(round) FROM beacons WHERE chain = ?", (chain,))[0][0]
        return None if found is None else Round(found)

    def put(self, chain: bytes, beacons: Iterable[Beacon]) -> None:
        """Store verified beacons in one transaction; one that is there already is replaced."""
        rows = [(chain, one.round, one.signature, one.previous_signature) for one in beacons]
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO beacons VALUES (?, ?, ?, ?)", rows)

    def count(self, chain: bytes) -> int:
        """How many rounds of a chain are stored."""
        return int(self._rows("SELECT count(*) FROM beacons WHERE chain = ?", (chain,))[0][0])

    def walked(self, chain: bytes) -> Round:
        """Up to this round the chain was followed link by link from its genesis; 0 at first."""
        found = self._rows("SELECT round FROM walked WHERE chain = ?", (chain,))
        return Round(found[0][0] if found else 0)

    def set_walked(self, chain: bytes, round_: Round) -> None:
        """Remember how far the chain was followed."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO walked VALUES (?, ?)", (chain, round_))

    def close(self) -> None:
        """Close; further calls raise StoreFailed. A second close does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            with self._transaction():
                for table in _TABLES:
                    connection.execute(table)
                facts = [("format", FORMAT), ("version", str(VERSION))]
                connection.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", facts)
        facts = connection.execute("SELECT key, value FROM about WHERE key IN ('format', 'version')").fetchall()
        if dict(facts) != {"format": FORMAT, "version": str(VERSION)}:
            raise StoreFailed(f"{self.path} is no archive of this version", hint="name another file")

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreFailed(f"the archive {self.path} is closed")
        return self._connection

    def _rows(self, query: str, values: Sequence[object]) -> list[tuple[int, bytes, bytes]]:
        try:
            return self._open_connection().execute(query, values).fetchall()
        except SQLITE_ERRORS as error:
            raise failure(self.path, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._open_connection()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except SQLITE_ERRORS as error:
            raise failure(self.path, error) from error
