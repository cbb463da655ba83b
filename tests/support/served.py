"""Chains and nodes for tests of sockets: everything is in memory and answers at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from collective.errors import CollectiveError
from drand.daemon.feed import BeaconFeed, Subscription
from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.group import Identity, Peer
from drand.model.packets import OUR_VERSION, Message, Metadata, Origin, SyncRequest
from drand.model.schemes import Scheme, scheme_named
from drand.model.status import ChainStatus, DkgState, NodeStatus, ReshareState
from drand.net.http_chain import Contributions

GENESIS = 1_795_164_285
PERIOD = 30
CHAINED = scheme_named("pedersen-bls-chained")
KEY = CHAINED.key_group.encode(CHAINED.key_group.generator())
INFO = ChainInfo(public_key=KEY, period_s=PERIOD, genesis_unix_s=GENESIS, genesis_seed=bytes(range(32)), scheme=CHAINED)
IDENTITY = Identity(address="127.0.0.1:4001", key=KEY, tls=False, signature=b"\x05" * 96, scheme=CHAINED)
STATUS = NodeStatus(
    dkg=DkgState.DONE,
    reshare=ReshareState.IDLE,
    is_inited=True,
    is_running=True,
    is_stopped=False,
    is_started=True,
    is_serving=True,
    chain=ChainStatus(is_empty=False, last_round=Round(7), length=8),
    connections={"127.0.0.1:4002": True},
)


def beacon(round_: int) -> Beacon:
    """A beacon with recognisable bytes that no key signed; round 0 is the genesis beacon."""
    if round_ == 0:
        return Beacon(Round(0), INFO.genesis_seed)
    previous = beacon(round_ - 1).signature if round_ == 1 else (round_ - 1).to_bytes(96, "big")
    return Beacon(Round(round_), round_.to_bytes(96, "big"), previous)


async def until(predicate: Callable[[], bool]) -> None:
    """Let the loop run until `predicate` holds; for state of production code that has no event to wait for."""
    async with asyncio.timeout(30):
        while not predicate():  # noqa: ASYNC110
            await asyncio.sleep(0)


@dataclass
class FixedClock:
    """A clock that stands."""

    unix_s: float

    def now(self) -> float:
        return self.unix_s


@dataclass
class MemoryChain:
    """A ChainBackend over a list; `append` wakes those who wait."""

    fetches: bool = False
    last_round: int = 3
    chain: ChainInfo = field(default_factory=lambda: INFO)
    failure: CollectiveError | None = None
    waiting: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    known_signers: Contributions | None = None
    feed: BeaconFeed = field(default_factory=BeaconFeed)

    def info(self) -> ChainInfo:
        return self.chain

    def last(self) -> Beacon | None:
        if self.failure is not None:
            raise self.failure
        return beacon(self.last_round) if self.last_round >= 0 else None

    def get(self, round_: Round) -> Beacon | None:
        if self.failure is not None:
            raise self.failure
        return beacon(round_) if round_ <= self.last_round else None

    def range(self, first: Round, limit: int) -> list[Beacon]:
        return [beacon(round_) for round_ in range(first, min(first + limit, self.last_round + 1))]

    async def stored(self, first: Round, limit: int) -> list[Beacon]:
        return self.range(first, limit)

    def contributions(self) -> Contributions | None:
        return self.known_signers

    def subscribe(self) -> Subscription:
        return self.feed.subscribe()

    async def append(self) -> None:
        async with self.changed:
            self.last_round += 1
            self.changed.notify_all()
        self.feed.publish(beacon(self.last_round))

    async def wait(self, round_: Round) -> Beacon:
        async with self.changed:
            self.waiting += 1
            self.changed.notify_all()
            try:
                await self.changed.wait_for(lambda: self.last_round >= round_)
            finally:
                self.waiting -= 1
                self.changed.notify_all()
        return beacon(round_)

    async def until(self, predicate: Callable[[], bool]) -> None:
        async with self.changed:
            await self.changed.wait_for(predicate)


@dataclass
class ToldNode:
    """PeerHandlers that remember what they were told and answer with fixed nouns."""

    beacon_id: str = "default"
    chain_hash: bytes = b""
    stored: int = 7
    endless: bool = False  # streams go on after the stored rounds, as long as they are read
    failure: Exception | None = None
    told: list[tuple[Metadata, Message, str]] = field(default_factory=list)
    asked: list[SyncRequest] = field(default_factory=list)
    produced: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event | None = None

    def scheme(self, metadata: Metadata) -> Scheme:
        return CHAINED

    def reply_metadata(self, metadata: Metadata) -> Metadata:
        return Metadata(OUR_VERSION, self.beacon_id, self.chain_hash)

    async def identity(self, metadata: Metadata) -> Identity:
        self._fail()
        return IDENTITY

    async def receive(self, metadata: Metadata, message: Message, sender: str, origin: Origin | None = None) -> None:
        self.told.append((metadata, message, sender))
        if self.release is not None:
            await self.release.wait()
        self._fail()

    async def sync(self, metadata: Metadata, request: SyncRequest, sender: str) -> AsyncIterator[Sequence[Beacon]]:
        self.asked.append(request)
        self._fail()
        try:
            first = int(request.from_round)
            while self.endless or first <= self.stored:
                batch = [beacon(r) for r in range(first, first + 100) if self.endless or r <= self.stored]
                self.produced += len(batch)
                yield batch
                first += 100
            if self.release is not None:
                await self.release.wait()
        finally:
            self.closed.set()

    async def status(self, metadata: Metadata, check: Sequence[Peer]) -> NodeStatus:
        return STATUS

    async def chain_info(self, metadata: Metadata) -> ChainInfo:
        self._fail()
        return INFO

    async def public_rand(self, metadata: Metadata, round_: Round) -> Beacon:
        if round_ > self.stored:
            raise BeaconNotFound("can't retrieve beacon: no beacon stored above requested round")
        return beacon(round_ or self.stored)

    def public_rand_stream(self, metadata: Metadata, round_: Round, sender: str) -> AsyncIterator[Sequence[Beacon]]:
        return self.sync(metadata, SyncRequest(round_, self.beacon_id), sender)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
