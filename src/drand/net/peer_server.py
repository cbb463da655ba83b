"""The port that peers call: `drand.Protocol` and `drand.Public`, and nothing else."""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import lru_cache

import grpc
from google.protobuf.message import Message

from drand.model.chain import Beacon, Round
from drand.model.packets import OUR_VERSION, Metadata, SyncedBeacon
from drand.net.addresses import HostPort
from drand.net.admission import Admission, Quota
from drand.net.descriptors import MAX_PEERS
from drand.net.grpc_service import MAX_CONCURRENT_RPCS, Caller, Method, Stream, Unary, new_server, service
from drand.net.handlers import PeerHandlers
from drand.net.listening import bind_tcp
from drand.net.tls import ServerTls
from drand.wire.bundles import decode_dkg_packet
from drand.wire.gen import drand_pb2, protocol_pb2, public_pb2
from drand.wire.groups import encode_chain_info
from drand.wire.identities import encode_identity_response
from drand.wire.metadata import encode_empty, encode_metadata
from drand.wire.packets import (
    decode_group_push,
    decode_partial,
    decode_signal,
    decode_sync_request,
    encode_public_rand,
    encode_synced_beacon,
)
from drand.wire.status import decode_status_request, encode_status

MAX_STREAMS = 512  # SyncChain and PublicRandStream together
MAX_STREAMS_PER_NETWORK = 64  # a whole group may sit behind one address (NAT, demo)

log = logging.getLogger(__name__)


@lru_cache(maxsize=256)
def _accepted(metadata: Metadata) -> bytes:
    return encode_empty(metadata).SerializeToString()


