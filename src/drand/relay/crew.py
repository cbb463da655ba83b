"""The worker processes of a relay: started, told, watched, replaced when they die or stop, and sent home."""

import asyncio
import logging
import multiprocessing
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess

from collective.errors import CollectiveError, Malformed, Unavailable
from drand.model.chain import Beacon, Round
from drand.net.addresses import HostPort, parse_host_port
from drand.net.listening import cannot_listen
from drand.relay.chains import worded
from drand.relay.links import NOTHING, Caught, Counted, Frame, Lack, Link, LinkEnded, Ready, Reopen, Stuck, Told, Want
from drand.relay.rates import SharedRates
from drand.relay.serving import ServedHere, run_worker
from drand.relay.settings import RelaySettings
from drand.relay.verified import Lied

START_S = 120.0  # for all workers to listen; most of it is imports, which take long on a machine that has just started
END_S = 5.0
AGAIN_S = 0.5  # between the death of a worker and its successor
LONGEST_AGAIN_S = 30.0  # where one after the other dies before it serves
LOOK_EVERY_S = 1.0
MOST_LOOKS = 15  # a worker says every second what it has counted; one that is silent for so long does not run
STARTING_LOOKS = 120  # the same for one that does not serve yet

Fetch = Callable[[bytes, Round], Awaitable[Beacon]]
Recent = Callable[[], Sequence[Told]]

log = logging.getLogger("drand.relay")


class WorkerFailed(Unavailable):
    """A worker process ended, or said nothing, before it listened."""

    hint = "the lines above say why"


class Hand:
    """One worker process, seen from the feeder."""

    def __init__(self, process: BaseProcess, link: Link, fetch: Fetch, lied: Lied = lambda source: None) -> None:
        self.process = process
        self.link = link
        self.counted = NOTHING
        self.ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.ready.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody need ask for it
        self._lied = lied
        self._looks = 0  # since it was heard last
        self._given_up = False
        self._fetching: set[asyncio.Task[None]] = set()
        self.listening = asyncio.ensure_future(self._listen(fetch))

    @property
    def served(self) -> bool:
        """Whether it has listened."""
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None

    def look(self) -> bool:
        """Notice another second; False when the worker has been silent for too many."""
        self._looks += 1
        return self._looks <= (MOST_LOOKS if self.served else STARTING_LOOKS)

    def tell(self, frame: Frame) -> None:
        """Say something; a worker that does not take it is killed, and then replaced as one that died."""
        try:
            self.link.send(frame)
        except Stuck:
            self.give_up("does not read")
        except LinkEnded:
            log.debug("worker %s has died", self.process.pid)  # who tends it replaces it

    def give_up(self, why: str) -> None:
        """Kill it, and say why, once: its end may take a while to be noticed, and it is replaced as one that died."""
        if not self._given_up:
            self._given_up = True
            log.error("worker %s %s and is replaced", self.process.pid, why)
            self.process.kill()

    async def _listen(self, fetch: Fetch) -> None:
        """Hear what the worker says, until it is gone."""
        try:
            while True:
                frame = await self.link.receive()
                self._looks = 0
                match frame:
                    case Ready(port):
                        if not self.ready.done():
                            self.ready.set_result(port)
                    case Counted():
                        self.counted = frame
                    case Caught(source):
                        self._lied(source)
                    case Want(chain, round_):
                        task = asyncio.ensure_future(self._answer(chain, Round(round_), fetch))
                        self._fetching.add(task)
                        task.add_done_callback(self._fetching.discard)
                    case _:
                        raise Malformed(f"a worker said {type(frame).__name__}")
        except LinkEnded:
            log.debug("worker %s has hung up", self.process.pid)
        except CollectiveError as error:
            log.error("worker %s: %s", self.process.pid, worded(error))
        finally:
            for task in self._fetching:
                task.cancel()
            if not self.ready.done():
                self.ready.set_exception(WorkerFailed("a worker process ended before it listened"))

    async def _answer(self, chain: bytes, round_: Round, fetch: Fetch) -> None:
        """Whatever happens, the worker hears of it: a client waits there."""
        try:
            beacon = await fetch(chain, round_)
        except CollectiveError as error:
            self.tell(Lack(chain, round_, str(error)))
        else:
            self.tell(Told(chain, round_, beacon.signature, beacon.previous_signature, news=False))


