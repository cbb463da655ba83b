"""The tables of `drand.sqlite`, and opening the file: settings, version, the lock that keeps a second writer out."""

import fcntl
import os
import sqlite3
from pathlib import Path

from collective.errors import Unavailable
from collective.files import DiskRefused, is_there, make_folder, sync_folder
from drand.store.contract import StoreFailed

FILE_MODE = 0o640  # as Go's database: nothing in it is secret, nobody else may write
VERSION = 1
MAX_WAL_BYTES = 64 * 2**20  # the log shrinks back to this after a large batch
BUSY_WAIT_S = 5.0  # a reader that recovers the log holds it for a moment

TABLES = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE beacons (round INTEGER PRIMARY KEY, signature BLOB NOT NULL)",
    "CREATE TABLE epochs (number INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    "CREATE TABLE journal (number INTEGER PRIMARY KEY, body BLOB NOT NULL)",
)
FORMAT = "pydrand beacon store"


class StoreInUse(StoreFailed):
    """Another process writes to this file."""

    hint = "stop the daemon that uses this folder first"


class WriterLock:
    """Held while one process writes: `<file>.lock`, released by the operating system when the process dies.

    A file of its own, since closing any handle on the database would drop SQLite's POSIX locks on it.
    """

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + ".lock")
        try:
            _make_file(path)
            self._handle = os.open(path, os.O_RDWR)
        except OSError as error:
            raise StoreFailed(
                f"cannot open {path}: {error.strerror}", hint="check its owner and permissions"
            ) from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._handle)
            if isinstance(error, BlockingIOError):
                raise StoreInUse(f"{database} is in use by another process") from error
            raise StoreFailed(
                f"cannot lock {path}: {error.strerror}", hint="keep the folder on a disk that knows file locks"
            ) from error

    def release(self) -> None:
        """Let the next writer in."""
        os.close(self._handle)


# What SQLite says about a file; an error text that quotes damaged bytes is one that the sqlite3 module cannot decode.
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)


def failure(path: Path, error: Exception) -> StoreFailed:
    """What an operator should read about one of SQLITE_ERRORS: the file, what happened, what to try."""
    if isinstance(error, UnicodeDecodeError):
        return damaged(path, "a name in it is no text")
    name = getattr(error, "sqlite_errorname", "") or ""
    if name == "SQLITE_FULL":
        return StoreFailed(f"{path}: the disk is full", hint="free some space; the chain continues where it stopped")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(path, str(error))
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreFailed(
            f"{path} cannot be opened or written: {error}", hint="check the permissions of file and folder"
        )
    return StoreFailed(f"{path}: {error}")


def damaged(path: Path, what: str) -> StoreFailed:
    """The error for a file whose content cannot be right."""
    return StoreFailed(f"{path} is damaged: {what}", hint="restore a backup, or remove the file and sync again")


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection for one thread at a time, without implicit transactions; raises StoreFailed."""
    target = f"{path.absolute().as_uri()}?mode=ro" if read_only else str(path)
    try:
        return sqlite3.connect(
            target, uri=read_only, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False
        )
    except SQLITE_ERRORS as error:
        raise failure(path, error) from error


def connect_writer(path: Path, *, chained: bool) -> sqlite3.Connection:
    """Open `path`, empty or written before, for the one process that writes; raises StoreFailed."""
    connection = connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: an fsync that reaches the medium
        connection.execute(f"PRAGMA journal_size_limit = {MAX_WAL_BYTES}")
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            _create(connection, chained)
        if _check_version(connection, path) != chained:
            raise StoreFailed(
                f"{path} holds {'an un' if chained else 'a '}chained chain, but the scheme says otherwise",
                hint="this folder belongs to another network; use another --folder or --id",
            )
    except SQLITE_ERRORS as error:
        connection.close()
        raise failure(path, error) from error
    except StoreFailed:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Open `path` read-only, beside a writer or without one; also tells whether the chain is chained."""
    try:
        there = is_there(path) and path.is_file()
    except DiskRefused as error:
        raise StoreFailed(str(error), hint=error.advice) from error
    if not there:
        raise StoreFailed(f"there is no store at {path}", hint="check the folder and the beacon id")
    connection = connect(path, read_only=True)
    try:
        return connection, _check_version(connection, path)
    except SQLITE_ERRORS as error:
        connection.close()
        raise failure(path, error) from error
    except StoreFailed:
        connection.close()
        raise


def make_empty(path: Path) -> None:
    """An empty file where none is, with the right mode, which SQLite then gives to its log files too."""
    try:
        make_folder(path.parent)
        if _make_file(path):
            sync_folder(path.parent)
    except (OSError, Unavailable) as error:
        raise StoreFailed(f"cannot make {path}: {error}", hint="check the permissions of the folder") from error


def _make_file(path: Path) -> bool:
    """An empty file of FILE_MODE, whatever the umask is; False where something is already. Raises OSError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        return False
    try:
        os.fchmod(handle, FILE_MODE)
    finally:
        os.close(handle)
    return True


def _create(connection: sqlite3.Connection, chained: bool) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for table in TABLES:
        connection.execute(table)
    facts = [("format", FORMAT), ("version", str(VERSION)), ("chained", str(int(chained)))]
    connection.executemany("INSERT INTO about VALUES (?, ?)", facts)
    connection.execute("COMMIT")


def _check_version(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the store is of a chained scheme; raises StoreFailed unless this version wrote it."""
    try:
        facts = dict(connection.execute("SELECT key, value FROM about").fetchall())
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        facts = {}
    if facts.get("format") != FORMAT:
        raise StoreFailed(f"{path} is not a beacon store of this program", hint="move the file away")
    if facts.get("version") != str(VERSION):
        raise StoreFailed(
            f"{path} has version {facts.get('version')}, this program reads {VERSION}", hint="upgrade drand"
        )
    return facts.get("chained") == "1"
