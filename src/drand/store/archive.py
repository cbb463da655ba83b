"""A client's archive: verified beacons of any chains, in any order, in one SQLite file that never forgets.

Unlike a node's store it may have gaps, and several processes may write to it at the same time. Its rows can be fetched
again, so a write is complete when SQLite's log has it (`synchronous = NORMAL`): a crash of the machine may lose the
last rows, never part of one. `drand.store.archivist` writes to one without making anybody wait.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from drand.model.chain import Beacon, Round
from drand.store.contract import StoreFailed
from drand.store.schema import BUSY_WAIT_S, SQLITE_ERRORS, connect, failure, make_empty
from drand.store.sqlite import MAX_SQLITE_INTEGER

VERSION = 1
FORMAT = "pydrand beacon archive"
_TABLES = (
    "CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS beacons (chain BLOB, round INTEGER, signature BLOB NOT NULL, previous BLOB NOT NULL,"
    " PRIMARY KEY (chain, round)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS walked (chain BLOB PRIMARY KEY, round INTEGER NOT NULL) WITHOUT ROWID",
)


class ArchiveLocked(StoreFailed):
    """Another process holds a lock on the archive."""

    hint = "the lock is another program's that uses this file; it is tried again until that lets go"


class ArchiveReadOnly(StoreFailed):
    """The archive may be read, but not written: nothing new is kept in it."""

    hint = "check the permissions of file and folder, or name another file"


class BeaconArchive:
    """Beacons by chain hash and round. Calls must not overlap, but may come from different threads.

    path     made when absent, its folder too; one that this process may not write is opened for reading (`read_only`)
    wait_s   how long a call waits for the lock of another process, which a reader seldom meets
    raises   StoreFailed when the disk refuses, or the file is something else; ArchiveLocked, ArchiveReadOnly
    """

    def __init__(self, path: Path, *, wait_s: float = BUSY_WAIT_S) -> None:
        self.path = path
        make_empty(path)
        self.read_only = not may_write(path)
        self._connection: sqlite3.Connection | None = _connect_reading(path) if self.read_only else connect(path)
        try:
            self._prepare(self._connection)
            self._connection.execute(f"PRAGMA busy_timeout = {round(wait_s * 1000)}")
        except SQLITE_ERRORS as error:
            self.close()
            raise _failure(path, error) from error
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

    def highest(self, chain: bytes, below: Round | None = None) -> Round | None:
        """The highest stored round of a chain (that is below `below`)."""
        most = MAX_SQLITE_INTEGER if below is None else min(below - 1, MAX_SQLITE_INTEGER)
        found = self._rows("SELECT max(round) FROM beacons WHERE chain = ? AND round <= ?", (chain, most))[0][0]
        return None if found is None else Round(found)

    def put(self, chain: bytes, beacons: Iterable[Beacon]) -> None:
        """Store verified beacons in one transaction; one that is there already is replaced."""
        self.put_all([(chain, one) for one in beacons], {})

    def put_all(self, beacons: Iterable[tuple[bytes, Beacon]], walked: Mapping[bytes, Round]) -> None:
        """Store verified beacons of any chains, and how far chains were followed, in one transaction."""
        rows = [(chain, one.round, one.signature, one.previous_signature) for chain, one in beacons]
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO beacons VALUES (?, ?, ?, ?)", rows)
            connection.executemany("INSERT OR REPLACE INTO walked VALUES (?, ?)", walked.items())

    def count(self, chain: bytes) -> int:
        """How many rounds of a chain are stored."""
        return int(self._rows("SELECT count(*) FROM beacons WHERE chain = ?", (chain,))[0][0])

    def walked(self, chain: bytes) -> Round:
        """Up to this round the chain was followed link by link from its genesis; 0 at first."""
        found = self._rows("SELECT round FROM walked WHERE chain = ?", (chain,))
        return Round(found[0][0] if found else 0)

    def set_walked(self, chain: bytes, round_: Round) -> None:
        """Remember how far the chain was followed."""
        self.put_all((), {chain: round_})

    def close(self) -> None:
        """Close; further calls raise StoreFailed. A second close does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if not self.read_only:
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
            raise _failure(self.path, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._open_connection()
        if self.read_only:
            raise ArchiveReadOnly(f"{self.path} may be read, but not written")
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite may have rolled back itself, as it does when the disk is full
                    connection.execute("ROLLBACK")
                raise
        except SQLITE_ERRORS as error:
            raise _failure(self.path, error) from error


def may_write(path: Path) -> bool:
    """Whether this process may write to an archive that is there, and to its log beside it."""
    effective = os.access in os.supports_effective_ids
    has_log = path.with_name(path.name + "-wal").exists()
    folder = os.access(path.parent, os.W_OK, effective_ids=effective)
    return os.access(path, os.W_OK, effective_ids=effective) and (folder or has_log)


def _connect_reading(path: Path) -> sqlite3.Connection:
    """A connection that reads beside a writer; where SQLite may not make the files that takes, and nobody writes now,
    one that takes the file as it is. Raises StoreFailed.
    """
    connection = connect(path, read_only=True)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        connection.close()
        if path.with_name(path.name + "-wal").exists():
            raise _failure(path, error) from error
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
        )
    except SQLITE_ERRORS as error:
        connection.close()
        raise _failure(path, error) from error
    return connection


def _failure(path: Path, error: Exception) -> StoreFailed:
    """As `drand.store.schema.failure`, in the words for a file that others may write to and that is no node's."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return ArchiveLocked(f"{path} is locked by another process")
    found = failure(path, error)
    if found.advice == StoreFailed.hint:
        found.advice = "free space or check the disk; it is tried again"
    return found
