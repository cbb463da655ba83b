"""Clients of the servers in `http_chain`, and the behaviours that several tests tell those servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from drand.client.async_client import AsyncClient
from drand.client.pool import Policy
from drand.model.chain import Beacon
from tests.support.http_chain import UNCHAINED, FakeClock, Handler, Relay, chain, committee, serving

ROUND = 7  # that most tests ask for


@asynccontextmanager
async def clients(*relays: Relay, **settings: Any) -> AsyncIterator[AsyncClient]:
    """A client of these servers, and the promise that it leaves no task behind."""
    scheme = relays[0].scheme
    chosen: dict[str, Any] = {
        "clock": FakeClock(),
        "timeout_s": 30.0,  # honest servers answer at once, on a busy machine too
        "policy": Policy(hedge_after_s=5.0),
        "chain": chain(scheme),
    } | settings
    async with serving(*relays) as urls:
        before = asyncio.all_tasks()
        async with AsyncClient(chosen.pop("chain"), urls, **chosen) as client:
            yield client
        left = {
            task for task in asyncio.all_tasks() - before if "aiohttp" not in repr(task) and "handle" not in repr(task)
        }
        assert not left


def url_of(client: AsyncClient, place: int = 0) -> str:
    """The address of the server that was named at this place."""
    return list(client.runner.sources)[place]


def forged(scheme: str = UNCHAINED) -> Beacon:
    """Beacon `ROUND` of a scheme's chain with a signature that is none."""
    return committee(scheme).lie(ROUND)


def replies(*args: Any, **kwargs: Any) -> Handler:
    """A server's behaviour: the same `web.Response` of these arguments, always."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(*args, **kwargs)

    return handler


async def hang(_request: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError
