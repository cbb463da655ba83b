"""A chain that a committee of the test signs in real time, and a server for it in a thread of its own."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType

from collective.clock import SystemClock
from drand.daemon.feed import BeaconFeed, Subscription
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.schemes import Scheme, scheme_named
from drand.net.addresses import HostPort
from drand.net.http_chain import Contributions
from drand.net.http_routes import HttpRoutes
from drand.net.http_server import HttpServer
from tests.support.committee import Committee

PERIOD_S = 1
PAST_ROUNDS = 20


class LivingChain:
    """A ChainBackend whose next round is signed a moment after it is due."""

    fetches = False

    def __init__(self, scheme: Scheme | None = None, *, members: bool = True, beacon_id: str = "default") -> None:
        self.committee = Committee(scheme or scheme_named("bls-unchained-g1-rfc9380"), size=5, threshold=3)
        genesis_unix_s = int(SystemClock().now()) - PAST_ROUNDS * PERIOD_S
        group = replace(self.committee.group, genesis_unix_s=genesis_unix_s, period_ns=PERIOD_S * 10**9)
        self.chain = replace(group.chain_info(), beacon_id=beacon_id)
        self.feed = BeaconFeed()
        self.forged: set[int] = set()
        self.lies = False  # every round from now on is given out with a wrong signature
        self.halted = asyncio.Event()
        self._members = members
        self._beacons = [self.committee.beacon(round_) for round_ in range(PAST_ROUNDS)]

    def info(self) -> ChainInfo:
        return self.chain

    def last(self) -> Beacon:
        return self._beacons[-1]

    def get(self, round_: Round) -> Beacon | None:
        if not 0 < round_ < len(self._beacons):
            return None
        if round_ in self.forged:
            return Beacon(round_, self._beacons[round_ - 1].signature, self._beacons[round_].previous_signature)
        return self._beacons[round_]

    def range(self, first: Round, limit: int) -> Sequence[Beacon]:
        return self._beacons[first : first + limit]

    async def stored(self, first: Round, limit: int) -> Sequence[Beacon]:
        return self.range(first, limit)

    async def wait(self, round_: Round) -> Beacon:
        return self.get(round_) or await self.feed.wait(round_)

    def subscribe(self) -> Subscription:
        return self.feed.subscribe()

    def contributions(self) -> Contributions | None:
        if not self._members:
            return None
        rounds = tuple((one.round, self._signers(one.round)) for one in self._beacons[1:])
        members = tuple((int(node.index), node.identity.address) for node in self.committee.group.nodes)
        return Contributions(3, members, rounds)

    @staticmethod
    def _signers(round_: int) -> tuple[int, ...]:
        return tuple(sorted({round_ % 5, (round_ * 2 + 1) % 5, (round_ + 3) % 5, (round_ * 3 + 2) % 5}))[:3]

    async def live(self) -> None:
        """Sign round after round, when each is due, until it is halted."""
        clock = SystemClock()
        while True:
            coming = Round(len(self._beacons))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(self.chain.schedule.due_unix_s(coming) - clock.now(), 0)):
                    await self.halted.wait()
                    return
            beacon = self.committee.lie(coming) if self.lies else self.committee.beacon(coming)
            self._beacons.append(beacon)
            self.feed.publish(beacon)


def listed_before_the_default() -> tuple[LivingChain, LivingChain]:
    """A chain that every list has before the default chain, and that one: servers list chains in order of their hashes.

    Hashes hold the time of the genesis, so no pair of names is in this order every day; one pair of seeds in two is.
    """
    quick, usual = LivingChain(beacon_id="quick"), LivingChain()
    for number in itertools.count():
        seed = number.to_bytes(32, "big")
        quick.chain, usual.chain = (replace(one.chain, genesis_seed=seed) for one in (quick, usual))
        if quick.info().hash() < usual.info().hash():
            break
    return quick, usual


class InThread:
    """An HTTP server of living chains, for tests that are not asynchronous; use it with `with`."""

    def __init__(self, *chains: LivingChain) -> None:
        self.chains = chains
        self.url = ""
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._done: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)

    async def _serve(self) -> None:
        routes = HttpRoutes()
        for place, chain in enumerate(self.chains):
            routes.register(chain, default=place == 0)
        server = HttpServer(routes, SystemClock())
        bound = await server.start(HostPort("127.0.0.1", 0))
        self.url = f"http://{bound}"
        self._done = asyncio.Event()
        living = [asyncio.ensure_future(chain.live()) for chain in self.chains]
        self._started.set()
        await self._done.wait()
        for task in living:
            task.cancel()
        await server.stop()

    def __enter__(self) -> "InThread":
        self._thread.start()
        assert self._started.wait(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._done is not None
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(30)
        self._loop.close()
