"""A node's gRPC port as a source."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from drand.client.async_client import AsyncClient
from drand.client.errors import (
    ChainNotServed,
    ClientClosed,
    ForgedBeacon,
    RoundMissing,
    SourceUnreachable,
    WrongChain,
    WrongRound,
)
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.packets import Metadata, SyncRequest
from drand.net.addresses import HostPort
from drand.net.peer_server import PeerServer
from tests.support.http_chain import CHAINED, ROUNDS, FakeClock, altered, chain, committee
from tests.support.served import ToldNode


@dataclass
class Node(ToldNode):
    """A node of the real chain. Who asks for new rounds is left waiting."""

    claimed: ChainInfo = field(default_factory=lambda: chain(CHAINED))
    lies: dict[int, Beacon] = field(default_factory=dict)
    followed: asyncio.Event = field(default_factory=asyncio.Event)

    def beacon(self, round_: int) -> Beacon:
        return self.lies.get(round_) or committee(CHAINED).beacon(round_)

    async def chain_info(self, metadata: Metadata) -> ChainInfo:
        self._fail()
        return self.claimed

    async def public_rand(self, metadata: Metadata, round_: Round) -> Beacon:
        if round_ > self.stored:
            return await super().public_rand(metadata, round_)
        return self.beacon(round_ or self.stored)

    async def sync(self, metadata: Metadata, request: SyncRequest, sender: str) -> AsyncIterator[Sequence[Beacon]]:
        self.asked.append(request)
        if request.from_round == 0:
            self.followed.set()
            await asyncio.Event().wait()
        yield [self.beacon(round_) for round_ in range(int(request.from_round), self.stored + 1)]


@asynccontextmanager
async def client_of(node: Node) -> AsyncIterator[AsyncClient]:
    server = PeerServer(node)
    address = await server.start(HostPort("127.0.0.1", 0))
    try:
        async with AsyncClient(chain(CHAINED), [f"grpc://{address}"], clock=FakeClock()) as client:
            yield client
    finally:
        await server.stop(0)


@pytest.fixture
def node() -> Node:
    return Node(stored=ROUNDS, chain_hash=chain(CHAINED).hash())


async def test_rounds_come_over_grpc_and_are_verified(node: Node):
    async with client_of(node) as client:
        assert (await client.get(9)).plain == committee(CHAINED).beacon(9)
        assert (await client.latest()).round == ROUNDS
        assert [one.round async for one in client.rounds(3, 20)] == list(range(3, 21))
        assert node.asked[0].from_round == 3


async def test_the_lies_of_a_node_are_told_apart(node: Node):
    node.lies = {7: committee(CHAINED).lie(7), 8: committee(CHAINED).beacon(9)}
    async with client_of(node) as client:
        with pytest.raises(ForgedBeacon):
            await client.get(7)
        with pytest.raises(WrongRound, match="round 9, asked for 8"):
            await client.get(8)
        with pytest.raises(ForgedBeacon, match="round 7"):
            await anext(client.rounds(1, 7))


async def test_another_chain_behind_the_port_is_refused(node: Node):
    node.claimed = altered(chain(CHAINED))
    async with client_of(node) as client:
        with pytest.raises(WrongChain):
            await client.get(7)


async def test_a_round_that_the_node_lacks_is_missing(node: Node):
    node.stored = 30
    async with client_of(node) as client:
        with pytest.raises(RoundMissing):
            await client.get(31)
        with pytest.raises(RoundMissing, match="before round 31"):
            [one async for one in client.rounds(20, 35)]


async def test_a_node_that_does_not_run_the_chain_says_so(node: Node):
    from drand.errors import UnknownBeacon

    node.failure = UnknownBeacon("no beacon with this hash")
    async with client_of(node) as client:
        with pytest.raises(ChainNotServed):
            await client.get(7)


async def test_closing_ends_a_watch_in_a_silent_stream_and_the_thread_that_reads_it(node: Node):
    async with client_of(node) as client:
        watching = asyncio.create_task(anext(client.watch()))
        await node.followed.wait()
        (reading,) = [thread for thread in threading.enumerate() if thread.name.startswith("sync ")]
        await client.close()
        reading.join(10)
        assert not reading.is_alive()
        with pytest.raises(ClientClosed):
            await watching


async def test_nobody_listens_there():
    async with AsyncClient(chain(CHAINED), ["grpc://127.0.0.1:1"], clock=FakeClock()) as client:
        with pytest.raises(SourceUnreachable, match=r"grpc://127\.0\.0\.1:1"):
            await client.get(7)
