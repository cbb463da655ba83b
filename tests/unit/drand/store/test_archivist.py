"""Beacons on their way into an archive: found as if they were there, through locks, a full queue and closing."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collective.clock import monotonic_s
from drand.model.chain import Beacon, Round
from drand.store import archivist
from drand.store.archive import ArchiveLocked, ArchiveReadOnly, BeaconArchive
from drand.store.archivist import Archivist
from drand.store.contract import StoreFailed
from tests.support.locks import locked

A, B = b"a" * 32, b"b" * 32


def beacon(round_: int) -> Beacon:
    return Beacon(Round(round_), round_.to_bytes(48, "big"), b"before")


class Refusals:
    """What an archivist tells, and when the first has come."""

    def __init__(self) -> None:
        self.errors: list[StoreFailed] = []
        self.told = threading.Event()

    def __call__(self, error: StoreFailed) -> None:
        self.errors.append(error)
        self.told.set()

    async def first(self) -> StoreFailed:
        assert await asyncio.to_thread(self.told.wait, 30)
        return self.errors[0]


@contextmanager
def stored(path: Path) -> Iterator[BeaconArchive]:
    archive = BeaconArchive(path)
    yield archive
    archive.close()


async def closed(kept: Archivist) -> None:
    kept.close()
    await kept.ended()


async def test_while_another_process_holds_the_lock_nobody_waits_and_when_it_lets_go_all_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, logger="drand.archive")
    refusals = Refusals()
    kept = Archivist(tmp_path / "a", refusals)
    with locked(tmp_path / "a"):
        since_s = monotonic_s()
        for round_ in range(1, 8):
            kept.keep(A, [beacon(round_)])
        await kept.put(B, [beacon(3), beacon(4)])
        kept.set_walked(B, Round(4))
        assert kept.run(A, Round(2), 3) == [beacon(2), beacon(3), beacon(4)]
        assert (kept.get(B, Round(4)), kept.get(A, Round(9)), kept.walked(B)) == (beacon(4), None, 4)
        assert (kept.highest(A), kept.next_stored(B, Round(1)), kept.waiting) == (7, 3, 9)
        assert monotonic_s() - since_s < 2.0, "SQLite's own wait is five seconds for each"
        assert isinstance(await refusals.first(), ArchiveLocked)
    await kept.written()
    assert kept.waiting == 0
    await closed(kept)
    with stored(tmp_path / "a") as archive:
        assert (archive.count(A), archive.count(B), archive.walked(B)) == (7, 2, 4)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "is locked by another process" in caplog.text
    assert "it is tried again until that lets go" in caplog.text
    assert len(refusals.errors) == 1


async def test_what_waits_and_what_is_stored_are_one_run_and_what_waits_counts(tmp_path: Path):
    with stored(tmp_path / "a") as archive:
        archive.put(A, [beacon(1), beacon(2), Beacon(Round(4), b"damaged"), beacon(6), beacon(9)])
    kept = Archivist(tmp_path / "a")
    with locked(tmp_path / "a"):
        kept.keep(A, [beacon(3), beacon(4), beacon(5), beacon(8)])
        assert kept.run(A, Round(1), 100) == [beacon(round_) for round_ in range(1, 7)]
        assert kept.run(A, Round(1), 4) == [beacon(round_) for round_ in range(1, 5)]
        assert (kept.next_stored(A, Round(7)), kept.highest(A)) == (8, 9)
    await closed(kept)


async def test_a_full_queue_loses_what_comes_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(archivist, "MOST_WAITING", 6)
    monkeypatch.setattr(archivist, "MOST_AHEAD", 4)
    refusals = Refusals()
    kept = Archivist(tmp_path / "a", refusals)
    with locked(tmp_path / "a"):
        await kept.put(A, [beacon(1), beacon(2), beacon(3), beacon(4)])
        await refusals.first()
        with pytest.raises(ArchiveLocked):
            await kept.put(A, [beacon(5)])
        for round_ in (4, 5, 6, 7, 8):
            kept.keep(A, [beacon(round_)])
        assert kept.waiting == 6
    await kept.written()
    kept.keep(A, [beacon(9)])
    await closed(kept)
    with stored(tmp_path / "a") as archive:
        assert [archive.get(A, Round(round_)) is not None for round_ in range(1, 10)] == [True] * 6 + [False] * 2 + [
            True
        ]
    assert caplog.text.count("what comes now is not kept") == 1
    assert "lacks what found no room meanwhile: beacons: 3" in caplog.text


async def test_who_has_many_waits_for_a_disk_that_only_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archivist, "MOST_AHEAD", 4)
    kept = Archivist(tmp_path / "a")
    for first in range(1, 41, 4):
        await kept.put(A, [beacon(round_) for round_ in range(first, first + 4)])
    await kept.written()
    await closed(kept)
    with stored(tmp_path / "a") as archive:
        assert archive.run(A, Round(1), 100) == [beacon(round_) for round_ in range(1, 41)]


async def test_closing_ends_under_a_lock_and_says_what_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(archivist, "END_S", 0.0)
    kept = Archivist(tmp_path / "a")
    with locked(tmp_path / "a"):
        kept.keep(A, [beacon(1), beacon(2)])
        await closed(kept)
    assert "lacks what waited: beacons: 2" in caplog.text
    with pytest.raises(StoreFailed, match="closed"):
        kept.keep(A, [beacon(3)])


async def test_closing_writes_what_waits(tmp_path: Path):
    kept = Archivist(tmp_path / "a")
    with locked(tmp_path / "a") as lock:
        kept.keep(A, [beacon(1)])
        kept.close()
        lock.let_go()
        await kept.ended()
    with stored(tmp_path / "a") as archive:
        assert archive.get(A, Round(1)) == beacon(1)


async def test_a_file_that_may_not_be_written_is_read_and_that_nothing_is_kept_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    with stored(tmp_path / "a") as archive:
        archive.put(A, [beacon(1)])
        archive.set_walked(A, Round(1))
    monkeypatch.setattr("drand.store.archive.may_write", lambda _path: False)
    refusals = Refusals()
    kept = Archivist(tmp_path / "a", refusals)
    assert (kept.get(A, Round(1)), kept.walked(A), kept.highest(A)) == (beacon(1), 1, 1)
    kept.keep(A, [beacon(2)])
    kept.keep(A, [beacon(3)])
    kept.set_walked(A, Round(3))
    with pytest.raises(ArchiveReadOnly):
        await kept.put(A, [beacon(2)])
    assert (kept.get(A, Round(2)), kept.walked(A)) == (None, 1)
    await closed(kept)
    assert [type(error) for error in refusals.errors] == [ArchiveReadOnly]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_disk_that_refuses_is_tried_again_with_a_new_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    refusals = Refusals()
    kept = Archivist(tmp_path / "a", refusals)
    monkeypatch.setattr("drand.store.archive.may_write", lambda _path: False)  # a medium that is mounted for reading
    kept.keep(A, [beacon(1)])
    assert isinstance(await refusals.first(), ArchiveReadOnly)
    monkeypatch.undo()
    await kept.written()
    await closed(kept)
    with stored(tmp_path / "a") as archive:
        assert archive.get(A, Round(1)) == beacon(1)


async def test_no_trouble_leaves_anybody_waiting_for_a_thread_that_has_died_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(BeaconArchive, "put_all", fail)
    kept = Archivist(tmp_path / "a")
    kept.keep(A, [beacon(1)])
    await closed(kept)
    assert "MemoryError" in caplog.text
    assert "lacks what waited: beacons: 1" in caplog.text


def test_a_lock_has_an_error_of_its_own(tmp_path: Path):
    with stored(tmp_path / "a"), locked(tmp_path / "a"):
        hasty = BeaconArchive(tmp_path / "a", wait_s=0.0)
        with pytest.raises(ArchiveLocked):
            hasty.put(A, [beacon(1)])
        hasty.close()