class PeerServer:
    """Listens for peers and hands their calls to `handlers`."""

    def __init__(self, handlers: PeerHandlers, *, version_check: bool = True, max_connections: int = MAX_PEERS) -> None:
        self._handlers = handlers
        self._max_connections = max_connections
        self._version_check = version_check
        self.admission = Admission(total=MAX_CONCURRENT_RPCS)
        self._streams = Quota("streams", total=MAX_STREAMS, per_network=MAX_STREAMS_PER_NETWORK)
        self._server: grpc.aio.Server | None = None

    @property
    def streams(self) -> int:
        """How many streams are being served."""
        return self._streams.running

    async def start(self, address: HostPort, tls: ServerTls | None = None) -> HostPort:
        """Listen; returns the address with the port really used. Raises PortTaken or CannotListen."""
        admission, checked = self.admission, self._version_check
        server = new_server(
            [
                service("drand.Protocol", self._protocol_methods(), admission, version_check=checked),
                service("drand.Public", self._public_methods(), admission, version_check=checked),
            ],
            max_connections=self._max_connections,
        )
        port = bind_tcp(server, address, "peer", tls.grpc_credentials() if tls is not None else None)
        await server.start()
        self._server = server
        return HostPort(address.host, port)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Refuse new calls, give running ones `grace_s` seconds, close."""
        if self._server is not None:
            server, self._server = self._server, None
            self.admission.unread.clear()
            await server.stop(grace_s)

    def _protocol_methods(self) -> tuple[Method, ...]:
        return (
            Unary("GetIdentity", protocol_pb2.IdentityRequest, self._identity),
            Unary("SignalDKGParticipant", protocol_pb2.SignalDKGPacket, self._signal),
            Unary("PushDKGInfo", protocol_pb2.DKGInfoPacket, self._push),
            Unary("BroadcastDKG", protocol_pb2.DKGPacket, self._bundle),
            Unary("PartialBeacon", protocol_pb2.PartialBeaconPacket, self._partial),
            Stream("SyncChain", protocol_pb2.SyncRequest, self._sync),
            Unary("Status", drand_pb2.StatusRequest, self._status),
        )

    def _public_methods(self) -> tuple[Method, ...]:
        return (
            Unary("PublicRand", public_pb2.PublicRandRequest, self._public_rand),
            Stream("PublicRandStream", public_pb2.PublicRandRequest, self._public_rand_stream),
            Unary("ChainInfo", drand_pb2.ChainInfoRequest, self._chain_info),
            Unary("Home", public_pb2.HomeRequest, self._home),
        )

    async def _identity(self, _request: Message, metadata: Metadata, _who: Caller) -> bytes:
        identity = await self._handlers.identity(metadata)
        return encode_identity_response(identity, self._handlers.reply_metadata(metadata)).SerializeToString()

    async def _signal(self, request: protocol_pb2.SignalDKGPacket, metadata: Metadata, who: Caller) -> bytes:
        message = decode_signal(request, self._handlers.scheme(metadata))
        await self._handlers.receive(metadata, message, who.sender)
        return self._empty(metadata)

    async def _push(self, request: protocol_pb2.DKGInfoPacket, metadata: Metadata, who: Caller) -> bytes:
        message = decode_group_push(request, self._handlers.scheme(metadata))
        await self._handlers.receive(metadata, message, who.sender)
        return self._empty(metadata)

    async def _bundle(self, request: protocol_pb2.DKGPacket, metadata: Metadata, who: Caller) -> bytes:
        message = decode_dkg_packet(request, self._handlers.scheme(metadata))
        await self._handlers.receive(metadata, message, who.sender, who.origin)
        return self._empty(metadata)

    async def _partial(self, request: protocol_pb2.PartialBeaconPacket, metadata: Metadata, who: Caller) -> bytes:
        await self._handlers.receive(metadata, decode_partial(request), who.sender, who.origin)
        return self._empty(metadata)

    def _empty(self, metadata: Metadata) -> bytes:
        return _accepted(self._handlers.reply_metadata(metadata))

    async def _status(self, request: drand_pb2.StatusRequest, metadata: Metadata, _who: Caller) -> bytes:
        status = await self._handlers.status(metadata, decode_status_request(request))
        return encode_status(status).SerializeToString()

    async def _chain_info(self, _request: Message, metadata: Metadata, _who: Caller) -> bytes:
        info = await self._handlers.chain_info(metadata)
        return encode_chain_info(info, self._handlers.reply_metadata(metadata)).SerializeToString()

    async def _public_rand(self, request: public_pb2.PublicRandRequest, metadata: Metadata, _who: Caller) -> bytes:
        beacon = await self._handlers.public_rand(metadata, Round(request.round))
        return encode_public_rand(beacon, self._handlers.reply_metadata(metadata)).SerializeToString()

    async def _home(self, _request: Message, _metadata: Metadata, _who: Caller) -> bytes:
        # Of the daemon and not of a beacon, so it needs no routing; v1.5.11 leaves the status text empty here.
        return public_pb2.HomeResponse(metadata=encode_metadata(Metadata(OUR_VERSION))).SerializeToString()

    def _sync(
        self, request: protocol_pb2.SyncRequest, metadata: Metadata, who: Caller
    ) -> AsyncIterator[Iterable[bytes]]:
        beacon_id = self._handlers.reply_metadata(metadata).beacon_id
        asked = decode_sync_request(request)

        def encode(beacon: Beacon) -> bytes:
            return encode_synced_beacon(SyncedBeacon(beacon, beacon_id)).SerializeToString()

        return self._counted(who, self._handlers.sync(metadata, asked, who.sender), encode)

    def _public_rand_stream(
        self, request: public_pb2.PublicRandRequest, metadata: Metadata, who: Caller
    ) -> AsyncIterator[Iterable[bytes]]:
        reply = self._handlers.reply_metadata(metadata)

        def encode(beacon: Beacon) -> bytes:
            return encode_public_rand(beacon, reply).SerializeToString()

        batches = self._handlers.public_rand_stream(metadata, Round(request.round), who.sender)
        return self._counted(who, batches, encode)

    async def _counted(
        self, who: Caller, batches: AsyncIterator[Sequence[Beacon]], encode: Callable[[Beacon], bytes]
    ) -> AsyncIterator[Iterable[bytes]]:
        """The batches encoded lazily, one beacon at a time, while a place in the quota is held."""
        with self._streams.place(who.origin.network):
            try:
                async for batch in batches:
                    yield map(encode, batch)
            finally:
                close = getattr(batches, "aclose", None)
                if close is not None:
                    await close()
