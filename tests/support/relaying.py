"""Relays in the test's own process, the upstreams they follow, and waiting for what they hear."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from collective.clock import SystemClock
from drand.model.chain import ChainInfo, Round
from drand.net.addresses import HostPort
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from drand.relay.relay import Relay
from drand.relay.settings import RelaySettings
from drand.relay.verified import Lied, Shelf, Verdicts, VerifyingShelf
from drand.verifying.verifiers import Verifiers
from tests.support.living_chain import LivingChain

ANY = HostPort("127.0.0.1", 0)
PATIENCE_S = 60.0


@asynccontextmanager
async def upstream(*chains: LivingChain) -> AsyncIterator[str]:
    """An HTTP server whose chains go on."""
    routes = HttpRoutes()
    for place, chain in enumerate(chains):
        routes.register(chain, default=place == 0)
    server = HttpServer(routes, SystemClock())
    bound = await server.start(ANY)
    living = [asyncio.ensure_future(chain.live()) for chain in chains]
    yield f"http://{bound}"
    for task in living:
        task.cancel()
    await server.stop()


@asynccontextmanager
async def relaying(*sources: str, **settings: object) -> AsyncIterator[tuple[Relay, aiohttp.ClientSession]]:
    """A relay of these sources, and a client of it."""
    relay = Relay(RelaySettings(listen="127.0.0.1:0", sources=sources, **settings))  # type: ignore[arg-type]
    try:
        await relay.start()
        async with aiohttp.ClientSession(f"http://{relay.address}") as client:
            yield relay, client
    finally:
        await relay.stop()


def verifying(shelf: Shelf, info: ChainInfo, lied: Lied = lambda source: None) -> VerifyingShelf:
    """A shelf whose rows are verified, in a thread of this process; lies are those of `file`."""
    return VerifyingShelf(shelf, info, Verdicts(info, "file", lied), Verifiers(0), SystemClock())


async def next_round(client: aiohttp.ClientSession) -> int:
    """The number of a round that arrives from now on."""
    async with asyncio.timeout(30), client.get("/v2/beacons/default/rounds/next") as answer:
        assert answer.status == 200, await answer.text()
        return int((await answer.json())["round"])


async def rounds_until(chain: LivingChain, wanted: Callable[[], bool]) -> None:
    """Look whenever a round has been made, until `wanted` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not wanted():
            await chain.wait(Round(chain.last().round + 1))
