"""The worker processes of a relay: started, told, replaced when they die, and sent home."""

import asyncio
import logging
import multiprocessing
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess

from collective.errors import CollectiveError, Malformed, Unavailable
from drand.model.chain import Beacon, Round
from drand.net.addresses import HostPort, parse_host_port
from drand.net.listening import cannot_listen
from drand.relay.chains import NobodyHasIt
from drand.relay.links import Counted, Lack, Link, LinkEnded, Ready, Stuck, Told, Want
from drand.relay.serving import ServedHere, run_worker
from drand.relay.settings import RelaySettings

START_S = 30.0
END_S = 5.0
AGAIN_S = 0.5  # between the death of a worker and its successor

Fetch = Callable[[bytes, Round], Awaitable[Beacon]]
Recent = Callable[[], Sequence[Told]]

log = logging.getLogger("drand.relay")


class WorkerFailed(Unavailable):
    """A worker process ended before it listened."""

    hint = "the line above says why"


class Hand:
    """One worker process, seen from the feeder."""

    def __init__(self, process: BaseProcess, link: Link, fetch: Fetch) -> None:
        self.process = process
        self.link = link
        self.counted = Counted([], {}, {}, 0, 0, 0)
        self.ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._fetching: set[asyncio.Task[None]] = set()
        self.listening = asyncio.ensure_future(self._listen(fetch))

    async def _listen(self, fetch: Fetch) -> None:
        """Hear what the worker says, until it is gone."""
        try:
            while True:
                frame = await self.link.receive()
                match frame:
                    case Ready(port):
                        if not self.ready.done():
                            self.ready.set_result(port)
                    case Counted():
                        self.counted = frame
                    case Want(chain, round_):
                        task = asyncio.ensure_future(self._answer(chain, Round(round_), fetch))
                        self._fetching.add(task)
                        task.add_done_callback(self._fetching.discard)
                    case _:
                        raise Malformed(f"a worker said {type(frame).__name__}")
        except CollectiveError as error:
            if not isinstance(error, LinkEnded):
                log.error("worker %s: %s", self.process.pid, error)
        finally:
            for task in self._fetching:
                task.cancel()
            if not self.ready.done():
                self.ready.set_exception(WorkerFailed("a worker process ended before it listened"))

    async def _answer(self, chain: bytes, round_: Round, fetch: Fetch) -> None:
        try:
            beacon = await fetch(chain, round_)
            self.link.send(Told(chain, round_, beacon.signature, beacon.previous_signature, news=False))
        except NobodyHasIt as error:
            self.link.send(Lack(chain, round_, str(error)))


class Crew:
    """`settings.workers` processes that share one port."""

    def __init__(self, settings: RelaySettings, served: tuple[ServedHere, ...], fetch: Fetch, recent: Recent) -> None:
        self._settings = settings
        self._served = served
        self._fetch = fetch
        self._recent = recent
        self._hands: list[Hand] = []
        self._tending: list[asyncio.Task[None]] = []
        self._reserved: socket.socket | None = None
        self.deaths = 0

    async def start(self) -> HostPort:
        """All workers listen. Raises PortTaken or CannotListen, WorkerFailed."""
        address = self._reserve(parse_host_port(self._settings.listen))
        settings = _at(self._settings, address)
        hands = [await self._hire(settings) for _ in range(settings.workers)]
        async with asyncio.timeout(START_S):
            await asyncio.gather(*(hand.ready for hand in hands))
        self._tending = [asyncio.create_task(self._tend(hand, settings)) for hand in hands]
        return address

    def tell(self, chain: bytes, beacon: Beacon) -> None:
        """A new round, to every worker; one that does not read is killed, and replaced."""
        frame = Told(chain, beacon.round, beacon.signature, beacon.previous_signature, news=True)
        for hand in self._hands:
            try:
                hand.link.send(frame)
            except Stuck:
                log.error("worker %s does not read and is replaced", hand.process.pid)
                hand.process.kill()
            except LinkEnded:
                continue  # `_tend` replaces it

    def counted(self) -> list[Counted]:
        """What the living workers have counted."""
        return [hand.counted for hand in self._hands]

    async def stop(self) -> None:
        """Hang up, and wait for the processes to end."""
        for task in self._tending:
            task.cancel()
        await asyncio.gather(*self._tending, return_exceptions=True)
        for hand in self._hands:
            hand.link.close()
        await asyncio.to_thread(self._bury, list(self._hands))
        if self._reserved is not None:
            self._reserved.close()

    def _reserve(self, address: HostPort) -> HostPort:
        """Hold the port for all workers; bound, but not listening, so no connection comes here."""
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address.host, address.port))
                probe.listen(1)  # two sockets of one user may share a port, but a stranger's server is noticed
                port = probe.getsockname()[1]
            reserved = socket.socket(family, socket.SOCK_STREAM)
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            reserved.bind((address.host, port))
        except OSError as error:
            raise cannot_listen("HTTP", address, error) from error
        self._reserved = reserved
        return HostPort(address.host, port)

    async def _hire(self, settings: RelaySettings) -> Hand:
        ours, theirs = socket.socketpair()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=run_worker, args=(settings, self._served, theirs), daemon=True)
        await asyncio.to_thread(process.start)
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        hand = Hand(process, Link(reader, writer), self._fetch)
        for frame in self._recent():
            hand.link.send(frame)
        self._hands.append(hand)
        return hand

    async def _tend(self, hand: Hand, settings: RelaySettings) -> None:
        """Replace a worker that dies, for ever."""
        while True:
            await hand.listening
            self._hands.remove(hand)
            self.deaths += 1
            log.error("worker %s died; starting another", hand.process.pid)
            hand.process.kill()
            await asyncio.to_thread(hand.process.join, END_S)
            await asyncio.sleep(AGAIN_S)
            hand = await self._hire(settings)

    @staticmethod
    def _bury(hands: list[Hand]) -> None:
        for hand in hands:
            hand.process.join(END_S)
            if hand.process.is_alive():
                hand.process.kill()
                hand.process.join()


def _at(settings: RelaySettings, address: HostPort) -> RelaySettings:
    return replace(settings, listen=str(address))
