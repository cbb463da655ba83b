"""Streams without gaps, and a status that a stranger cannot turn into calls."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drand.daemon.feed import QUEUE_LIMIT, FeedClosed
from drand.daemon.peer_face import SYNC_BATCH, follow
from drand.daemon.status import Doorbell, node_status
from drand.model.chain import Round
from drand.model.group import Peer
from drand.model.packets import Metadata
from drand.model.status import DkgState
from drand.net.errors import PeerUnreachable
from drand.store.contract import StoreFailed
from tests.support.shells import Site, StubClient


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    made.store.append(made.committee.beacons(0, 3))
    yield made
    await made.shell.stop()


def make(site: Site, round_: int) -> None:
    """A round is stored, then published, as the machine's effects have it."""
    beacon = site.committee.beacon(round_)
    site.store.append((beacon,))
    site.shell.feed.publish(beacon)


async def read(stream: AsyncIterator[object], count: int) -> list[int]:
    rounds: list[int] = []
    async with asyncio.timeout(30):
        while len(rounds) < count:
            rounds += [int(beacon.round) for beacon in await anext(stream)]  # type: ignore[attr-defined]
    return rounds


async def test_a_stream_gives_what_is_stored_and_then_what_is_new(site: Site):
    stream = follow(site.shell, Round(2))
    assert await read(stream, 2) == [2, 3]
    make(site, 4)
    make(site, 5)
    assert await read(stream, 2) == [4, 5]
    await stream.aclose()
    assert site.shell.feed.readers == 0


async def test_a_round_stored_between_store_and_subscription_is_neither_lost_nor_doubled(site: Site):
    stream = follow(site.shell, Round(1))
    rounds = await read(stream, 3)
    make(site, 4)  # while the last batch is on its way: not in it, and not yet asked for
    rounds += await read(stream, 1)
    make(site, 5)
    rounds += await read(stream, 1)
    assert rounds == [1, 2, 3, 4, 5]


async def test_round_0_means_only_what_is_new(site: Site):
    stream = follow(site.shell, Round(0))
    waiting = asyncio.create_task(read(stream, 1))
    await asyncio.sleep(0)
    make(site, 4)
    assert await waiting == [4]


async def test_a_reader_that_lags_goes_back_to_the_store_and_misses_nothing(site: Site):
    stream = follow(site.shell, Round(3))
    assert await read(stream, 1) == [3]
    last = 3 + 3 * QUEUE_LIMIT
    for round_ in range(4, last + 1):
        make(site, round_)
    assert site.shell.feed.readers == 0, "its queue overflowed"
    assert await read(stream, last - 3) == list(range(4, last + 1))
    make(site, last + 1)
    assert await read(stream, 1) == [last + 1]


async def test_a_long_history_is_read_in_pieces_and_rounds_are_made_between_them(site: Site):
    site.store.append(site.committee.beacons(4, 2 * SYNC_BATCH))
    stream = follow(site.shell, Round(1))
    first = await anext(stream)
    assert len(first) == SYNC_BATCH
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "a round is made")
    await anext(stream)
    assert turns, "the loop had a turn between two pieces"


async def test_a_cancelled_stream_leaves_no_subscription(site: Site):
    stream = follow(site.shell, Round(0))
    reading = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert site.shell.feed.readers == 1
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert site.shell.feed.readers == 0


async def test_streams_end_when_the_beacon_stops_also_in_the_middle_of_the_history(site: Site):
    site.store.append(site.committee.beacons(4, 3 * SYNC_BATCH))
    history, idle = follow(site.shell, Round(1)), follow(site.shell, Round(0))
    waiting = asyncio.create_task(anext(idle))  # type: ignore[arg-type]
    await anext(history)
    site.shell.feed.close()
    with pytest.raises(FeedClosed):
        await anext(history)
    with pytest.raises(FeedClosed):
        await waiting


# ------------------------------------------------------------ status


async def test_a_peer_is_dialled_once_however_many_ask_and_again_only_when_the_answer_is_old():
    client = StubClient(ring=asyncio.Event(), failing={"b:1": PeerUnreachable("no")})
    doorbell = Doorbell(client)  # type: ignore[arg-type]
    peers = [Peer("a:1", tls=False), Peer("b:1", tls=False)]
    asking = [asyncio.create_task(doorbell.answering(peers, Metadata())) for _ in range(50)]
    await asyncio.sleep(0)
    assert client.ring is not None
    client.ring.set()
    assert [await one for one in asking] == [{"a:1": True, "b:1": False}] * 50
    assert await doorbell.answering(peers, Metadata()) == {"a:1": True, "b:1": False}
    assert client.rung == peers
    doorbell.close()


async def test_an_old_answer_is_forgotten():
    client = StubClient()
    doorbell = Doorbell(client, fresh_s=0.0)  # type: ignore[arg-type]
    peers = [Peer("a:1", tls=False)]
    await doorbell.answering(peers, Metadata())
    async with asyncio.timeout(30):
        while doorbell._rung:  # noqa: ASYNC110  # nothing tells: a timer of 0 s forgets it
            await asyncio.sleep(0)
    await doorbell.answering(peers, Metadata())
    assert len(client.rung) == 2


async def test_one_who_stops_asking_does_not_take_the_answer_from_others():
    client = StubClient(ring=asyncio.Event())
    doorbell = Doorbell(client)  # type: ignore[arg-type]
    peers = [Peer("a:1", tls=False)]
    impatient = asyncio.create_task(doorbell.answering(peers, Metadata()))
    patient = asyncio.create_task(doorbell.answering(peers, Metadata()))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    assert client.ring is not None
    client.ring.set()
    assert await patient == {"a:1": True}


async def test_the_status_of_a_restarted_node_says_that_its_key_generation_is_done(site: Site):
    site.shell.start()
    status = node_status(site.shell, {})
    assert status.dkg is DkgState.DONE
    assert (status.is_inited, status.is_running, status.is_serving, status.is_stopped) == (True, True, True, False)
    assert (status.chain.last_round, status.chain.length, status.chain.is_empty) == (3, 4, False)


async def test_the_status_of_a_fresh_node_says_that_nothing_has_begun(tmp_path: Path):
    fresh = Site(tmp_path / "fresh", with_epoch=False)
    fresh.shell.start()
    status = node_status(fresh.shell, {})
    assert (status.dkg, status.is_running, status.chain.is_empty) == (DkgState.NOT_STARTED, False, True)
    await fresh.shell.stop()


async def test_a_node_whose_disk_refuses_says_so_and_still_answers(site: Site, monkeypatch: pytest.MonkeyPatch):
    site.shell.start()
    site.shell._fail(StoreFailed("the disk is full"))
    status = node_status(site.shell, {"n1:1": True})
    assert (status.is_stopped, status.is_running, status.chain.last_round) == (True, False, 3)

    def unreadable() -> None:
        raise StoreFailed("the disk is gone")

    monkeypatch.setattr(site.store, "last", unreadable)
    assert node_status(site.shell, {}).chain.is_empty
