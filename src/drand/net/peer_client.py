"""Calling peers: messages that are sent to many, questions to one, and what clients ask."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, assert_never

import grpc

from collective.errors import CollectiveError
from drand.errors import InvalidChainInfo
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.group import Identity, Peer
from drand.model.packets import (
    Answer,
    AskIdentity,
    DkgPacket,
    GroupPush,
    Message,
    Metadata,
    PartialPacket,
    Question,
    SignalPacket,
    SyncRequest,
)
from drand.model.schemes import Scheme
from drand.model.status import NodeStatus
from drand.net.channels import Channels, peer_error, settle
from drand.net.errors import OtherRound, PeerUnreachable
from drand.net.sync_reader import SyncReader
from drand.wire.bundles import encode_dkg_packet
from drand.wire.gen import control_pb2, drand_pb2, protocol_pb2, public_pb2
from drand.wire.groups import decode_chain_info
from drand.wire.identities import decode_identity_response
from drand.wire.metadata import encode_metadata
from drand.wire.packets import decode_public_rand, encode_group_push, encode_partial, encode_signal
from drand.wire.protobuf import at_most, parsed
from drand.wire.status import decode_status, encode_status_request

# v1.5.11 gives a minute to most calls and no limit to the setup ones. Messages of a round or a phase are worth less
# than that: after a few seconds the round has other partials, and the bundle has come by another echo.
PARTIAL_DEADLINE_S = 5.0
BUNDLE_DEADLINE_S = 10.0
QUESTION_DEADLINE_S = 60.0
PING_DEADLINE_S = 10.0
MAX_BEACON_IDS = 256
MAX_OUTSTANDING = 512  # messages under way or waiting for one peer; 2 n echoes of a large ceremony fit
BUNDLES_AT_ONCE = 4  # calls with bundles under way to one peer: a ceremony's n squared echoes must not all be in memory

log = logging.getLogger(__name__)


class Displaced(PeerUnreachable):
    """A call given up on our side: too many newer ones wait for the same peer, or the client was closed."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message encoded once, ready for any number of peers."""

    method: str  # full gRPC path
    payload: bytes = field(repr=False)  # it may carry the secret of a ceremony
    deadline_s: float
    in_turn: bool = False  # at most BUNDLES_AT_ONCE of these are under way to a peer, in the order they were given


_Call: TypeAlias = "grpc.aio.UnaryUnaryCall[bytes, bytes]"


@dataclass(slots=True)
class _Lane:
    """What is under way to one peer, oldest first, and the prepared methods of its channel."""

    channel: grpc.aio.Channel
    under_way: OrderedDict[_Call, None] = field(default_factory=OrderedDict)
    methods: dict[str, "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"] = field(default_factory=dict)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BUNDLES_AT_ONCE))
    waiting: int = 0  # for a turn


def encode(message: Message, metadata: Metadata) -> Outgoing:
    """`message` as bytes. A partial and a bundle carry version and beacon id but no chain hash, as v1.5.11 sends them.

    Source: drand v1.5.11, chain/beacon/node.go and core/broadcast.go, where the metadata is made.
    """
    bare = replace(metadata, chain_hash=b"")
    match message:
        case PartialPacket():
            payload = encode_partial(message, bare).SerializeToString()
            return Outgoing("/drand.Protocol/PartialBeacon", payload, PARTIAL_DEADLINE_S)
        case DkgPacket():
            payload = encode_dkg_packet(message, bare).SerializeToString()
            return Outgoing("/drand.Protocol/BroadcastDKG", payload, BUNDLE_DEADLINE_S, in_turn=True)
        case SignalPacket():
            payload = encode_signal(message, metadata).SerializeToString()
            return Outgoing("/drand.Protocol/SignalDKGParticipant", payload, QUESTION_DEADLINE_S)
        case GroupPush():
            payload = encode_group_push(message, metadata).SerializeToString()
            return Outgoing("/drand.Protocol/PushDKGInfo", payload, QUESTION_DEADLINE_S)
        case _:
            assert_never(message)


