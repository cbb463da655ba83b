"""A relay: one feeder that follows the upstreams and owns the archive, and whoever serves."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence

from collective.clock import Clock, SystemClock
from collective.errors import BadSetting, CollectiveError
from drand.client.async_client import AsyncClient
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.packets import OUR_VERSION
from drand.net.addresses import HostPort, parse_host_port
from drand.net.event_loop import run_loop
from drand.relay.chains import RelayedChain, open_shelf, worded
from drand.relay.crew import Crew
from drand.relay.discovery import Wanted, default_of, wanted_chains
from drand.relay.feeding import ChainFeeder, NamedFaults, StoreFollowed
from drand.relay.links import Counted, Told
from drand.relay.metrics import MetricsPort, RelayCollector
from drand.relay.serving import Front, ServedHere, prepare_process
from drand.relay.settings import RelaySettings
from drand.relay.verified import VerifyingShelf, page_verifiers
from drand.store.archivist import Archivist
from drand.verifying.verifiers import Verifiers

FETCH_TIMEOUT_S = 10.0  # one request to one upstream
LOOK_S = 10.0  # how long listening is put off until the latest rounds are here
TOLD_AT_START = 64  # recent rounds of each chain that a new worker is told

log = logging.getLogger("drand.relay")


class Relay:
    """Everything that runs in the feeder's process. `start`, then `wait`, then `stop`."""

    def __init__(self, settings: RelaySettings, clock: Clock | None = None) -> None:
        settings.check()
        self.settings = settings
        self.address: HostPort | None = None
        self.metrics_address: HostPort | None = None
        self.lies: dict[str, int] = {}
        self._clock = clock or SystemClock()
        self._archive = Archivist(settings.archive) if settings.archive is not None else None
        self._verifiers = Verifiers()  # for the history of all chains
        self._page_verifiers = page_verifiers()  # for what readers ask for
        self._chains: dict[bytes, RelayedChain] = {}
        self._feeders: dict[bytes, ChainFeeder] = {}
        self._front: Front | None = None
        self._crew: Crew | None = None
        self._metrics = MetricsPort(RelayCollector(self._counted, self._heads, self.lies, self._deaths))
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Learn the chains, listen, and begin to follow. Raises BadSetting, NoSourceAnswered, PortTaken, ..."""
        if self.settings.history and self._archive is not None and self._archive.read_only:
            raise BadSetting(
                f"--history needs an archive that may be written, {self._archive.path} may not",
                hint="check the permissions of file and folder, or leave --history away",
            )
        served = await self._open_all()
        with contextlib.suppress(TimeoutError):  # nobody upstream answers: what is archived is better than nothing
            async with asyncio.timeout(LOOK_S):
                await asyncio.gather(*(feeder.look() for feeder in self._feeders.values()))
        if self.settings.workers == 1:
            self._front = Front(self.settings, self._chains)
            self.address = await self._front.start(parse_host_port(self.settings.listen), shared=False)
        else:
            self._crew = Crew(self.settings, served, self._fetch, self._recent, self._count_lie)
            self.address = await self._crew.start()
        if self.settings.metrics:
            self.metrics_address = self._metrics.serve(self.settings.metrics)
            log.info("metrics on %s", self.metrics_address)
        for chain_hash, feeder in self._feeders.items():
            head = self._chains[chain_hash].last()
            feeder.start(None if head is None else head.round, history=self.settings.history)
        log.info("Listening at %s", self.address)

    async def wait(self) -> None:
        """Until somebody asks the relay to stop."""
        await self._stopping.wait()

    def ask_to_stop(self) -> None:
        """Make `wait` return."""
        self._stopping.set()

    def reopen_logs(self) -> None:
        """The access log was moved away: begin it anew."""
        if self._front is not None:
            self._front.reopen_log()
        if self._crew is not None:
            self._crew.reopen_logs()

    async def stop(self) -> None:
        """Send readers away, stop following, close files."""
        if self._front is not None:
            await self._front.stop()
        if self._crew is not None:
            await self._crew.stop()
        await asyncio.gather(*(feeder.close() for feeder in self._feeders.values()))
        self._verifiers.close()
        self._page_verifiers.close()
        self._metrics.close()
        if self._archive is not None:
            self._archive.close()
            await self._archive.ended()

    async def _open_all(self) -> tuple[ServedHere, ...]:
        """Make the chains known; the first is the one for requests that name none."""
        served: dict[bytes, ServedHere] = {}
        for wanted in await wanted_chains(self.settings):
            if (one := await self._opened(wanted)) is not None:
                served[wanted.chain_hash] = one
        if not served:
            raise BadSetting("none of the chains that the upstreams list can be read", hint="the lines above say why")
        order = list(served)
        if not self.settings.chains:
            unnamed = default_of([self._chains[one].info() for one in order]).hash()
            order.sort(key=lambda one: one != unnamed)
        self._chains = {one: self._chains[one] for one in order}
        return tuple(served[one] for one in order)

    async def _opened(self, wanted: Wanted) -> ServedHere | None:
        """The same as `_open`; but one bad chain in an upstream's list does not keep the others from being served."""
        try:
            return await self._open(wanted)
        except CollectiveError as error:
            if self.settings.chains or wanted.store is not None:
                raise
            log.error("chain %s is not served: %s", wanted.chain_hash.hex(), worded(error))
            return None

    async def _open(self, wanted: Wanted) -> ServedHere:
        """Make one chain known; what its hash alone does not say is asked upstream, and verified."""
        name = wanted.chain_hash.hex()[:16]
        client = None
        info: ChainInfo | None = wanted.info
        if self.settings.sources:
            client = AsyncClient(
                wanted.info or wanted.chain_hash,
                self.settings.sources,
                observer=NamedFaults(name, self._count_lie),
                verifiers=self._verifiers,
                timeout_s=FETCH_TIMEOUT_S,
                clock=self._clock,
            )
            try:
                info = info or await client.info()
            except BaseException:
                await client.close()
                raise
        assert info is not None, "a chain without sources has a store, which names it"
        shelf = open_shelf(info, wanted.store, self._archive, self._page_verifiers, self._clock, self._count_lie)
        feeder = ChainFeeder(
            info,
            client,
            self._stored(wanted, shelf),
            self._archive,
            self._clock,
            lambda beacon: self._publish(wanted.chain_hash, beacon),
        )
        self._feeders[wanted.chain_hash] = feeder
        self._chains[wanted.chain_hash] = RelayedChain(info, shelf, feeder.fetch)
        log.info("chain %s: %s, %s", wanted.chain_hash.hex(), info.beacon_id, info.scheme.name)
        return ServedHere.of(info, wanted.store)

    @staticmethod
    def _stored(wanted: Wanted, shelf: VerifyingShelf | None) -> StoreFollowed | None:
        if wanted.store is None or shelf is None:
            return None
        return StoreFollowed(wanted.store, shelf.verdicts)

    def _publish(self, chain_hash: bytes, beacon: Beacon) -> None:
        if self._chains[chain_hash].publish(beacon) and self._crew is not None:
            self._crew.tell(chain_hash, beacon)

    def _count_lie(self, source: str) -> None:
        self.lies[source] = self.lies.get(source, 0) + 1

    async def _fetch(self, chain_hash: bytes, round_: Round) -> Beacon:
        return await self._chains[chain_hash].wait(round_)

    def _recent(self) -> Sequence[Told]:
        """What a worker that begins must know: the last rounds of each chain, the head last."""
        told = []
        for chain_hash, chain in self._chains.items():
            last = chain.last()
            if last is not None:
                first = Round(max(last.round - TOLD_AT_START + 1, 1))
                beacons = list(chain.range(first, TOLD_AT_START))
                if not beacons or beacons[-1].round < last.round:  # there is a gap before the head
                    beacons.append(last)
                told += [Told(chain_hash, b.round, b.signature, b.previous_signature, news=True) for b in beacons]
        return told

    def _counted(self) -> Sequence[Counted]:
        if self._crew is not None:
            return self._crew.counted()
        return [self._front.counted()] if self._front is not None else []

    def _deaths(self) -> int:
        return self._crew.deaths if self._crew is not None else 0

    def _heads(self) -> dict[str, tuple[int, int]]:
        heads = {}
        for chain in self._chains.values():
            info, last = chain.info(), chain.last()
            expected = info.schedule.current_round(self._clock.now())
            heads[info.beacon_id] = (0 if last is None else int(last.round), int(expected))
        return heads


async def _run(settings: RelaySettings) -> None:
    relay = Relay(settings)
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, relay.ask_to_stop)
        loop.add_signal_handler(signal.SIGHUP, relay.reopen_logs)
    starting, told = asyncio.create_task(relay.start()), asyncio.create_task(relay.wait())
    try:
        await asyncio.wait((starting, told), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            log.info("the relay is ready: version %s", OUR_VERSION)
            await told
    finally:
        starting.cancel()  # whoever asks it to stop need not wait for an upstream that hangs
        told.cancel()
        await asyncio.gather(starting, told, return_exceptions=True)
        await relay.stop()
    log.info("the relay stopped")


def run_relay(settings: RelaySettings) -> None:
    """Run a relay until SIGTERM or SIGINT; SIGHUP begins the access log anew."""
    prepare_process(settings)
    run_loop(_run(settings))
