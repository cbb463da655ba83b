"""What only the store on disk does: readers beside the writer, damaged files, backups, size."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drand.model.chain import Beacon, Round
from drand.model.records import BeaconStored, EpochStarted
from drand.store import sqlite as sqlite_module
from drand.store.contract import BeaconStore, OutOfOrder, StoreFailed
from drand.store.memory import MemoryStore
from drand.store.schema import StoreInUse
from drand.store.sqlite import open_reader, open_store
from tests.support.stored import BUNDLE, ENTERED, EPOCH, STARTED, chain


def filled(path: Path, last: int = 20) -> list[Beacon]:
    """A closed store with rounds 0 to `last`."""
    beacons = chain(last)
    store = open_store(path, chained=True)
    store.append(beacons)
    store.close()
    return beacons


def test_everything_is_there_when_it_is_opened_again(path: Path):
    store, beacons = open_store(path, chained=True), chain(5)
    store.append(beacons)
    store.persist(STARTED)
    store.persist(BUNDLE)
    store.persist(ENTERED)
    store.close()
    store = open_store(path, chained=True)
    assert store.range(Round(0), 10) == beacons
    assert store.journal() == (STARTED, BUNDLE, ENTERED)
    store.close()


def test_records_given_together_are_one_transaction(path: Path):
    store, statements = open_store(path, chained=True), list[str]()
    assert store._connection is not None
    store._connection.set_trace_callback(statements.append)
    store.persist(STARTED, ENTERED, BUNDLE, BeaconStored(chain(0)[0]))
    assert [one for one in statements if one.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]
    store.close()
    store = open_store(path, chained=True)
    assert (store.journal(), store.last()) == ((STARTED, ENTERED, BUNDLE), chain(0)[0])
    store.close()


@pytest.mark.parametrize("umask", [0, 0o077, 0o777])
def test_the_file_is_not_for_everybody_and_neither_is_its_log(path: Path, umask: int):
    before = os.umask(umask)
    try:
        store = open_store(path, chained=True)
        store.append(chain(3))
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    store.close()
    assert modes == dict.fromkeys(("drand.sqlite", "drand.sqlite-wal", "drand.sqlite-shm", "drand.sqlite.lock"), 0o640)
    assert path.parent.stat().st_mode & 0o777 == 0o740


def test_a_round_of_a_short_signature_takes_about_58_bytes(path: Path):
    store, beacons = open_store(path, chained=False), chain(20_000, chained=False)
    store.append(beacons)
    store.close()
    assert len(beacons[1].signature) == 48
    assert path.stat().st_size / len(beacons) < 59


# ------------------------------------------------------------------ one writer, many readers


def test_a_second_writer_is_told_who_is_in_the_way(path: Path):
    store = open_store(path, chained=True)
    with pytest.raises(StoreInUse, match="in use by another process") as caught:
        open_store(path, chained=True)
    assert "stop the daemon" in caught.value.advice
    store.close()
    open_store(path, chained=True).close()


def test_a_reader_sees_what_the_writer_adds(path: Path):
    store, beacons = open_store(path, chained=True), chain(6)
    store.append(beacons[:3])
    reader = open_reader(path)
    assert reader.last() == beacons[2]
    store.append(beacons[3:])
    assert reader.last() == beacons[6]
    assert reader.range(Round(1), 3) == beacons[1:4]
    with pytest.raises(StoreFailed, match="cannot be opened or written"):
        reader.append(chain(7)[7:])
    assert store.count() == 7
    reader.close()
    store.close()


def test_a_reader_needs_no_writer(path: Path):
    beacons = filled(path)
    reader = open_reader(path)
    assert reader.range(Round(0), 100) == beacons
    reader.close()


def test_a_store_that_is_not_there_is_not_made_by_reading(path: Path):
    with pytest.raises(StoreFailed, match="there is no store"):
        open_reader(path)
    assert not path.exists()


# ------------------------------------------------------------------ files that are not what they should be


def test_the_other_kind_of_chain_is_refused(path: Path):
    filled(path)
    with pytest.raises(StoreFailed, match="holds a chained chain") as caught:
        open_store(path, chained=False)
    assert "another network" in caught.value.advice
    open_store(path, chained=True).close()


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be looked at" * 100, b"\x00" * 8192])
def test_a_file_that_is_no_store_is_named_and_left_alone(path: Path, content: bytes):
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    for open_it in (lambda: open_store(path, chained=True), lambda: open_reader(path)):
        with pytest.raises(StoreFailed, match=r"drand\.sqlite") as caught:
            open_it()
        assert caught.value.advice
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_not_touched(path: Path):
    path.parent.mkdir(parents=True)
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    with pytest.raises(StoreFailed, match="not a beacon store"):
        open_store(path, chained=True)


def test_a_newer_version_is_refused(path: Path):
    filled(path)
    edit(path, "UPDATE about SET value = '2' WHERE key = 'version'")
    with pytest.raises(StoreFailed, match="version 2, this program reads 1") as caught:
        open_store(path, chained=True)
    assert "upgrade" in caught.value.advice


def edit(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(("gone", "found"), [(0, "round 0 is missing"), (19, "only round 20 is there")])
def test_a_missing_end_of_the_chain_is_found_when_opening(path: Path, gone: int, found: str):
    filled(path)
    edit(path, f"DELETE FROM beacons WHERE round <= {gone}")
    with pytest.raises(StoreFailed, match=found):
        open_store(path, chained=True)
    open_reader(path).close()


def test_a_gap_in_the_chain_is_damage_not_a_wrong_previous_signature(path: Path):
    filled(path)
    edit(path, "DELETE FROM beacons WHERE round = 10")
    store = open_store(path, chained=True)
    with pytest.raises(StoreFailed, match="round 10 is missing"):
        store.range(Round(5), 10)
    assert store.get(Round(9)) is not None
    store.close()


def test_an_unreadable_journal_is_damage_by_name(path: Path):
    filled(path)
    edit(path, "INSERT INTO journal (body) VALUES (x'ffff')")
    edit(path, "INSERT INTO epochs (body) VALUES (x'ffff')")
    store = open_store(path, chained=True)
    for ask in (store.journal, store.epoch, store.epochs):
        with pytest.raises(StoreFailed, match="damaged"):
            ask()
    store.close()


def test_pages_overwritten_on_disk_are_reported_by_name(path: Path):
    filled(path, last=5000)
    with open(path, "r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 20)
    for _ in range(2):  # the first refusal lets the lock go
        with pytest.raises(StoreFailed, match=r"drand\.sqlite is damaged") as caught:
            open_store(path, chained=True)
        assert "backup" in caught.value.advice


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE beacons SET signature = 5 WHERE round = 20",
        "UPDATE beacons SET signature = 'text' WHERE round = 20",
        "UPDATE beacons SET signature = cast(x'ff' AS TEXT) WHERE round = 20",
    ],
)
def test_a_signature_that_is_none_is_damage_by_name(path: Path, damage: str):
    filled(path)
    edit(path, damage)
    with pytest.raises(StoreFailed, match=r"drand\.sqlite"):
        open_store(path, chained=True)


def test_a_name_that_is_no_text_is_damage_by_name(path: Path):
    """SQLite quotes it in its error, which the sqlite3 module cannot decode then."""
    filled(path)
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE beacons", b"CREATE \xf4\xffBLE beacons"))
    for open_it in (lambda: open_store(path, chained=True), lambda: open_reader(path)):
        with pytest.raises(StoreFailed, match=r"drand\.sqlite is damaged") as caught:
            open_it()
        assert "backup" in caught.value.advice


def test_a_folder_in_the_stores_place_is_named_and_the_lock_let_go(path: Path):
    path.mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(StoreFailed, match=r"drand\.sqlite cannot be opened"):
            open_store(path, chained=True)


# ------------------------------------------------------------------ in use


def test_a_backup_is_taken_while_rounds_are_appended(path: Path, tmp_path: Path):
    store, beacons = open_store(path, chained=True), chain(200)
    store.append(beacons[:100])
    reader = open_reader(path)
    store.append(beacons[100:150])
    store.backup(tmp_path / "copy.sqlite")
    store.append(beacons[150:])
    copy = open_store(tmp_path / "copy.sqlite", chained=True)
    assert copy.range(Round(0), 1000) == beacons[:150]
    copy.append(beacons[150:])
    assert copy.last() == store.last() == reader.last()
    for one in (copy, reader, store):
        one.close()


def test_backups_are_made_one_after_the_other(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two to one target at the same time would write one waiting file."""
    filled(path)
    store, copy, alone = open_store(path, chained=True), sqlite_module._vacuum_into, list[bool]()

    def noted(source: Path, waiting: Path) -> None:
        alone.append(not store._backing_up.acquire(blocking=False))
        copy(source, waiting)

    monkeypatch.setattr(sqlite_module, "_vacuum_into", noted)
    with ThreadPoolExecutor(2) as threads:
        for backup in [threads.submit(store.backup, tmp_path / "copy.sqlite") for _ in range(2)]:
            backup.result(20)
    assert alone == [True, True]
    store.close()


