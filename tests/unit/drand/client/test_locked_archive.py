"""A client whose archive another process has locked, or that it may only read: beacons are given out all the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collective.clock import monotonic_s
from drand.client import Client
from drand.client.async_client import AsyncClient
from drand.client.observing import Observer
from drand.model.chain import Beacon, Round
from drand.store import archivist
from drand.store.archive import ArchiveLocked, ArchiveReadOnly, BeaconArchive
from drand.store.contract import StoreFailed
from tests.support.http_chain import CHAINED, ROUNDS, UNCHAINED, FakeClock, Relay, chain, committee, serving
from tests.support.locks import locked


class Heard(Observer):
    """What a client tells about its archive."""

    def __init__(self) -> None:
        self.errors: list[StoreFailed] = []
        self.first = asyncio.Event()

    def archive_failed(self, error: StoreFailed) -> None:
        self.errors.append(error)
        self.first.set()


@asynccontextmanager
async def archiving(path: Path, scheme: str = UNCHAINED, **settings: Any) -> AsyncIterator[tuple[AsyncClient, Heard]]:
    """A client of an honest server, with an archive that is there already."""
    BeaconArchive(path).close()
    heard, clock = Heard(), FakeClock()
    async with (
        serving(Relay(scheme, apis=("v2",), pages=10)) as urls,
        AsyncClient(
            chain(scheme), urls, archive=path, observer=heard, clock=clock, sleep=clock.sleep, **settings
        ) as client,
    ):
        yield client, heard


def archived(path: Path, scheme: str = UNCHAINED) -> list[int]:
    """The rounds that are in the file."""
    archive = BeaconArchive(path)
    found = [round_ for round_ in range(1, ROUNDS + 1) if archive.get(chain(scheme).hash(), Round(round_)) is not None]
    archive.close()
    return found


async def test_a_round_is_given_out_at_once_while_the_archive_is_locked_and_written_afterwards(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with archiving(tmp_path / "a") as (client, heard):
        with locked(tmp_path / "a"):
            since_s = monotonic_s()
            for round_ in (7, 8, 9):
                assert (await client.get(round_)).plain == committee().beacon(round_)
            assert (await client.latest()).round == ROUNDS
            assert monotonic_s() - since_s < 4.0, "SQLite's own wait is five seconds for each"
            assert archived(tmp_path / "a") == []
        await client.close()
    assert archived(tmp_path / "a") == [7, 8, 9, ROUNDS]
    assert {type(error) for error in heard.errors} <= {ArchiveLocked}


async def test_the_observer_hears_of_the_lock_once(tmp_path: Path):
    async with archiving(tmp_path / "a") as (client, heard):
        with locked(tmp_path / "a"):
            await client.get(7)
            async with asyncio.timeout(30):
                await heard.first.wait()
            await client.get(8)
        assert "locked by another process" in str(heard.errors[0])
        assert len(heard.errors) == 1


async def test_a_watch_goes_on_through_a_lock(tmp_path: Path):
    async with archiving(tmp_path / "a") as (client, _), aclosing(client.watch(20)) as watch:
        assert (await anext(watch)).round == 20
        with locked(tmp_path / "a"):
            assert [(await anext(watch)).round for _ in range(10)] == list(range(21, 31))
        assert (await anext(watch)).round == 31
    assert set(range(20, 32)) <= set(archived(tmp_path / "a"))


@pytest.mark.parametrize("scheme", [UNCHAINED, CHAINED])
async def test_a_range_is_given_out_whole_through_a_lock_and_archived_whole(tmp_path: Path, scheme: str):
    async with archiving(tmp_path / "a", scheme, full_chain=True) as (client, _):
        with locked(tmp_path / "a"):
            found = [one.plain async for one in client.rounds(5, ROUNDS)]
            assert found == list(committee(scheme).beacons(5, ROUNDS))
    assert archived(tmp_path / "a", scheme) == list(range(1 if scheme == CHAINED else 5, ROUNDS + 1))
    archive = BeaconArchive(tmp_path / "a")
    assert archive.walked(chain(scheme).hash()) == (ROUNDS if scheme == CHAINED else 0)
    archive.close()


async def test_a_range_that_finds_no_room_to_wait_in_is_given_out_whole_and_the_observer_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(archivist, "MOST_AHEAD", 10)
    async with archiving(tmp_path / "a") as (client, heard):
        with locked(tmp_path / "a"):
            assert [one.round async for one in client.rounds(1, ROUNDS)] == list(range(1, ROUNDS + 1))
            assert len(archived(tmp_path / "a")) == 0
    assert archived(tmp_path / "a")
    assert any("not kept" in str(error) for error in heard.errors)


async def test_an_archive_that_keeps_readers_out_counts_as_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with archiving(tmp_path / "a") as (client, heard):
        await client.get(7)
        await client.close()

    def refuse(*_: object) -> Beacon:
        raise ArchiveLocked("locked")

    for name in ("get", "run", "next_stored"):
        monkeypatch.setattr(BeaconArchive, name, refuse)
    async with archiving(tmp_path / "a") as (client, heard):
        assert (await client.get(7)).plain == committee().beacon(7)
        assert [one.round async for one in client.rounds(6, 12)] == list(range(6, 13))
        assert {type(error) for error in heard.errors} == {ArchiveLocked}


async def test_a_watch_that_follows_the_whole_chain_waits_for_an_archive_that_keeps_readers_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real, refusals = BeaconArchive.walked, iter(range(3))

    def walked(archive: BeaconArchive, chain_hash: bytes) -> Round:
        if next(refusals, None) is not None:
            raise ArchiveLocked("locked")
        return real(archive, chain_hash)

    monkeypatch.setattr(BeaconArchive, "walked", walked)
    async with (
        archiving(tmp_path / "a", CHAINED, full_chain=True) as (client, _),
        aclosing(client.watch(ROUNDS)) as watch,
    ):
        assert (await anext(watch)).plain == committee(CHAINED).beacon(ROUNDS)
    assert next(refusals, None) is None


async def test_an_archive_that_may_only_be_read_is_read_and_that_nothing_is_kept_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with archiving(tmp_path / "a") as (client, _):
        await client.get(7)
    monkeypatch.setattr("drand.store.archive.may_write", lambda _path: False)
    async with archiving(tmp_path / "a") as (client, heard):
        assert (await client.get(7)).provenance.source == "archive"
        assert (await client.get(8)).plain == committee().beacon(8)
        assert [one.round async for one in client.rounds(5, 12)] == list(range(5, 13))
        await client.get(13)
    assert [type(error) for error in heard.errors] == [ArchiveReadOnly]
    assert archived(tmp_path / "a") == [7]


async def test_the_blocking_client_writes_what_waits_when_it_is_closed(tmp_path: Path):
    async with serving(Relay()) as urls:

        def ask() -> int:
            with Client(chain(), urls, archive=tmp_path / "a") as client, locked(tmp_path / "a"):
                return client.get(7).round

        assert await asyncio.to_thread(ask) == 7
    assert archived(tmp_path / "a") == [7]
