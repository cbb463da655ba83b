"""A small chain on a real curve, and servers of it on loopback: honest ones, and ones that lie, hang or babble."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TypeAlias

from aiohttp import web

from drand.model.chain import Beacon, ChainInfo
from drand.model.schemes import scheme_named
from drand.wire.http_json import beacon_json, chain_info_json
from tests.support.committee import GENESIS_S, PERIOD_S, Committee, real_committee

UNCHAINED = "bls-unchained-g1-rfc9380"
CHAINED = "pedersen-bls-chained"
ROUNDS = 40  # that the chain has at NOW
NOW = float(GENESIS_S + (ROUNDS - 1) * PERIOD_S) + 0.5


@cache
def committee(scheme: str = UNCHAINED) -> Committee:
    """The signers of the chain of one scheme."""
    return real_committee(scheme_named(scheme))


def chain(scheme: str = UNCHAINED) -> ChainInfo:
    """The chain's information."""
    return committee(scheme).group.chain_info()


@dataclass
class FakeClock:
    """A clock that stands where it is put. `sleep` moves it."""

    at: float = NOW
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds
        await asyncio.sleep(0)


Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Relay:
    """What a server does; every test changes what it needs."""

    scheme: str = UNCHAINED
    chain: ChainInfo | None = None  # the scheme's own
    apis: tuple[str, ...] = ("v1",)
    last: int = ROUNDS
    pages: int = 0  # rounds in a page; 0: there are none
    pushes: tuple[int, ...] = ()  # rounds sent as events, then the stream stays open
    latest: int | None = None  # claimed to be the latest
    info: ChainInfo | None = None  # claimed instead of the chain's
    lies: dict[int, Beacon] = field(default_factory=dict)
    override: dict[str, Handler] = field(default_factory=dict)  # last path segment (or "*") -> behaviour
    ends: bool = False  # the event stream ends after what was sent
    date: str | None = None  # of the Date header
    asked: list[str] = field(default_factory=list)

    @property
    def served(self) -> ChainInfo:
        return self.chain or chain(self.scheme)

    def beacon(self, round_: int) -> Beacon:
        return self.lies.get(round_) or committee(self.scheme).beacon(round_)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        parts = request.path.strip("/").split("/")
        override = self.override.get(parts[-1]) or self.override.get("*")
        response = await override(request) if override else await self._honest(request, parts)
        if self.date is not None and not response.prepared:
            response.headers["Date"] = self.date
        return response

    async def _honest(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        api = "v2" if parts[0] == "v2" else "v1"
        rest = parts[3:] if api == "v2" else parts[1:]
        if api not in self.apis or self.served.hash().hex() not in parts:
            return web.Response(status=404, text="404 page not found\n")
        match rest:
            case ["info"]:
                return self.json(chain_info_json(self.info or self.served))
            case ["rounds"] if self.pages and "from" in request.query:
                return self._page(int(request.query["from"]), int(request.query["to"]))
            case ["events"] if self.pushes:
                return await self.events(request)
            case ["public" | "rounds", "latest"]:
                return self.json(beacon_json(self.beacon(self.latest or self.last)))
            case ["public" | "rounds", text] if text.isdigit() and int(text) <= self.last:
                return self.json(beacon_json(self.beacon(int(text))))
        return web.Response(status=404)

    def _page(self, first: int, last: int) -> web.Response:
        end = min(last, first + self.pages - 1, self.last)
        lines = [beacon_json(self.beacon(round_)) + b"\n" for round_ in range(first, end + 1)]
        return web.Response(body=b"".join(lines), content_type="application/x-ndjson")

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Push what is to be pushed."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": welcome\n\n")
        for round_ in self.pushes:
            await response.write(b"id: %d\ndata: %b\n\n" % (round_, beacon_json(self.beacon(round_))))
        if self.ends:
            return response
        await asyncio.Event().wait()
        return response

    def json(self, body: bytes) -> web.Response:
        return web.Response(body=body, content_type="application/json")


@asynccontextmanager
async def serving(*relays: Relay) -> AsyncIterator[list[str]]:
    """The addresses of servers that behave as told, on loopback, until the block ends."""
    runners, urls = [], []
    try:
        for relay in relays:
            server = web.Server(relay.answer, handler_cancellation=True, access_log=None)  # type: ignore[arg-type]
            runner = web.ServerRunner(server, shutdown_timeout=0.1)
            await runner.setup()
            runners.append(runner)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        yield urls
    finally:
        for runner in runners:
            await runner.cleanup()


@contextmanager
def serving_in_a_thread(relay: Relay) -> Iterator[str]:
    """The address of one server that runs beside blocking code."""
    ready, urls = threading.Event(), list[str]()
    loop, end = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with serving(relay) as addresses:
            urls.extend(addresses)
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()


def altered(info: ChainInfo) -> ChainInfo:
    """Another key in the information of a chain."""
    group = info.scheme.key_group
    key = group.encode(group.multiply(group.generator(), 4711))
    return replace(info, public_key=key)