class Crew:
    """`settings.workers` processes that share one port, and one limit of rates."""

    def __init__(
        self,
        settings: RelaySettings,
        served: tuple[ServedHere, ...],
        fetch: Fetch,
        recent: Recent,
        lied: Lied = lambda source: None,
    ) -> None:
        self._settings = settings
        self._served = served
        self._fetch = fetch
        self._recent = recent
        self._lied = lied
        self._rates = SharedRates(settings.rate_per_s, settings.most_at_once) if settings.rate_per_s else None
        self.hands: list[Hand] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._reserved: socket.socket | None = None
        self._ended = NOTHING  # what workers that have ended had counted
        self.deaths = 0

    async def start(self) -> HostPort:
        """All workers listen. Raises PortTaken or CannotListen, WorkerFailed."""
        address = self._reserve(parse_host_port(self._settings.listen))
        settings = replace(self._settings, listen=str(address))
        try:
            hands = [await self._hire(settings) for _ in range(settings.workers)]
            async with asyncio.timeout(START_S):
                await asyncio.gather(*(hand.ready for hand in hands))
        except TimeoutError:
            raise WorkerFailed(f"the workers do not listen after {START_S:g} s") from None
        except OSError as error:
            raise WorkerFailed(f"cannot start the workers: {error}") from error
        self._tasks = [asyncio.create_task(self._tend(hand, settings)) for hand in hands]
        self._tasks.append(asyncio.create_task(self._watch()))
        return address

    def tell(self, chain: bytes, beacon: Beacon) -> None:
        """A new round, to every worker."""
        frame = Told(chain, beacon.round, beacon.signature, beacon.previous_signature, news=True)
        for hand in self.hands:
            hand.tell(frame)

    def reopen_logs(self) -> None:
        """The access log was moved away."""
        for hand in self.hands:
            hand.tell(Reopen())

    def counted(self) -> list[Counted]:
        """What the workers have counted, those that have ended too: a counter never falls."""
        return [self._ended, *(hand.counted for hand in list(self.hands))]

    async def stop(self) -> None:
        """Hang up, which lets the workers finish their answers, and wait for them to end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for hand in self.hands:
            hand.link.close()
        await asyncio.to_thread(self._bury, list(self.hands))
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
        """Start a worker; raises OSError when the system refuses a process or a socket."""
        ours, theirs = socket.socketpair()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=run_worker, args=(settings, self._served, theirs, self._rates), daemon=True)
        try:
            await asyncio.to_thread(process.start)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        hand = Hand(process, Link(reader, writer), self._fetch, self._lied)
        for frame in self._recent():
            hand.tell(frame)
        self.hands.append(hand)
        return hand

    async def _tend(self, hand: Hand, settings: RelaySettings) -> None:
        """Replace a worker that dies, for ever; more slowly where its successors do not come to serve."""
        pause_s = AGAIN_S
        while True:
            await hand.listening
            self.hands.remove(hand)
            self._ended = self._ended.outlived(hand.counted)
            self.deaths += 1
            hand.link.close()
            hand.process.kill()
            await asyncio.to_thread(hand.process.join, END_S)
            pause_s = AGAIN_S if hand.served else min(2 * pause_s, LONGEST_AGAIN_S)
            await asyncio.sleep(pause_s)
            log.error("worker %s died; starting another", hand.process.pid)
            hand = await self._hired_at_last(settings)

    async def _hired_at_last(self, settings: RelaySettings) -> Hand:
        while True:
            try:
                return await self._hire(settings)
            except OSError as error:
                log.error("cannot start a worker: %s", error)
                await asyncio.sleep(LONGEST_AGAIN_S)

    async def _watch(self) -> None:
        """Replace a worker that is there but does not run: the kernel goes on giving it connections."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Kill the workers that have been silent for too long."""
        for hand in self.hands:
            if not hand.look():
                hand.give_up("says nothing any more")

    @staticmethod
    def _bury(hands: list[Hand]) -> None:
        for hand in hands:
            hand.process.join(END_S)
            if hand.process.is_alive():
                log.error("worker %s does not end and is killed", hand.process.pid)
                hand.process.kill()
                hand.process.join()
            with suppress(ValueError):
                hand.process.close()
