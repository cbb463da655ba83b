"""What peers and clients may ask of this daemon."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from collective.errors import CollectiveError
from drand.daemon.beacon import BeaconShell
from drand.daemon.feed import ReaderTooSlow, Subscription
from drand.daemon.status import node_status
from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.group import Identity, Peer
from drand.model.packets import (
    DkgPacket,
    GroupPush,
    Message,
    Metadata,
    Origin,
    PartialPacket,
    SignalPacket,
    SyncRequest,
)
from drand.model.schemes import Scheme
from drand.model.status import NodeStatus
from drand.protocol.steps import Received

if TYPE_CHECKING:
    from drand.daemon.daemon import Daemon

SYNC_BATCH = 200  # beacons read from the store at a time; no transaction is held between two batches

# How v1.5.11 counts these in api_call_counter.
CALLS: dict[type[object], str] = {
    PartialPacket: "PartialBeacon",
    DkgPacket: "BroadcastDKG",
    SignalPacket: "SignalDKGParticipant",
    GroupPush: "PushDKGInfo",
}


class PeerFace:
    """Implements drand.net.handlers.PeerHandlers."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon

    def scheme(self, metadata: Metadata) -> Scheme:
        """The scheme in which messages about this beacon are decoded."""
        return self._daemon.meant(metadata).identity.scheme

    def reply_metadata(self, metadata: Metadata) -> Metadata:
        """What goes on the answer."""
        return self._daemon.reply_metadata(metadata)

    async def identity(self, metadata: Metadata) -> Identity:
        """Our identity in the beacon."""
        self._count("GetIdentity")
        return self._daemon.meant(metadata).identity

    async def receive(self, metadata: Metadata, message: Message, sender: str, origin: Origin | None = None) -> None:
        """Step the machine; its refusal is the answer."""
        self._count(CALLS[type(message)])
        shell = self._daemon.meant(metadata)
        try:
            shell.step(Received(sender, message, origin))
        except CollectiveError as error:
            shell.refused(message, sender, error)
            raise

    async def status(self, metadata: Metadata, check: Sequence[Peer]) -> NodeStatus:
        """Where the beacon stands, and which of `check` (none: its group) answer.

        Only members of the group are dialled: a stranger does not choose our calls.
        """
        self._count("Status")
        shell = self._daemon.meant(metadata)
        members = shell.peers()
        wanted = [peer for peer in check if peer in members] if check else members
        return node_status(shell, await self._daemon.doorbell.answering(wanted, shell.metadata()))

    async def chain_info(self, metadata: Metadata) -> ChainInfo:
        """What clients verify with."""
        self._count("ChainInfo")
        return self._daemon.meant(metadata).group().chain_info()

    async def public_rand(self, metadata: Metadata, round_: Round) -> Beacon:
        """A stored beacon, the latest for round 0."""
        self._count("PublicRand")
        shell = self._daemon.meant(metadata)
        shell.group()
        beacon = shell.store.get(round_) if round_ else shell.head
        if beacon is None:
            raise BeaconNotFound("can't retrieve beacon: no beacon stored above requested round")
        return beacon

    async def sync(self, metadata: Metadata, request: SyncRequest, sender: str) -> AsyncIterator[Sequence[Beacon]]:
        """Stored beacons from a round on, then every new one."""
        self._count("SyncChain")
        shell = self._daemon.meant(metadata)
        _require_stored(shell, request.from_round)
        async for batch in follow(shell, request.from_round):
            yield batch

    async def public_rand_stream(
        self, metadata: Metadata, round_: Round, sender: str
    ) -> AsyncIterator[Sequence[Beacon]]:
        """As `sync`; round 0 means only new ones."""
        self._count("PublicRandStream")
        shell = self._daemon.meant(metadata)
        shell.group()
        _require_stored(shell, round_)
        async for batch in follow(shell, round_):
            yield batch

    def _count(self, method: str) -> None:
        self._daemon.metrics.called(method)


def _require_stored(shell: BeaconShell, first: Round) -> None:
    """Raise BeaconNotFound for a stream that would begin with a round which is not there yet."""
    last = shell.head
    if last is None or first > last.round:
        have = "nothing" if last is None else last.round
        raise BeaconNotFound(f"no beacon stored above requested round {have} < {first}")


async def follow(shell: BeaconShell, first: Round) -> AsyncIterator[Sequence[Beacon]]:
    """Stored beacons from `first` on (none for 0), then each new one, without a gap between the two.

    A subscription is opened before the store is read, so a beacon stored meanwhile is in one of them or in both. A
    reader that falls so far behind that its subscription is dropped goes back to the store; one that takes nothing at
    all is the server's to end. Raises FeedClosed when the beacon is stopped.
    """
    upcoming = first
    while True:
        with shell.feed.subscribe() as new:
            try:
                async for batch in _stored_then_new(shell, new, upcoming):
                    upcoming = Round(batch[-1].round + 1)
                    yield batch
            except ReaderTooSlow:
                continue


async def _stored_then_new(shell: BeaconShell, new: Subscription, upcoming: Round) -> AsyncIterator[Sequence[Beacon]]:
    while upcoming and (batch := shell.store.range(upcoming, SYNC_BATCH)):
        upcoming = Round(batch[-1].round + 1)
        yield batch
        await asyncio.sleep(0)  # a long history must not hold up the round that is being made
        shell.feed.check_open()
    while True:
        beacon = await new.next()
        if beacon.round >= upcoming:
            upcoming = Round(beacon.round + 1)
            yield [beacon]