async def _finished(call: _Call, peer: Peer, method: str) -> bytes:
    """The answer to a call under way; a cancelled task cancels the call."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise peer_error(peer, method, error.code(), error.details()) from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            call.cancel()
            raise
        raise Displaced(f"the call of {method} to {peer.address} was given up") from None


class PeerClient:
    """Calls peers over cached channels. One instance for a daemon; `close` it."""

    def __init__(self, roots: bytes | None = None, *, max_outstanding: int = MAX_OUTSTANDING) -> None:
        self.channels = Channels(roots)
        self.displaced = 0  # messages given up for newer ones, since the start
        self._max_outstanding = max_outstanding
        self._lanes: dict[Peer, _Lane] = {}

    async def close(self) -> None:
        """Cancel what is under way and close all channels."""
        self._lanes.clear()
        await self.channels.close()

    async def send(self, peer: Peer, message: Message, metadata: Metadata) -> None:
        """Send one message to one peer; raises PeerUnreachable or PeerRefused."""
        await self.deliver(peer, encode(message, metadata))

    async def broadcast(
        self,
        peers: Iterable[Peer],
        message: Message,
        metadata: Metadata,
        failed: Callable[[Peer, CollectiveError], None] | None = None,
    ) -> int:
        """Send one message, encoded once, to all `peers` at the same time; returns how many accepted it.

        `failed` is told of each peer that did not, as soon as that is known. Returns when the last one has answered.
        """
        outgoing = encode(message, metadata)
        results = await asyncio.gather(*(self._try(peer, outgoing, failed) for peer in peers))
        return sum(results)

    async def deliver(self, peer: Peer, outgoing: Outgoing) -> None:
        """Send encoded bytes; waits for its turn, then for a connection up to the deadline. The response is not read.

        At most `max_outstanding` are under way to a peer: the oldest is given up for a newer one, and its sender gets
        Displaced. Raises PeerUnreachable or PeerRefused.
        """
        lane = await self._lane(peer)
        if not outgoing.in_turn:
            await self._deliver_now(lane, peer, outgoing)
            return
        if lane.waiting >= self._max_outstanding:
            self.displaced += 1
            raise Displaced(f"{lane.waiting} messages wait for {peer.address} already")
        lane.waiting += 1
        try:
            await lane.turns.acquire()
        finally:
            lane.waiting -= 1
        try:
            await self._deliver_now(lane, peer, outgoing)
        finally:
            lane.turns.release()

    async def _deliver_now(self, lane: _Lane, peer: Peer, outgoing: Outgoing) -> None:
        if len(lane.under_way) >= self._max_outstanding:
            oldest, _ = lane.under_way.popitem(last=False)
            oldest.cancel()
            self.displaced += 1
        call = self._method(lane, outgoing.method)(outgoing.payload, timeout=outgoing.deadline_s, wait_for_ready=True)
        lane.under_way[call] = None
        try:
            await _finished(call, peer, outgoing.method)
        finally:
            lane.under_way.pop(call, None)

    async def call(self, peer: Peer, question: Question, metadata: Metadata, scheme: Scheme | None = None) -> Answer:
        """Ask a peer; `scheme` is the one an identity must use (None: any).

        Raises PeerUnreachable, PeerRefused, Malformed.
        """
        if isinstance(question, AskIdentity):
            return await self.get_identity(peer, metadata, scheme)
        outgoing = encode(question, metadata)
        await self._ask(peer, outgoing.method, outgoing.payload, outgoing.deadline_s)
        return None

    async def get_identity(self, peer: Peer, metadata: Metadata, scheme: Scheme | None = None) -> Identity:
        """The identity of the node at `peer`; its self-signature is not checked. Raises as `call` does."""
        request = protocol_pb2.IdentityRequest(metadata=encode_metadata(replace(metadata, chain_hash=b"")))
        raw = await self._ask(peer, "/drand.Protocol/GetIdentity", request.SerializeToString(), QUESTION_DEADLINE_S)
        return decode_identity_response(raw, scheme)

    async def chain_info(self, peer: Peer, metadata: Metadata) -> ChainInfo:
        """The chain that the peer serves; when `metadata` names a chain hash, it has that hash.

        Raises as `call` does; InvalidChainInfo when the answer hashes to something else than was asked for.
        """
        request = drand_pb2.ChainInfoRequest(metadata=encode_metadata(metadata))
        raw = await self._ask(peer, "/drand.Public/ChainInfo", request.SerializeToString(), QUESTION_DEADLINE_S)
        info = decode_chain_info(raw)
        if metadata.chain_hash and info.hash() != metadata.chain_hash:
            raise InvalidChainInfo(
                f"{peer.address} answered with chain {info.hash().hex()}, asked for {metadata.chain_hash.hex()}"
            )
        return info

    async def beacon_ids(self, peer: Peer) -> tuple[str, ...]:
        """The beacon ids of a node from drand v2 on. Raises as `call` does; MethodMissing by a v1.5 node."""
        raw = await self._ask(peer, "/drand.Public/ListBeaconIDs", b"", QUESTION_DEADLINE_S)
        found = parsed(control_pb2.ListBeaconIDsResponse, raw)  # v1.5 has the same message on its control port
        at_most(found.ids, MAX_BEACON_IDS, "the list of beacon ids")
        return tuple(found.ids)

    async def public_rand(self, peer: Peer, round_: Round, metadata: Metadata) -> Beacon:
        """A beacon that the peer has stored, not verified; round 0 asks for its latest. Raises as `call` does."""
        request = public_pb2.PublicRandRequest(round=round_, metadata=encode_metadata(metadata))
        raw = await self._ask(peer, "/drand.Public/PublicRand", request.SerializeToString(), QUESTION_DEADLINE_S)
        beacon = decode_public_rand(raw)
        if round_ and beacon.round != round_:
            raise OtherRound(f"{peer.address} answered with round {beacon.round}, asked for {round_}")
        return beacon

    async def home(self, peer: Peer, metadata: Metadata, deadline_s: float = PING_DEADLINE_S) -> None:
        """Return when a drand node answers at `peer`; raises PeerUnreachable or PeerRefused."""
        request = public_pb2.HomeRequest(metadata=encode_metadata(metadata))
        await self._ask(peer, "/drand.Public/Home", request.SerializeToString(), deadline_s)

    async def status(self, peer: Peer, metadata: Metadata, check: Sequence[Peer] = ()) -> NodeStatus:
        """What the peer says about itself and about `check`. Raises as `call` does."""
        request = encode_status_request(check, metadata)
        raw = await self._ask(peer, "/drand.Protocol/Status", request.SerializeToString(), QUESTION_DEADLINE_S)
        return decode_status(raw)

    def sync(self, peer: Peer, request: SyncRequest, *, patience_s: float) -> SyncReader:
        """The peer's beacons from a round on, in batches: `async with client.sync(...) as batches: async for ...`."""
        return SyncReader(peer, request, patience_s=patience_s, credentials=self.channels.credentials)

    async def _ask(self, peer: Peer, method: str, payload: bytes, deadline_s: float) -> bytes:
        """One call that fails soon when the peer cannot be reached: somebody waits for the reason."""
        lane = await self._lane(peer)
        await settle(lane.channel)
        return await _finished(self._method(lane, method)(payload, timeout=deadline_s), peer, method)

    async def _try(
        self, peer: Peer, outgoing: Outgoing, failed: Callable[[Peer, CollectiveError], None] | None
    ) -> bool:
        try:
            await self.deliver(peer, outgoing)
        except CollectiveError as error:
            if failed is not None:
                failed(peer, error)
            return False
        return True

    async def _lane(self, peer: Peer) -> _Lane:
        """The lane to a peer; a new one when the bounded cache has given its channel up. May raise PeerUnreachable."""
        channel = await self.channels.to(peer)
        lane = self._lanes.get(peer)
        if lane is None or lane.channel is not channel:
            lane = self._lanes[peer] = _Lane(channel)
            if len(self._lanes) > 2 * len(self.channels):
                self._lanes = {known: kept for known, kept in self._lanes.items() if known in self.channels}
        return lane

    @staticmethod
    def _method(lane: _Lane, path: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
        """The prepared method; bytes go in and come out, so that nothing is encoded twice or decoded in vain."""
        method = lane.methods.get(path)
        if method is None:
            method = lane.methods[path] = lane.channel.unary_unary(path)
        return method
