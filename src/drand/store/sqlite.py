"""The store of a real node: one SQLite file a chain, `<beacon>/db/drand.sqlite`.

A beacon costs its signature and about ten bytes: the previous signature of round r is that of round r - 1 and is not
stored again, and randomness follows from the signature. Every write is one transaction in write-ahead mode with
`synchronous = FULL`, so what was acknowledged is on the medium, and a crash leaves all of a write or nothing of it.
Why SQLite, and what it measures: docs/decisions/0004-sqlite-store.md.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, assert_never

from collective.errors import Malformed
from collective.files import PRIVATE_MODE, discard, sync_folder, waiting_file
from drand.model.chain import Beacon, Round
from drand.model.records import (
    BeaconsStored,
    BeaconStored,
    BundleKept,
    CeremonyEnded,
    CeremonyStarted,
    Epoch,
    EpochStarted,
    JournalRecord,
    PhaseEntered,
    Record,
)
from drand.store.contract import StoreFailed
from drand.store.rules import new_beacons
from drand.store.schema import (
    SQLITE_ERRORS,
    WriterLock,
    connect_reader,
    connect_writer,
    damaged,
    failure,
    make_empty,
)
from drand.wire.journal import decode_epoch, decode_journal_record, encode_epoch, encode_journal_record

T = TypeVar("T")

MAX_SQLITE_INTEGER = 2**63 - 1  # rounds above it are never due: 292 billion years at one a second


class SqliteStore:
    """One chain on disk (drand.store.contract.BeaconStore). Make one with `open_store` or `open_reader`.

    Calls must not overlap, but may come from different threads; `backup` may run beside them.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, *, chained: bool, lock: WriterLock | None) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = connection
        self._chained = chained
        self._lock = lock
        self._backing_up = threading.Lock()

    def persist(self, *records: Record) -> None:
        """Carry out some `Persist`, in order and in one transaction: the disk is waited for once."""
        with self._transaction() as connection:
            for record in records:
                self._keep(connection, record)

    def _keep(self, connection: sqlite3.Connection, record: Record) -> None:
        match record:
            case BeaconStored(beacon):
                self._add(connection, (beacon,))
            case BeaconsStored(beacons):
                self._add(connection, beacons)
            case CeremonyStarted():
                connection.execute("DELETE FROM journal")
                connection.execute("INSERT INTO journal (body) VALUES (?)", (encode_journal_record(record),))
            case BundleKept() | PhaseEntered():
                connection.execute("INSERT INTO journal (body) VALUES (?)", (encode_journal_record(record),))
            case EpochStarted(epoch):
                connection.execute("INSERT INTO epochs (body) VALUES (?)", (encode_epoch(epoch),))
                connection.execute("DELETE FROM journal")
            case CeremonyEnded():
                connection.execute("DELETE FROM journal")
            case _:
                assert_never(record)

    def append(self, beacons: Sequence[Beacon]) -> None:
        """Append beacons that follow the last stored one, in one transaction; raises OutOfOrder."""
        with self._transaction() as connection:
            self._add(connection, beacons)

    def _add(self, connection: sqlite3.Connection, beacons: Sequence[Beacon]) -> None:
        fresh = new_beacons(beacons, last=self.last(), stored=self.get, chained=self._chained)
        rows = [(beacon.round, beacon.signature) for beacon in fresh]
        connection.executemany("INSERT INTO beacons VALUES (?, ?)", rows)

    def last(self, below: Round | None = None) -> Beacon | None:
        """The beacon of the highest round (that is below `below`); two look-ups by key."""
        most = MAX_SQLITE_INTEGER if below is None else min(below - 1, MAX_SQLITE_INTEGER)
        rows = self._select(
            "SELECT round, signature FROM beacons WHERE round <= ? ORDER BY round DESC LIMIT 2", (most,)
        )
        found = self._beacons(rows[::-1])
        if rows and not found:
            raise StoreFailed(f"{self.path} is damaged: only round {rows[0][0]} is there", hint="restore a backup")
        return found[-1] if found else None

    def get(self, round_: Round) -> Beacon | None:
        """One beacon; None when it is not stored."""
        found = self.range(round_, 1)
        return found[0] if found and found[0].round == round_ else None

    def range(self, first: Round, limit: int) -> list[Beacon]:
        """At most `limit` beacons from round `first` on, ascending."""
        if limit <= 0 or first > MAX_SQLITE_INTEGER:
            return []
        start = max(first, 0)
        before = max(start - 1, 0) if self._chained else start
        query = "SELECT round, signature FROM beacons WHERE round >= ? AND round < ? ORDER BY round"
        found = self._beacons(self._select(query, (before, min(start + limit, MAX_SQLITE_INTEGER))))
        return found[1:] if found and found[0].round < start else found

    def count(self) -> int:
        """How many beacons are stored: rounds have no gap and begin at 0, so it follows from the last one."""
        highest = self._select("SELECT max(round) FROM beacons")[0][0]
        return 0 if highest is None else int(highest) + 1

    def delete_from(self, first: Round) -> int:
        """Remove `first` and all later rounds; returns how many went."""
        if first > MAX_SQLITE_INTEGER:
            return 0
        with self._transaction() as connection:
            return connection.execute("DELETE FROM beacons WHERE round >= ?", (max(first, 0),)).rowcount

    def epoch(self) -> Epoch | None:
        """The current epoch record: the one that was stored last."""
        rows = self._select("SELECT body FROM epochs ORDER BY number DESC LIMIT 1")
        return self._decoded(decode_epoch, rows[0][0]) if rows else None

    def epochs(self) -> tuple[Epoch, ...]:
        """Every epoch record, oldest first: until its transition a resharing needs the one before."""
        rows = self._select("SELECT body FROM epochs ORDER BY number")
        return tuple(self._decoded(decode_epoch, row[0]) for row in rows)

    def journal(self) -> tuple[JournalRecord, ...]:
        """The journal of the running ceremony, oldest first; empty when none runs."""
        rows = self._select("SELECT body FROM journal ORDER BY number")
        return tuple(self._decoded(decode_journal_record, row[0]) for row in rows)

    def check_ends(self) -> None:
        """Raise StoreFailed when the first round or the one before the last is missing; constant time."""
        if self.last() is not None and self.get(Round(0)) is None:
            raise StoreFailed(f"{self.path} is damaged: round 0 is missing", hint="restore a backup")

    def backup(self, target: Path) -> None:
        """Write a consistent copy to `target` (0600, atomically) in one step, while the store stays in use.

        Copies through a connection of its own and holds no lock that a writer waits for, so it may run in a thread. A
        second backup waits for the first: both might have one target.
        """
        self._open_connection()
        with self._backing_up:
            self._back_up(target)

    def _back_up(self, target: Path) -> None:
        waiting = waiting_file(target)
        try:
            if target.exists() and target.samefile(self.path):
                raise StoreFailed(f"the backup {target} would replace the store itself", hint="name another file")
            waiting.unlink(missing_ok=True)
            os.close(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE_MODE))
            _vacuum_into(self.path, waiting)
            _sync(waiting)
            waiting.replace(target)
            sync_folder(target.parent)
        except OSError as error:
            raise StoreFailed(
                f"cannot write the backup {target}: {error.strerror}",
                hint="check that its folder is there, that the daemon may write to it, and the space left",
            ) from error
        finally:
            discard(waiting)

    def close(self) -> None:
        """Flush and close; further calls raise StoreFailed. A second close does nothing."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.close()
        except SQLITE_ERRORS as error:
            raise failure(self.path, error) from error
        finally:
            if self._lock is not None:
                self._lock.release()

    def _beacons(self, rows: Sequence[tuple[int, bytes]]) -> list[Beacon]:
        """Beacons from ascending rows; the first row is dropped in a chained scheme unless it is round 0."""
        if any(type(round_) is not int or type(signature) is not bytes for round_, signature in rows):
            raise damaged(self.path, "a row of the chain holds neither a round nor a signature")
        if not self._chained:
            return [Beacon(Round(round_), signature) for round_, signature in rows]
        found = [Beacon(Round(0), rows[0][1])] if rows and rows[0][0] == 0 else []
        for (before, previous), (round_, signature) in pairwise(rows):
            if round_ != before + 1:
                raise StoreFailed(f"{self.path} is damaged: round {before + 1} is missing", hint="restore a backup")
            found.append(Beacon(Round(round_), signature, previous))
        return found

    def _decoded(self, decode: Callable[[bytes], T], body: bytes) -> T:
        try:
            return decode(body)
        except Malformed as error:
            raise StoreFailed(f"{self.path} is damaged: {error}", hint="restore a backup") from error

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreFailed(f"the store {self.path} is closed")
        return self._connection

    def _select(self, query: str, values: tuple[int, ...] = ()) -> list[Any]:
        connection = self._open_connection()
        try:
            return connection.execute(query, values).fetchall()
        except SQLITE_ERRORS as error:
            raise failure(self.path, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block reaches the disk, or nothing of it."""
        connection = self._open_connection()
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except SQLITE_ERRORS as error:
            raise failure(self.path, error) from error
        finally:
            self._undo(connection)

    def _undo(self, connection: sqlite3.Connection) -> None:
        """Roll back what was raised out of, unless SQLite has done so itself (it does when the disk is full)."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except SQLITE_ERRORS as error:
            raise failure(self.path, error) from error


def open_store(path: Path, *, chained: bool) -> SqliteStore:
    """The store at `path`, made when absent, for the one process that writes; constant time.

    raises  StoreInUse while another process has it; StoreFailed when the disk refuses, the file is damaged, or it
            belongs to a chain of the other kind
    """
    make_empty(path)
    lock = WriterLock(path)
    try:
        store = SqliteStore(path, connect_writer(path, chained=chained), chained=chained, lock=lock)
    except StoreFailed:
        lock.release()
        raise
    try:
        store.check_ends()
    except StoreFailed:
        store.close()
        raise
    return store


def open_reader(path: Path) -> SqliteStore:
    """The store at `path` for reading, while another process may write to it; raises StoreFailed."""
    connection, chained = connect_reader(path)
    return SqliteStore(path, connection, chained=chained, lock=None)


def _vacuum_into(source: Path, target: Path) -> None:
    connection, _ = connect_reader(source)
    try:
        connection.execute("VACUUM INTO ?", (str(target),))
    except SQLITE_ERRORS as error:
        raise failure(target, error) from error
    finally:
        connection.close()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
