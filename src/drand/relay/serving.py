"""Serving: the HTTP port of a relay, in the feeder's own process or in worker processes of their own."""

import asyncio
import io
import logging
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from collective.clock import SystemClock
from collective.errors import CollectiveError, Malformed
from drand.daemon.reporting import set_up_logging
from drand.model.chain import Beacon, ChainInfo, Round
from drand.net.addresses import HostPort, parse_host_port
from drand.net.descriptors import raise_limit
from drand.net.event_loop import run_loop
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from drand.net.http_watch import Tally, new_watch
from drand.relay.chains import Fetch, NobodyHasIt, RelayedChain, open_shelf, worded
from drand.relay.links import Caught, Counted, Frame, Lack, Link, LinkEnded, Ready, Reopen, Told, Want
from drand.relay.rates import SharedRates
from drand.relay.settings import RelaySettings
from drand.relay.verified import page_verifiers
from drand.store.archive import BeaconArchive
from drand.store.archivist import READ_WAIT_S
from drand.wire.http_json import chain_info_json, parse_chain_info

COUNTS_EVERY_S = 1.0
OTHER_CONNECTIONS = 4096  # beside those of readers, for each process
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
    """Routes, server and what watches them, over the chains of one relay.

    rates   what all workers of a relay share; None: this one limits rates for itself
    """

    def __init__(
        self, settings: RelaySettings, chains: dict[bytes, RelayedChain], rates: SharedRates | None = None
    ) -> None:
        self.chains = chains
        routes = HttpRoutes()
        for place, chain in enumerate(chains.values()):
            routes.register(chain, default=place == 0)
        self.watch = new_watch(
            rate_per_s=settings.rate_per_s,
            burst=settings.most_at_once,
            access_log=settings.access_log,
            counted=bool(settings.metrics),
            limiter=rates,
        )
        self.server = HttpServer(
            routes,
            SystemClock(),
            max_connections=settings.max_readers + OTHER_CONNECTIONS,
            max_readers=settings.max_readers,
            watch=self.watch,
        )

    async def start(self, address: HostPort, *, shared: bool) -> HostPort:
        """Listen."""
        return await self.server.start(address, shared=shared)

    async def stop(self) -> None:
        """Send readers away, finish answers, close."""
        await self.server.stop()
        if self.watch is not None:
            self.watch.close()

    def counted(self) -> Counted:
        """The numbers so far."""
        events = self.server.events
        if self.watch is None:
            return Counted.of(Tally(), readers=events.readers, dropped=events.dropped)
        return Counted.of(
            self.watch.tally, in_flight=self.watch.in_flight, readers=events.readers, dropped=events.dropped
        )

    def reopen_log(self) -> None:
        """Begin the access log anew, after it was moved away; the old one is kept where that fails."""
        try:
            if self.watch is not None:
                self.watch.reopen()
        except CollectiveError as error:
            log.error("%s", worded(error))


class Worker:
    """A process that serves; the feeder tells it of new rounds, and fetches past ones for it."""

    def __init__(
        self, settings: RelaySettings, served: tuple[ServedHere, ...], link: Link, rates: SharedRates | None = None
    ) -> None:
        self._link = link
        self._wanted: dict[tuple[bytes, int], asyncio.Future[Beacon]] = {}
        self._verifiers = page_verifiers()
        archive = BeaconArchive(settings.archive, wait_s=READ_WAIT_S) if settings.archive is not None else None
        chains = {}
        for here in served:
            info = parse_chain_info(here.info)
            shelf = open_shelf(info, here.store, archive, self._verifiers, SystemClock(), self._caught)
            chains[info.hash()] = RelayedChain(info, shelf, self._fetcher(info.hash()))
        self._front = Front(settings, chains, rates)
        self._address = parse_host_port(settings.listen)

    async def run(self) -> None:
        """Serve until the feeder hangs up, or says what nobody understands; answers that are under way are finished."""
        bound = await self._front.start(self._address, shared=True)
        self._link.send(Ready(bound.port))
        counting = asyncio.create_task(self._count())
        try:
            while True:
                self._take(await self._link.receive())
        except LinkEnded:
            log.debug("the feeder has hung up")
        except Malformed as error:
            log.error("worker: %s", error)
        finally:
            counting.cancel()
            await self._front.stop()
            self._verifiers.close()
            self._link.close()

    def ask_to_stop(self) -> None:
        """Make `run` return."""
        self._link.close()

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
            case Reopen():
                self._front.reopen_log()
            case Want() | Ready() | Counted() | Caught():
                raise Malformed(f"a worker was told {type(frame).__name__}")

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
                self._link.send(Want(chain, round_))
                waiting = self._wanted[(chain, round_)] = asyncio.get_running_loop().create_future()
                waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # the asker may have left
            return await asyncio.shield(waiting)

        return fetch

    def _caught(self, source: str) -> None:
        """A row on the disk does not verify: the feeder counts lies. One that has gone notices by itself."""
        with suppress(CollectiveError):
            self._link.send(Caught(source))

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNTS_EVERY_S)
            try:
                self._link.send(self._front.counted())
            except CollectiveError:
                return  # `run` notices the end by itself


def run_worker(
    settings: RelaySettings, served: tuple[ServedHere, ...], end: socket.socket, rates: SharedRates | None
) -> None:
    """The life of a worker process. It ends with the feeder, whose death closes the socket, and on SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the feeder, which hangs up
    prepare_process(settings)

    async def live() -> None:
        reader, writer = await asyncio.open_connection(sock=end)
        worker = Worker(settings, served, Link(reader, writer), rates)
        if sys.platform != "win32":
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, worker.ask_to_stop)
            loop.add_signal_handler(signal.SIGHUP, lambda: None)  # the feeder passes it on
        await worker.run()

    try:
        run_loop(live())
    except CollectiveError as error:
        log.error("worker: %s", worded(error))
        sys.exit(1)


def prepare_process(settings: RelaySettings) -> None:
    """What every process of a relay begins with: its log, whole lines on standard output, and files enough."""
    set_up_logging(json_lines=settings.json_logs, verbose=settings.verbose)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # an access log that goes to a pipe
    allowed = raise_limit()
    if allowed < settings.max_readers + OTHER_CONNECTIONS:
        log.warning(
            "the system allows %d open files, too few for %d readers and %d other connections (ulimit -n)",
            allowed,
            settings.max_readers,
            OTHER_CONNECTIONS,
        )
