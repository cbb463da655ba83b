"""Serving: the HTTP port of a relay, in the feeder's own process or in worker processes of their own."""

import asyncio
import logging
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from collective.clock import SystemClock
from collective.errors import BadSetting, CollectiveError
from drand.model.chain import Beacon, ChainInfo, Round
from drand.net.addresses import HostPort, parse_host_port
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from drand.net.http_watch import RateLimiter, Watch
from drand.relay.chains import Fetch, NobodyHasIt, RelayedChain, open_shelf
from drand.relay.links import Counted, Frame, Lack, Link, LinkEnded, Ready, Told, Want
from drand.relay.settings import RelaySettings
from drand.store.archive import BeaconArchive
from drand.wire.http_json import chain_info_json, parse_chain_info

COUNTS_EVERY_S = 1.0
MAX_WANTED = 1024  # past rounds that one worker waits for at a time

log = logging.getLogger("drand.relay")


@dataclass(frozen=True, slots=True)
class ServedHere:
    """One chain as it crosses into a worker: its information as JSON, and the store to read when there is one."""

    info: bytes
    store: Path | None

    @staticmethod
    def of(info: ChainInfo, store: Path | None) -> "ServedHere":
        """Ready to cross."""
        return ServedHere(chain_info_json(info), store)


class Front:
    """Routes, server and what watches them, over the chains of one relay."""

    def __init__(self, settings: RelaySettings, chains: dict[bytes, RelayedChain]) -> None:
        self.chains = chains
        routes = HttpRoutes()
        for place, chain in enumerate(chains.values()):
            routes.register(chain, default=place == 0)
        self._log = _opened_log(settings.access_log)
        burst = settings.burst or 2 * settings.rate_per_s
        limiter = RateLimiter(settings.rate_per_s, max(burst, 1.0)) if settings.rate_per_s else None
        counted = bool(settings.metrics)
        watch = Watch(limiter=limiter, access_log=self._log) if limiter or self._log or counted else None
        self.watch = watch
        self.server = HttpServer(routes, SystemClock(), max_readers=settings.max_readers, watch=watch)

    async def start(self, address: HostPort, *, shared: bool) -> HostPort:
        """Listen."""
        return await self.server.start(address, shared=shared)

    async def stop(self) -> None:
        """Send readers away, finish answers, close."""
        await self.server.stop()
        if self._log is not None and self._log is not sys.stdout:
            self._log.close()

    def counted(self) -> Counted:
        """The numbers so far."""
        events = self.server.events
        if self.watch is None:
            return Counted([], {}, {}, 0, events.readers, events.dropped)
        tally = self.watch.tally
        calls = [(status, method, count) for (status, method), count in tally.calls.items()]
        return Counted(calls, tally.slots, tally.seconds, self.watch.in_flight, events.readers, events.dropped)


def _opened_log(where: str) -> TextIO | None:
    """The access log: a file to append to, "-" for standard output, "" for none. A line is one write."""
    if where in ("", "-"):
        return sys.stdout if where else None
    try:
        return Path(where).open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise BadSetting(f"cannot write the access log {where}: {error.strerror}") from error


class Worker:
    """A process that serves; the feeder tells it of new rounds, and fetches past ones for it."""

    def __init__(self, settings: RelaySettings, served: tuple[ServedHere, ...], link: Link) -> None:
        self._link = link
        self._wanted: dict[tuple[bytes, int], asyncio.Future[Beacon]] = {}
        archive = BeaconArchive(settings.archive) if settings.archive is not None else None
        chains = {}
        for here in served:
            info = parse_chain_info(here.info)
            shelf = open_shelf(here.store, archive, info.hash())
            chains[info.hash()] = RelayedChain(info, shelf, self._fetcher(info.hash()))
        self._front = Front(settings, chains)
        self._address = parse_host_port(settings.listen)

    async def run(self) -> None:
        """Serve until the feeder hangs up."""
        bound = await self._front.start(self._address, shared=True)
        self._link.send(Ready(bound.port))
        counting = asyncio.create_task(self._count())
        try:
            while True:
                self._take(await self._link.receive())
        except LinkEnded:
            log.debug("the feeder has hung up")
        finally:
            counting.cancel()
            await self._front.stop()

    def _take(self, frame: Frame) -> None:
        match frame:
            case Told(chain, round_, signature, previous, news):
                beacon = Beacon(Round(round_), signature, previous)
                if news:
                    self._front.chains[chain].publish(beacon)
                else:
                    self._front.chains[chain].keep(beacon)
                self._settle(chain, round_, beacon)
            case Lack(chain, round_, why):
                self._settle(chain, round_, NobodyHasIt(why))
            case Want() | Ready() | Counted():
                log.error("a worker was told %s", type(frame).__name__)

    def _settle(self, chain: bytes, round_: int, outcome: Beacon | NobodyHasIt) -> None:
        waiting = self._wanted.pop((chain, round_), None)
        if waiting is None or waiting.done():
            return
        if isinstance(outcome, Beacon):
            waiting.set_result(outcome)
        else:
            waiting.set_exception(outcome)

    def _fetcher(self, chain: bytes) -> Fetch:
        async def fetch(round_: Round) -> Beacon:
            waiting = self._wanted.get((chain, round_))
            if waiting is None:
                if len(self._wanted) >= MAX_WANTED:
                    raise NobodyHasIt("too many past rounds are asked for at once")
                waiting = self._wanted[(chain, round_)] = asyncio.get_running_loop().create_future()
                self._link.send(Want(chain, round_))
            return await asyncio.shield(waiting)

        return fetch

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNTS_EVERY_S)
            try:
                self._link.send(self._front.counted())
            except CollectiveError:
                return  # `run` notices the end by itself


def run_worker(settings: RelaySettings, served: tuple[ServedHere, ...], end: socket.socket) -> None:
    """The life of a worker process. It ends with the feeder, whose death closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the feeder, which hangs up
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    async def live() -> None:
        reader, writer = await asyncio.open_connection(sock=end)
        await Worker(settings, served, Link(reader, writer)).run()

    if sys.platform == "win32":
        asyncio.run(live())
        return
    import uvloop

    uvloop.run(live())
