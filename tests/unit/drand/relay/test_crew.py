"""A relay's workers: what they and the feeder say to each other, and what happens when one of them fails."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from collective.errors import Unavailable
from drand.model.chain import Beacon, Round
from drand.relay import crew, links
from drand.relay.chains import RelayedChain
from drand.relay.crew import Crew, Hand, WorkerFailed
from drand.relay.links import Counted, Frame, Lack, Link, LinkEnded, Ready, Told, Want
from drand.relay.relay import Relay
from drand.relay.serving import ServedHere, Worker
from drand.relay.settings import RelaySettings
from tests.support.living_chain import LivingChain
from tests.support.relaying import relaying, rounds_until, upstream

CHAIN = b"c" * 32
COUNTED = Counted([("200", "get", 5)], {"get": [5]}, {"get": 0.5}, in_flight=2, readers=3, dropped=1)
GARBAGE = {
    "too long": b"\xff\xff\xff\xff",
    "no message": b"\x00\x00\x00\x03abc",
    "of another kind": b"\x00\x00\x00\x02\x91\xa1",
}


class Process:
    """What a hand asks of a process."""

    pid = 4711

    def __init__(self) -> None:
        self.killed = 0

    def kill(self) -> None:
        self.killed += 1


async def ends() -> tuple[Link, asyncio.StreamReader, asyncio.StreamWriter]:
    """A link, and the bare other end of it."""
    ours, theirs = socket.socketpair()
    link = Link(*await asyncio.open_connection(sock=ours))
    return link, *await asyncio.open_connection(sock=theirs)


class Held:
    """A hand without a process, and the worker's end of its link."""

    def __init__(self, hand: Hand, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.hand = hand
        self.process = process
        self.writer = writer
        self.worker = Link(reader, writer)


async def fails(chain: bytes, round_: Round) -> Beacon:
    raise Unavailable(f"nobody has round {round_}")


@pytest.fixture
async def held() -> AsyncIterator[Held]:
    link, reader, writer = await ends()
    process = Process()
    made = Held(Hand(process, link, fails), process, reader, writer)  # type: ignore[arg-type]
    yield made
    writer.close()
    link.close()
    await made.hand.listening


async def test_a_worker_whose_question_nobody_can_answer_is_told_so(held: Held):
    held.worker.send(Want(CHAIN, 7))
    assert await held.worker.receive() == Lack(CHAIN, 7, "nobody has round 7")


@pytest.mark.parametrize("kind", GARBAGE)
async def test_a_worker_that_says_what_nobody_understands_is_given_up(
    held: Held, kind: str, caplog: pytest.LogCaptureFixture
):
    held.writer.write(GARBAGE[kind])
    await held.hand.listening
    assert "worker 4711: a frame" in caplog.text
    with pytest.raises(WorkerFailed):
        await held.hand.ready


async def test_a_worker_that_says_what_only_the_feeder_says_is_given_up(held: Held, caplog: pytest.LogCaptureFixture):
    held.worker.send(Told(CHAIN, 1, b"s", b"", news=True))
    await held.hand.listening
    assert "worker 4711: a worker said Told" in caplog.text


async def test_a_worker_that_does_not_read_is_killed_and_that_is_said_once(
    held: Held, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(links, "MAX_UNREAD_BYTES", 10_000)
    news = Told(CHAIN, 1, b"s" * 90_000, b"", news=True)
    for _ in range(100):  # rounds go on, and so do looks at the clock, until its end is noticed
        held.hand.tell(news)
    held.hand.give_up("says nothing any more")
    assert held.process.killed == 1
    assert [record.getMessage() for record in caplog.records] == ["worker 4711 does not read and is replaced"]


async def test_a_worker_is_silent_for_a_while_before_it_is_given_up_and_longer_while_it_starts(held: Held):
    looks = 0
    while held.hand.look():
        looks += 1
    assert looks == crew.STARTING_LOOKS
    held.worker.send(Ready(1))
    await held.hand.ready
    looks = 0
    while held.hand.look():
        looks += 1
    assert looks == crew.MOST_LOOKS


async def test_what_a_dead_worker_has_counted_stays_and_what_it_held_is_gone():
    total = links.NOTHING.outlived(COUNTED).outlived(COUNTED)
    assert total == Counted([("200", "get", 10)], {"get": [10]}, {"get": 1.0}, in_flight=0, readers=0, dropped=2)


@pytest.mark.parametrize("kind", GARBAGE)
async def test_a_worker_that_is_told_what_nobody_understands_ends(kind: str, caplog: pytest.LogCaptureFixture):
    info = LivingChain().info()
    link, reader, writer = await ends()
    worker = Worker(RelaySettings(listen="127.0.0.1:0"), (ServedHere.of(info, None),), link)
    running = asyncio.ensure_future(worker.run())
    feeder = Link(reader, writer)
    assert isinstance(await feeder.receive(), Ready)
    writer.write(GARBAGE[kind])
    await running
    assert "worker: a frame" in caplog.text
    with pytest.raises(LinkEnded):
        await drained(feeder)


async def drained(link: Link) -> Frame:
    async with asyncio.timeout(30):
        while True:
            await link.receive()


# ---------------------------------------------------------------- with real processes


def crew_of(relay: Relay) -> Crew:
    assert relay._crew is not None
    return relay._crew


def complete(workers: Crew) -> bool:
    """As many workers as there should be, and all of them serve."""
    return len(workers.hands) == 2 and all(hand.served for hand in workers.hands)


async def expect_answers(relay: Relay) -> None:
    """Requests on connections of their own, so that the kernel deals them out to all workers."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(f"http://{relay.address}", connector=connector) as client:
        for _ in range(12):
            async with asyncio.timeout(30), client.get("/public/latest") as answer:
                assert answer.status == 200


async def test_a_worker_that_is_killed_or_stops_or_ends_is_replaced_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
):
    chain = LivingChain()
    async with upstream(chain) as url, relaying(url, workers=2) as (relay, _):
        workers = crew_of(relay)
        for deaths, number in enumerate((signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM), 1):
            failing = workers.hands[0]
            assert failing.process.pid is not None
            os.kill(failing.process.pid, number)
            if number is signal.SIGSTOP:
                while failing.look():
                    pass
                workers.look()
            async with asyncio.timeout(30):
                await failing.listening
            await rounds_until(chain, lambda deaths=deaths: workers.deaths == deaths and complete(workers))  # type: ignore[misc]
            assert failing not in workers.hands
            await expect_answers(relay)
    assert caplog.text.count("says nothing any more") == 1
    assert caplog.text.count("died; starting another") == 3


async def test_a_worker_that_begins_is_told_the_head_also_behind_a_gap():
    chain = LivingChain()
    committee = chain.committee

    async def fetch(round_: Round) -> Beacon:
        raise Unavailable(f"nobody has round {round_}")

    relay = Relay(RelaySettings(sources=("http://127.0.0.1:9",)))
    relayed = relay._chains[CHAIN] = RelayedChain(chain.info(), None, fetch)
    assert relay._recent() == []
    for kept, told in (((1, 2, 3), [1, 2, 3]), ((9,), [1, 2, 3, 9]), ((90,), [90])):
        for round_ in kept:
            relayed.publish(committee.beacon(round_))
        assert [one.round for one in relay._recent()] == told
    await relay.stop()


async def test_a_relay_whose_workers_cannot_be_started_says_so(monkeypatch: pytest.MonkeyPatch):
    def refuse(self: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", refuse)
    async with upstream(LivingChain()) as url:
        with pytest.raises(WorkerFailed, match="temporarily unavailable"):
            async with relaying(url, workers=2):
                pass
