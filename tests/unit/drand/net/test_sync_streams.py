"""SyncChain from both ends: order, bounds, slow readers, silence and cancellation."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from collective.errors import Malformed
from drand.model.chain import Round
from drand.model.group import Peer
from drand.model.packets import Metadata, SyncedBeacon, SyncRequest
from drand.net import grpc_service, peer_server, sync_reader
from drand.net.addresses import HostPort
from drand.net.admission import Quota
from drand.net.errors import PeerRefused, PeerUnreachable
from drand.net.peer_client import PeerClient
from drand.net.peer_server import PeerServer
from drand.net.sync_reader import MAX_BATCH, MAX_WAITING
from drand.wire.packets import encode_synced_beacon
from tests.support.served import ToldNode, beacon, until

PATIENT_S = 60.0


class Line:
    """A node with a long chain, and a client."""

    def __init__(self) -> None:
        self.node = ToldNode(beacon_id="other")
        self.server = PeerServer(self.node)
        self.client = PeerClient()
        self.peer = Peer("", False)

    def sync(self, from_round: int = 1, patience_s: float = PATIENT_S) -> sync_reader.SyncReader:
        return self.client.sync(self.peer, SyncRequest(Round(from_round), "other"), patience_s=patience_s)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    made = Line()
    made.peer = Peer(str(await made.server.start(HostPort("127.0.0.1", 0))), False)
    yield made
    await made.client.close()
    await made.server.stop(0)


async def test_all_rounds_arrive_in_order_with_the_beacon_id_of_the_request(line: Line):
    line.node.stored = 1234
    async with line.sync(3) as batches:
        received = [synced async for batch in batches for synced in batch]
    assert [synced.beacon for synced in received] == [beacon(r) for r in range(3, 1235)]
    assert {synced.beacon_id for synced in received} == {"other"}
    assert line.node.asked == [SyncRequest(Round(3), "other")]


async def test_the_request_names_the_beacon_and_no_version(line: Line):
    seen: list[Metadata] = []
    original = line.node.sync

    def spying(metadata: Metadata, request: SyncRequest, sender: str):  # type: ignore[no-untyped-def]
        seen.append(metadata)
        return original(metadata, request, sender)

    line.node.sync = spying  # type: ignore[method-assign]
    async with line.sync() as batches:
        await anext(aiter(batches))
    assert seen == [Metadata(None, "other", b"")]


class Between(threading.Condition):
    """When it is left for the first time, the other thread has its turn."""

    def __init__(self, turn: Callable[[], None]) -> None:
        super().__init__()
        self.turns = [turn]

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[arg-type]
        if self.turns:
            self.turns.pop()()


async def test_what_comes_last_while_the_reader_looks_is_not_lost(line: Line):
    last = encode_synced_beacon(SyncedBeacon(beacon(1), "other")).SerializeToString()
    batches = line.sync()
    batches._read = lambda: batches._hand_over(last)  # type: ignore[method-assign]
    batches._room = Between(batches._run)  # the stream's last message, and its end
    assert [synced.beacon async for batch in batches for synced in batch] == [beacon(1)]


async def test_batches_are_bounded(line: Line):
    line.node.stored = 3000
    sizes = []
    async with line.sync() as batches:
        async for batch in batches:
            sizes.append(len(batch))
    assert sum(sizes) == 3000
    assert 1 <= min(sizes) <= max(sizes) <= MAX_BATCH


async def test_a_reader_that_stops_reading_stops_the_sender(line: Line):
    line.node.endless = True
    async with line.sync() as batches:
        await anext(aiter(batches))
        before = -1
        while before != line.node.produced:  # until a whole second brings nothing new
            before = line.node.produced
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(line.node.closed.wait(), 1.0)
        assert len(batches._waiting) <= MAX_WAITING
        assert line.node.produced < 100_000
    await line.node.closed.wait()


async def test_a_reader_that_takes_nothing_loses_its_stream(line: Line, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grpc_service, "WRITE_PATIENCE_S", 0.2)
    line.node.endless = True
    async with line.sync() as batches:
        await anext(batches)
        await line.node.closed.wait()  # ended by the sender: nobody read on
        await until(lambda: line.server.streams == 0)
        with pytest.raises(PeerRefused, match="the reader took nothing"):
            [batch async for batch in batches]


async def test_leaving_the_stream_frees_both_ends(line: Line):
    line.node.endless = True
    async with line.sync() as batches:
        async for _ in batches:
            break
        assert line.server.streams == 1
    await line.node.closed.wait()
    await until(lambda: line.server.streams == 0)
    assert batches._ended


async def test_a_silent_peer_is_given_up(line: Line):
    line.node.release = asyncio.Event()
    async with line.sync() as batches:
        received = 0
        while received < line.node.stored:
            received += len(await anext(batches))
        batches._patience_s = 0.2  # from here on: what was on its way may have taken longer
        with pytest.raises(PeerUnreachable, match=r"sent no beacon for 0\.2 s"):
            await anext(batches)
    await line.node.closed.wait()


async def test_a_new_round_comes_at_once_although_the_batch_is_not_full(line: Line):
    line.node.release = asyncio.Event()
    received = 0
    async with line.sync() as batches:
        async for batch in batches:
            received += len(batch)
            if received == 7:
                break
    assert received == 7


async def test_nobody_there_is_unreachable(line: Line):
    line.peer = Peer("127.0.0.1:1", False)
    with pytest.raises(PeerUnreachable):
        async with line.sync() as batches:
            await anext(aiter(batches))


async def test_a_beacon_that_does_not_decode_is_malformed(line: Line, monkeypatch: pytest.MonkeyPatch):
    class Garbage:
        def SerializeToString(self) -> bytes:
            return b"\xff\xff"

    monkeypatch.setattr(peer_server, "encode_synced_beacon", lambda _: Garbage())
    with pytest.raises(Malformed):
        async with line.sync() as batches:
            await anext(aiter(batches))


async def test_a_beacon_far_too_long_is_not_even_read(line: Line, monkeypatch: pytest.MonkeyPatch):
    """A thousand are read ahead of whoever decodes them: that must not be a thousand times what a message may have."""

    class Long:
        def SerializeToString(self) -> bytes:
            return bytes(sync_reader.MAX_BEACON_BYTES + 1)

    monkeypatch.setattr(peer_server, "encode_synced_beacon", lambda _: Long())
    with pytest.raises(PeerRefused, match="larger than max") as caught:
        async with line.sync() as batches:
            await anext(aiter(batches))
    assert caught.value.code == "RESOURCE_EXHAUSTED"


async def test_more_streams_than_allowed_are_refused(line: Line):
    line.node.endless = True
    line.server._streams = Quota("streams", total=10, per_network=1)
    async with line.sync() as first:
        await anext(aiter(first))
        with pytest.raises(PeerRefused, match="1 streams to your address") as caught:
            async with line.sync() as second:
                await anext(aiter(second))
        assert caught.value.code == "RESOURCE_EXHAUSTED"
