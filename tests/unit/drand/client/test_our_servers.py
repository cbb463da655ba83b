"""The client against the HTTP port of our own node and relay: every route it uses is really there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from drand.client import AsyncClient, HttpSource
from drand.client.errors import ChainStale, RoundMissing
from drand.model.chain import Beacon, Round
from drand.net.addresses import HostPort
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from tests.support.committee import PERIOD_S
from tests.support.http_chain import CHAINED, NOW, ROUNDS, UNCHAINED, FakeClock, chain, committee
from tests.support.served import MemoryChain, until


@dataclass
class RealChain(MemoryChain):
    """A backend whose beacons verify."""

    scheme: str = UNCHAINED

    def last(self) -> Beacon | None:
        return committee(self.scheme).beacon(self.last_round)

    def get(self, round_: Round) -> Beacon | None:
        return committee(self.scheme).beacon(round_) if round_ <= self.last_round else None

    def range(self, first: Round, limit: int) -> list[Beacon]:
        return list(committee(self.scheme).beacons(first, min(first + limit - 1, self.last_round)))

    async def append(self) -> None:
        async with self.changed:
            self.last_round += 1
            self.changed.notify_all()
        self.feed.publish(committee(self.scheme).beacon(self.last_round))


class Stand:
    """A server of one chain, and its address."""

    def __init__(self, scheme: str) -> None:
        self.clock = FakeClock()
        self.backend = RealChain(last_round=ROUNDS, chain=chain(scheme), scheme=scheme)
        routes = HttpRoutes()
        routes.register(self.backend)
        self.server = HttpServer(routes, self.clock)
        self.url = ""


@pytest.fixture(params=[UNCHAINED, CHAINED])
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    made = Stand(request.param)
    made.url = f"http://{await made.server.start(HostPort('127.0.0.1', 0))}"
    yield made
    await made.server.stop()


@pytest.mark.parametrize("api", ["v1", "v2", "auto"])
async def test_rounds_one_by_one_and_in_bulk(stand: Stand, api):
    info = stand.backend.info()
    source = HttpSource(stand.url, api=api, clock=stand.clock)
    async with AsyncClient(info.hash(), [source], clock=stand.clock) as client:
        assert await client.info() == info
        assert (await client.get(9)).plain == committee(info.scheme.name).beacon(9)
        assert (await client.latest()).round == ROUNDS
        found = [one.plain async for one in client.rounds(2, ROUNDS)]
        assert found == list(committee(info.scheme.name).beacons(2, ROUNDS))


async def test_a_round_that_the_server_lacks_is_missing_also_in_a_page(stand: Stand):
    stand.backend.last_round = 20
    async with AsyncClient(stand.backend.info(), [stand.url], clock=stand.clock) as client:
        with pytest.raises(RoundMissing):
            await client.get(30)
        with pytest.raises(RoundMissing):
            [one async for one in client.rounds(25, 30)]
        with pytest.raises(ChainStale):
            await client.latest()


async def test_a_watch_is_pushed_what_the_server_stores(stand: Stand):
    async with AsyncClient(stand.backend.info(), [stand.url], clock=stand.clock) as client:
        seen = []
        async with aclosing(client.watch()) as rounds:
            for round_ in range(ROUNDS + 1, ROUNDS + 4):
                coming = asyncio.ensure_future(anext(rounds))
                await until(lambda: len(stand.backend.feed._subscriptions) > 0)
                stand.clock.at = NOW + (round_ - ROUNDS) * PERIOD_S
                await stand.backend.append()
                seen.append(await coming)
        assert [one.round for one in seen] == [ROUNDS + 1, ROUNDS + 2, ROUNDS + 3]
