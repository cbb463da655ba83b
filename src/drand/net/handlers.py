"""What the sockets hand inwards: the calls of peers and of the operator, as nouns.

The daemon implements these; nothing here decides anything about the protocol. Every method may raise a CollectiveError,
whose text is the answer. `metadata` is the caller's, as sent: which beacon it means is `drand.net.routing`'s to say.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.group import Group, Identity, Peer
from drand.model.packets import Message, Metadata, Origin, SyncRequest
from drand.model.schemes import Scheme
from drand.model.status import NodeStatus


class PeerHandlers(Protocol):
    """What a node does when a peer or a client calls. `sender` is for log lines only: anybody can claim any."""

    def scheme(self, metadata: Metadata) -> Scheme:
        """The scheme of the beacon that `metadata` means: messages are decoded in it. Raises UnknownBeacon."""
        ...

    def reply_metadata(self, metadata: Metadata) -> Metadata:
        """What goes on the answer: version, canonical beacon id, chain hash once known. Raises UnknownBeacon."""
        ...

    async def identity(self, metadata: Metadata) -> Identity:
        """This node's identity in the beacon."""
        ...

    async def receive(self, metadata: Metadata, message: Message, sender: str, origin: Origin | None = None) -> None:
        """A signal, a pushed group, a bundle or a partial signature; raising refuses it. Costs count by `origin`."""
        ...

    def sync(self, metadata: Metadata, request: SyncRequest, sender: str) -> AsyncIterator[Sequence[Beacon]]:
        """Stored beacons from the requested round on, in batches of at most a few hundred, then each new one.

        The iterator is asked for the next batch only when the caller has taken the one before, so a slow caller costs
        one batch of memory; it is closed when the caller leaves.
        """
        ...

    async def status(self, metadata: Metadata, check: Sequence[Peer]) -> NodeStatus:
        """Where the beacon stands; whether to dial `check` (chosen by a stranger) is the handler's decision."""
        ...

    async def chain_info(self, metadata: Metadata) -> ChainInfo:
        """What clients verify with."""
        ...

    async def public_rand(self, metadata: Metadata, round_: Round) -> Beacon:
        """A stored beacon; round 0 means the latest. Raises BeaconNotFound."""
        ...

    def public_rand_stream(self, metadata: Metadata, round_: Round, sender: str) -> AsyncIterator[Sequence[Beacon]]:
        """As `sync`; round 0 means only new ones."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupOrder:
    """The operator's order to lead or to join a ceremony (InitDKG and InitReshare).

    leader                 None when this node leads, else whom to join
    beacon_offset_s        0: the default
    catchup_period_s       None: unchanged (resharing without the flag)
    entropy_script         path of the operator's own source of randomness, "" for none
    scheme_name            what an old CLI asked for, "" for nothing; the key's scheme decides
    old_group_path         of a resharing by a node that was not in the old group, "" for the stored group
    """

    leader: Peer | None
    nodes: int
    threshold: int
    timeout_s: int
    beacon_offset_s: int
    secret: bytes
    force: bool = False
    period_s: int = 0
    catchup_period_s: int | None = None
    entropy_script: str = ""
    entropy_user_only: bool = False
    scheme_name: str = ""
    old_group_path: str = ""

    def __repr__(self) -> str:
        return f"SetupOrder(leader={self.leader!r}, nodes={self.nodes}, threshold={self.threshold}, secret=<redacted>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowOrder:
    """The operator's order to follow or to check a chain. `up_to` 0: for ever."""

    peers: tuple[Peer, ...]
    up_to: Round


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How far following or checking has come."""

    current: int
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CeremonyProgress:
    """A moment of a ceremony, complete in itself: a watcher may miss any but the last.

    stage      waiting, proposed, dealing, responding, justifying, finished or failed
    joined     addresses that have joined, in the order they came
    received   bundles of the running phase that are in, of `wanted_bundles`
    reason     why it failed; while waiting, what holds it up (the leader does not answer, a
               group that it pushed was refused); "" otherwise
    """

    beacon_id: str
    stage: str
    leader: bool = False
    joined: tuple[str, ...] = ()
    wanted: int = 0
    received: int = 0
    wanted_bundles: int = 0
    reason: str = ""

    @property
    def over(self) -> bool:
        """Nothing follows this one."""
        return self.stage in ("finished", "failed")


class ControlHandlers(Protocol):
    """What the daemon does when its operator calls."""

    def reply_metadata(self, metadata: Metadata) -> Metadata:
        """What goes on the answers about one beacon: version, canonical id, chain hash once known."""
        ...

    async def status(self, metadata: Metadata, check: Sequence[Peer]) -> NodeStatus:
        """Where the beacon stands, and which of `check` (none: its group) answer."""
        ...

    async def list_schemes(self) -> Sequence[str]:
        """Names of the schemes that this version knows."""
        ...

    async def list_beacon_ids(self) -> Sequence[str]:
        """Ids of the beacons that are loaded."""
        ...

    async def init_dkg(self, metadata: Metadata, order: SetupOrder) -> Group:
        """Lead or join a fresh ceremony; returns the group with its key. Runs to its end when the caller leaves."""
        ...

    async def init_reshare(self, metadata: Metadata, order: SetupOrder) -> Group:
        """Lead or join a resharing; returns the new group. Runs to its end when the caller leaves."""
        ...

    async def public_key(self, metadata: Metadata) -> bytes:
        """The encoded long-term public key."""
        ...

    async def chain_info(self, metadata: Metadata) -> ChainInfo:
        """What clients verify with."""
        ...

    async def group_file(self, metadata: Metadata) -> Group:
        """The current group."""
        ...

    async def shutdown(self, metadata: Metadata) -> None:
        """Stop one beacon; the whole daemon when the beacon id is empty, but only after this call was answered."""
        ...

    async def load_beacon(self, metadata: Metadata) -> None:
        """Start a beacon from its files."""
        ...

    def start_follow(self, metadata: Metadata, order: FollowOrder) -> AsyncIterator[SyncProgress]:
        """Follow a chain without being in its group; `metadata.chain_hash` names it."""
        ...

    def start_check(self, metadata: Metadata, order: FollowOrder) -> AsyncIterator[SyncProgress]:
        """Verify the stored chain and fetch faulty rounds again."""
        ...

    async def backup(self, metadata: Metadata, output: Path) -> None:
        """Write a copy of the beacon's store."""
        ...

    async def remote_status(self, metadata: Metadata, peers: Sequence[Peer]) -> Mapping[str, NodeStatus]:
        """The status of other nodes by address; those that do not answer are absent."""
        ...

    def ceremony(self, metadata: Metadata) -> AsyncIterator[CeremonyProgress]:
        """The running ceremony's state now and after every change, until it is over."""
        ...

    async def abandon(self, metadata: Metadata, reason: str) -> None:
        """End the running ceremony without a key; `reason` is the operator's. Raises OutOfTurn where none runs."""
        ...
