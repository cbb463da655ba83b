"""A relay whose archive another process has locked, or that it may only read: readers notice nothing."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from collective.errors import BadSetting
from drand.model.chain import Beacon, Round
from drand.relay.chains import ArchiveShelf, RelayedChain
from drand.relay.relay import Relay
from drand.relay.settings import RelaySettings
from drand.store.archive import ArchiveLocked, BeaconArchive
from tests.support.living_chain import PAST_ROUNDS, LivingChain
from tests.support.locks import locked
from tests.support.relaying import next_round, relaying, rounds_until, upstream, verifying


async def test_under_a_lock_a_relay_serves_and_follows_and_afterwards_every_round_is_in_the_archive(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    chain, path = LivingChain(), tmp_path / "archive.sqlite"
    async with upstream(chain) as url, relaying(url, archive=path) as (_, client):
        first = await next_round(client)
        with locked(path):
            while (last := await next_round(client)) < first + 3:
                async with client.get("/public/1") as answer:
                    assert answer.status == 200
                async with client.get("/health") as answer:
                    assert answer.status == 200
    assert "is locked by another process" in caplog.text
    assert "it is tried again until that lets go" in caplog.text
    assert "Timeout" not in caplog.text, "an upstream is blamed for the lock"
    archive = BeaconArchive(path)
    assert [one.round for one in archive.run(chain.info().hash(), Round(first), 100)][: last - first + 1] == list(
        range(first, last + 1)
    )
    assert archive.get(chain.info().hash(), Round(1)) is not None
    archive.close()


async def test_the_history_waits_for_the_lock_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    chain, path = LivingChain(), tmp_path / "archive.sqlite"
    BeaconArchive(path).close()
    async with upstream(chain) as url:
        with locked(path) as lock:
            async with relaying(url, archive=path, history=True) as (_, client):
                await rounds_until(chain, lambda: "is locked by another process" in caplog.text)
                assert await next_round(client) >= PAST_ROUNDS
                assert "the archive has every round" not in caplog.text
                lock.let_go()
                await rounds_until(chain, lambda: "the archive has every round" in caplog.text)


class Unreadable:
    """An archive whose lock keeps readers out as well."""

    def highest(self, chain: bytes, below: Round | None = None) -> Round | None:
        raise ArchiveLocked("locked")

    def get(self, chain: bytes, round_: Round) -> Beacon | None:
        raise ArchiveLocked("locked")

    def run(self, chain: bytes, first: Round, limit: int) -> Sequence[Beacon]:
        raise ArchiveLocked("locked")


async def test_an_archive_that_keeps_readers_out_counts_as_empty_and_rounds_are_asked_for_upstream():
    upstream_ = LivingChain()

    async def fetch(round_: Round) -> Beacon:
        return upstream_.committee.beacon(round_)

    shelf = ArchiveShelf(Unreadable(), bytes(32))  # type: ignore[arg-type]
    chain = RelayedChain(upstream_.info(), verifying(shelf, upstream_.info()), fetch)
    chain.publish(upstream_.committee.beacon(9))
    assert chain.get(Round(4)) is None
    assert await chain.wait(Round(4)) == upstream_.committee.beacon(4)
    assert chain.range(Round(4), 10) == [upstream_.committee.beacon(4)]


class Counted:
    """A shelf that notes what is asked of it."""

    def __init__(self, beacons: Sequence[Beacon]) -> None:
        self.beacons = beacons
        self.asked: list[tuple[int, int]] = []

    def last(self, below: Round | None = None) -> Beacon | None:
        return self.beacons[-1]

    def get(self, round_: Round) -> Beacon | None:
        return next((one for one in self.beacons if one.round == round_), None)

    def range(self, first: Round, limit: int) -> Sequence[Beacon]:
        self.asked.append((first, limit))
        return [one for one in self.beacons if first <= one.round < first + limit]


async def test_a_range_that_is_in_memory_needs_no_shelf():
    committee = LivingChain().committee

    async def fetch(round_: Round) -> Beacon:
        raise AssertionError(round_)

    shelf = Counted(committee.beacons(1, 5))
    chain = RelayedChain(LivingChain().info(), verifying(shelf, LivingChain().info()), fetch)
    for round_ in range(6, 11):
        chain.publish(committee.beacon(round_))
    assert chain.range(Round(6), 3) == list(committee.beacons(6, 8))
    assert chain.range(Round(8), 1000) == list(committee.beacons(8, 10))
    assert shelf.asked == []
    assert await chain.stored(Round(3), 1000) == list(committee.beacons(3, 10))
    assert chain.range(Round(3), 1000) == list(committee.beacons(3, 10))
    assert chain.range(Round(3), 6) == list(committee.beacons(3, 8))


async def test_a_relay_that_may_only_read_its_archive_serves_it_and_says_that_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    chain, path = LivingChain(), tmp_path / "archive.sqlite"
    archive = BeaconArchive(path)
    archive.put(chain.info().hash(), [chain.committee.beacon(3)])
    archive.close()
    monkeypatch.setattr("drand.store.archive.may_write", lambda _path: False)
    async with upstream(chain) as url:
        async with relaying(url, archive=path) as (_, client), client.get("/public/3") as answer:
            assert answer.status == 200
        assert caplog.text.count("nothing new is kept") == 1
        relay = Relay(RelaySettings(listen="127.0.0.1:0", sources=(url,), archive=path, history=True))
        with pytest.raises(BadSetting, match="--history"):
            await relay.start()
        await relay.stop()
