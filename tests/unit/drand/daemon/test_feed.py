"""New beacons reach those who wait, and nobody who waits can hold up the chain."""

import asyncio

import pytest

from drand.daemon import feed as module
from drand.daemon.feed import QUEUE_LIMIT, BeaconFeed, FeedClosed, ReaderTooSlow, TooManyReaders
from drand.model.chain import Beacon, Round


def beacon(round_: int) -> Beacon:
    return Beacon(Round(round_), b"%d" % round_)


async def test_a_reader_gets_everything_from_its_subscription_on():
    feed = BeaconFeed()
    feed.publish(beacon(1))
    with feed.subscribe() as new:
        feed.publish(beacon(2))
        feed.publish(beacon(3))
        assert [(await new.next()).round, (await new.next()).round] == [2, 3]
    assert feed.readers == 0


async def test_a_reader_that_lags_gets_what_was_queued_and_then_an_error():
    feed = BeaconFeed()
    with feed.subscribe() as new:
        for round_ in range(1, QUEUE_LIMIT + 5):
            feed.publish(beacon(round_))
        assert feed.readers == 0, "it is forgotten when its queue overflows"
        rounds = [(await new.next()).round for _ in range(QUEUE_LIMIT)]
        assert rounds == list(range(1, QUEUE_LIMIT + 1))
        with pytest.raises(ReaderTooSlow):
            await new.next()


async def test_a_slow_reader_does_not_keep_others_from_theirs():
    feed = BeaconFeed()
    with feed.subscribe(), feed.subscribe() as quick:
        for round_ in range(1, 3 * QUEUE_LIMIT):
            feed.publish(beacon(round_))
            assert (await quick.next()).round == round_


async def test_those_who_wait_for_a_round_get_that_round():
    feed = BeaconFeed()
    waiting = [asyncio.create_task(feed.wait(Round(round_))) for round_ in (7, 7, 8)]
    await asyncio.sleep(0)
    feed.publish(beacon(7))
    assert [(await one).round for one in waiting[:2]] == [7, 7]
    assert feed.readers == 1
    feed.publish(beacon(8))
    assert (await waiting[2]).round == 8
    assert feed.readers == 0


async def test_who_stops_waiting_leaves_nothing_behind():
    feed = BeaconFeed()
    waiting = asyncio.create_task(feed.wait(Round(7)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert feed.readers == 0
    assert feed._waiters == {}


async def test_streams_and_held_requests_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_SUBSCRIBERS", 1)
    monkeypatch.setattr(module, "MAX_WAITERS", 1)
    feed = BeaconFeed()
    with feed.subscribe(), pytest.raises(TooManyReaders, match="streams"):
        feed.subscribe()
    waiting = asyncio.create_task(feed.wait(Round(1)))
    await asyncio.sleep(0)
    with pytest.raises(TooManyReaders, match="held"):
        await feed.wait(Round(1))
    waiting.cancel()


async def test_closing_sends_everybody_away_once_they_have_read_what_was_there():
    feed = BeaconFeed()
    waiting = asyncio.create_task(feed.wait(Round(9_999)))
    gone = asyncio.create_task(feed.wait(Round(9_998)))
    await asyncio.sleep(0)
    gone.cancel()
    with feed.subscribe() as new:
        for round_ in range(QUEUE_LIMIT):
            feed.publish(beacon(round_))
        feed.close()
        feed.close()
        for _ in range(QUEUE_LIMIT):
            await new.next()
        with pytest.raises(FeedClosed):
            await new.next()
    with pytest.raises(FeedClosed):
        await waiting
    with pytest.raises(FeedClosed):
        feed.subscribe()
    with pytest.raises(FeedClosed):
        await feed.wait(Round(1))