def test_a_backup_never_replaces_the_store_itself(path: Path):
    store = open_store(path, chained=True)
    store.append(chain(3))
    with pytest.raises(StoreFailed, match="would replace the store itself"):
        store.backup(path.parent / ".." / "db" / path.name)
    assert store.last() == chain(3)[3]
    store.close()


@pytest.mark.parametrize("target", ["n" * 250, "file/copy"])
def test_a_backup_to_where_no_file_can_be_is_refused_by_name(path: Path, tmp_path: Path, target: str):
    (tmp_path / "file").touch()
    store = open_store(path, chained=True)
    with pytest.raises(StoreFailed, match="cannot write the backup"):
        store.backup(tmp_path / target)
    store.close()


def test_a_lock_file_that_cannot_be_opened_is_named(path: Path):
    filled(path)
    lock = path.with_name(path.name + ".lock")
    lock.unlink()
    lock.mkdir()
    with pytest.raises(StoreFailed, match=r"cannot open .*\.lock"):
        open_store(path, chained=True)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "default").write_text("a file in the way")
    with pytest.raises(StoreFailed, match=r"cannot make .*drand\.sqlite"):
        open_store(tmp_path / "default" / "db" / "drand.sqlite", chained=True)


@settings(max_examples=25)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(0, 12), st.integers(0, 6), st.sampled_from(["", "fork"])),
            st.tuples(st.just("delete"), st.integers(0, 12)),
        ),
        max_size=12,
    )
)
def test_disk_and_memory_do_the_same_whatever_is_asked(steps, tmp_path_factory: pytest.TempPathFactory):
    disk, memory = (
        open_store(tmp_path_factory.mktemp("store") / "drand.sqlite", chained=True),
        MemoryStore(chained=True),
    )
    for step in steps:
        assert carried_out(disk, step) == carried_out(memory, step)
        assert disk.range(Round(0), 100) == memory.range(Round(0), 100)
        assert (disk.count(), disk.last()) == (memory.count(), memory.last())
    disk.close()


def carried_out(store: BeaconStore, step: tuple[Any, ...]) -> object:
    """What a store answers to one step, refusals included."""
    try:
        if step[0] == "delete":
            return store.delete_from(Round(step[1]))
        _, first, size, salt = step
        return store.append(chain(20, salt=salt)[first : first + size])
    except OutOfOrder as error:
        return str(error)


def test_a_refused_append_leaves_no_transaction_open(path: Path):
    store = open_store(path, chained=True)
    store.append(chain(3))
    with pytest.raises(OutOfOrder):
        store.append([Beacon(Round(9), sha256(b"").digest())])
    other = sqlite3.connect(path, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.rollback()
    other.close()
    store.append(chain(4))
    assert store.count() == 5
    store.close()


def test_every_epoch_is_kept_since_a_resharing_needs_the_one_before(path: Path):
    store = open_store(path, chained=True)
    store.persist(EpochStarted(EPOCH))
    store.persist(EpochStarted(EPOCH))
    assert store.epochs() == (EPOCH, EPOCH)
    store.close()
