"""One beacon's shell over doubles: a store that refuses when told, a vault and peers that answer what the test says."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collective.clock import SystemClock
from collective.entropy import SystemEntropy
from collective.errors import CollectiveError
from drand.daemon.agreement import OtherChain
from drand.daemon.beacon import BeaconShell, Outside
from drand.daemon.folders import BeaconFolder
from drand.model.chain import Beacon, ChainInfo
from drand.model.group import Group, Peer
from drand.model.packets import Answer, Message, Metadata, Question, SyncedBeacon, SyncRequest
from drand.model.records import EpochStarted, Record
from drand.model.schemes import Scheme
from drand.model.vault_messages import VaultRefused, VaultReply, VaultRequest
from drand.net.errors import PeerUnreachable
from drand.protocol.steps import Fact
from drand.store.contract import StoreFailed
from drand.store.memory import MemoryStore
from tests.support.committee import Committee


class Moody(MemoryStore):
    """A store in memory whose disk is full when the test says so."""

    def __init__(self, *, chained: bool) -> None:
        super().__init__(chained=chained)
        self.failure: Exception | None = None
        self.unreadable = False
        self.closed = False

    def persist(self, *records: Record) -> None:
        if self.failure is not None:
            raise self.failure
        super().persist(*records)

    def journal(self) -> Any:
        if self.unreadable:
            raise StoreFailed("the disk is gone")
        return super().journal()

    def close(self) -> None:
        self.closed = True
        if self.failure is not None:
            raise self.failure


@dataclass
class StubVault:
    """Answers with `reply`; by default refuses everything, for later."""

    reply: Callable[[VaultRequest], VaultReply] = lambda asked: VaultRefused(asked.request_id, "not now", retry=True)
    asked: list[VaultRequest] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def ask(self, request: VaultRequest) -> VaultReply:
        self.asked.append(request)
        return self.reply(request)

    async def close(self) -> None:
        if self.hold is not None:
            await self.hold.wait()


class StubSync:
    """A peer's stream."""

    def __init__(self, batches: Iterable[Sequence[SyncedBeacon] | Exception]) -> None:
        self._batches = iter(batches)

    async def __aenter__(self) -> "StubSync":
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def __aiter__(self) -> "StubSync":
        return self

    async def __anext__(self) -> Sequence[SyncedBeacon]:
        await asyncio.sleep(0)
        for batch in self._batches:
            if isinstance(batch, Exception):
                raise batch
            return batch
        raise StopAsyncIteration


@dataclass
class StubClient:
    """Peers that answer what the test says."""

    failing: dict[str, CollectiveError] = field(default_factory=dict)
    answer: Callable[[Question], Answer] = lambda question: None
    batches: list[Sequence[SyncedBeacon] | Exception] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    rung: list[Peer] = field(default_factory=list)
    ring: asyncio.Event | None = None
    chains: dict[str, Callable[[], ChainInfo | Exception]] = field(default_factory=dict)
    asked: list[tuple[Peer, Metadata]] = field(default_factory=list)

    async def broadcast(
        self,
        peers: Iterable[Peer],
        message: Message,
        metadata: Metadata,
        failed: Callable[[Peer, CollectiveError], None],
    ) -> int:
        self.sent.append(message)
        for peer in peers:
            if peer.address in self.failing:
                failed(peer, self.failing[peer.address])
        return 0

    async def call(self, peer: Peer, question: Question, metadata: Metadata, scheme: Scheme) -> Answer:
        return self.answer(question)

    def sync(self, peer: Peer, request: SyncRequest, *, patience_s: float) -> StubSync:
        return StubSync(self.batches)

    async def chain_info(self, peer: Peer, metadata: Metadata) -> ChainInfo:
        self.asked.append((peer, metadata))
        said = self.chains[peer.address]() if peer.address in self.chains else PeerUnreachable("nobody is there")
        if isinstance(said, Exception):
            raise said
        return said

    async def home(self, peer: Peer, metadata: Metadata) -> None:
        self.rung.append(peer)
        if self.ring is not None:
            await self.ring.wait()
        if peer.address in self.failing:
            raise self.failing[peer.address]


@dataclass
class Noted:
    """An observer that remembers."""

    facts: list[Fact] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    outcomes: list[Mapping[str, bool]] = field(default_factory=list)
    others: dict[str, OtherChain] = field(default_factory=dict)

    def observe(self, shell: BeaconShell, fact: Fact) -> None:
        self.facts.append(fact)

    def settled(self, shell: BeaconShell, group: Group) -> None:
        self.groups.append(group)

    def sent(self, shell: BeaconShell, outcome: Mapping[str, bool]) -> None:
        self.outcomes.append(outcome)

    def compared(self, shell: BeaconShell, others: Mapping[str, OtherChain]) -> None:
        self.others = dict(others)


class StubChecker:
    """Finds every beacon good."""

    async def bad_rounds(self, group: Group, beacons: tuple[Beacon, ...]) -> frozenset[Any]:
        return frozenset()


class Site:
    """The shell of one member of a committee, with everything around it."""

    def __init__(self, base: Path, *, with_epoch: bool = True, size: int = 4, threshold: int = 3) -> None:
        self.committee = Committee(size=size, threshold=threshold)
        self.store = Moody(chained=True)
        if with_epoch:
            self.store.persist(EpochStarted(self.committee.epoch(0)))
        self.vault = StubVault()
        self.client = StubClient()
        self.observer = Noted()
        folder = BeaconFolder(base, "default")
        folder.make()
        self.shell = BeaconShell(
            identity=self.committee.group.nodes[0].identity,
            beacon_id="default",
            folder=folder,
            store=self.store,
            vault=self.vault,
            outside=Outside(
                clock=SystemClock(),
                entropy=SystemEntropy(),
                client=self.client,  # type: ignore[arg-type]
                checker=StubChecker(),  # type: ignore[arg-type]
                observer=self.observer,
            ),
        )
