"""The operator's socket: `drand.Control` and our own `pydrand.Watch`, in clear text, for this machine only.

Nothing authenticates a caller: whoever reaches the socket commands the daemon. It therefore binds 127.0.0.1 unless told
otherwise, or a Unix socket of mode 0600, and shares no method with the port that peers call.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from collective.errors import CollectiveError, OutOfTurn
from drand.model.group import Group
from drand.model.packets import OUR_VERSION, Metadata
from drand.model.status import RemoteStatus
from drand.net.addresses import ControlAddress, HostPort, UnixPath
from drand.net.admission import Admission
from drand.net.control_codec import (
    MAX_PATH_BYTES,
    MAX_REASON_BYTES,
    decode_follow,
    decode_init_dkg,
    decode_init_reshare,
    encode_progress,
    encode_sync_progress,
)
from drand.net.descriptors import MAX_CONTROL
from drand.net.grpc_service import MAX_CONCURRENT_RPCS, Caller, Method, Stream, Unary, new_server, service
from drand.net.handlers import ControlHandlers, SyncProgress
from drand.net.listening import bind_tcp, bind_unix
from drand.wire.gen import common_pb2, control_pb2, drand_pb2, watch_pb2
from drand.wire.groups import encode_chain_info, encode_group
from drand.wire.metadata import encode_metadata
from drand.wire.protobuf import at_most
from drand.wire.status import decode_remote_status_request, decode_status_request, encode_remote_status, encode_status

_OURS = encode_metadata(Metadata(OUR_VERSION))

log = logging.getLogger(__name__)
ItemT = TypeVar("ItemT")


class SecretStays(OutOfTurn):
    """A caller asked for a secret over the network."""

    hint = "read it on the node's own machine: `drand show share`, `drand show private`"


class ControlServer:
    """Listens for the operator and hands the orders to `handlers`."""

    def __init__(self, handlers: ControlHandlers, *, max_connections: int = MAX_CONTROL) -> None:
        self._handlers = handlers
        self._max_connections = max_connections
        self._ceremonies: set[asyncio.Task[Group]] = set()
        self._server: grpc.aio.Server | None = None
        self._socket: Path | None = None

    async def start(self, address: ControlAddress) -> ControlAddress:
        """Listen; returns the address with the port really used. Raises PortTaken or CannotListen."""
        watch = (
            Stream("Ceremony", watch_pb2.WatchRequest, self._watch),
            Unary("Abandon", watch_pb2.AbandonRequest, self._abandon),
        )
        admission = Admission(total=MAX_CONCURRENT_RPCS)
        server = new_server(
            [
                service("drand.Control", self._control_methods(), admission, version_check=False, hints=True),
                service("pydrand.Watch", watch, admission, version_check=False, hints=True),
            ],
            max_connections=self._max_connections,
        )
        bound = address
        if isinstance(address, UnixPath):
            bind_unix(server, address, "control")
            self._socket = address.path
        else:
            bound = HostPort(address.host, bind_tcp(server, address, "control"))
            if not address.is_loopback:
                log.warning("control port %s: other machines may reach it, and who does commands this daemon", address)
        await server.start()
        self._server = server
        return bound

    async def stop(self, grace_s: float = 5.0) -> None:
        """Refuse new calls, give running ones `grace_s` seconds, cancel ceremonies, remove the socket file."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(grace_s)
        for task in self._ceremonies:
            task.cancel()
        await asyncio.gather(*self._ceremonies, return_exceptions=True)
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
            self._socket = None

    def _control_methods(self) -> tuple[Method, ...]:
        return (
            Unary("PingPong", control_pb2.Ping, self._ping),
            Unary("Status", drand_pb2.StatusRequest, self._status),
            Unary("ListSchemes", control_pb2.ListSchemesRequest, self._list_schemes),
            Unary("ListBeaconIDs", control_pb2.ListBeaconIDsRequest, self._list_beacon_ids),
            Unary("InitDKG", control_pb2.InitDKGPacket, self._init_dkg),
            Unary("InitReshare", control_pb2.InitResharePacket, self._init_reshare),
            Unary("Share", control_pb2.ShareRequest, self._share),
            Unary("PublicKey", control_pb2.PublicKeyRequest, self._public_key),
            Unary("PrivateKey", control_pb2.PrivateKeyRequest, self._private_key),
            Unary("ChainInfo", drand_pb2.ChainInfoRequest, self._chain_info),
            Unary("GroupFile", drand_pb2.GroupRequest, self._group_file),
            Unary("Shutdown", control_pb2.ShutdownRequest, self._shutdown),
            Unary("LoadBeacon", control_pb2.LoadBeaconRequest, self._load_beacon),
            Stream("StartFollowChain", control_pb2.StartSyncRequest, self._follow),
            Stream("StartCheckChain", control_pb2.StartSyncRequest, self._check),
            Unary("BackupDatabase", control_pb2.BackupDBRequest, self._backup),
            Unary("RemoteStatus", control_pb2.RemoteStatusRequest, self._remote_status),
        )

    async def _ping(self, _request: Message, _metadata: Metadata, _who: Caller) -> bytes:
        return control_pb2.Pong(metadata=_OURS).SerializeToString()

    async def _status(self, request: drand_pb2.StatusRequest, metadata: Metadata, _who: Caller) -> bytes:
        status = await self._handlers.status(metadata, decode_status_request(request))
        return encode_status(status).SerializeToString()

    async def _list_schemes(self, _request: Message, _metadata: Metadata, _who: Caller) -> bytes:
        names = await self._handlers.list_schemes()
        return control_pb2.ListSchemesResponse(ids=names, metadata=_OURS).SerializeToString()

    async def _list_beacon_ids(self, _request: Message, _metadata: Metadata, _who: Caller) -> bytes:
        ids = await self._handlers.list_beacon_ids()
        return control_pb2.ListBeaconIDsResponse(ids=ids, metadata=_OURS).SerializeToString()

    async def _init_dkg(self, request: control_pb2.InitDKGPacket, metadata: Metadata, _who: Caller) -> bytes:
        return await self._ceremony(self._handlers.init_dkg(metadata, decode_init_dkg(request)))

    async def _init_reshare(self, request: control_pb2.InitResharePacket, metadata: Metadata, _who: Caller) -> bytes:
        return await self._ceremony(self._handlers.init_reshare(metadata, decode_init_reshare(request)))

    async def _ceremony(self, ceremony: Coroutine[None, None, Group]) -> bytes:
        """Run a ceremony in a task of its own: it goes on when the command line that ordered it dies."""
        task = asyncio.get_running_loop().create_task(ceremony)
        self._ceremonies.add(task)
        task.add_done_callback(self._ceremony_over)
        group = await asyncio.shield(task)
        return encode_group(group).SerializeToString()

    def _ceremony_over(self, task: asyncio.Task[Group]) -> None:
        self._ceremonies.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning(
                "the order to hold a ceremony failed: %s",
                error,
                exc_info=None if isinstance(error, CollectiveError) else error,
            )

    async def _share(self, _request: Message, _metadata: Metadata, _who: Caller) -> bytes:
        raise SecretStays("deprecated function: exporting the Share to a remote client is not supported")

    async def _private_key(self, _request: Message, _metadata: Metadata, _who: Caller) -> bytes:
        raise SecretStays("deprecated function: exporting the PrivateKey to a remote client is not supported")

    async def _public_key(self, _request: Message, metadata: Metadata, _who: Caller) -> bytes:
        key = await self._handlers.public_key(metadata)
        return control_pb2.PublicKeyResponse(pubKey=key, metadata=self._reply(metadata)).SerializeToString()

    async def _chain_info(self, _request: Message, metadata: Metadata, _who: Caller) -> bytes:
        info = await self._handlers.chain_info(metadata)
        return encode_chain_info(info, self._handlers.reply_metadata(metadata)).SerializeToString()

    async def _group_file(self, _request: Message, metadata: Metadata, _who: Caller) -> bytes:
        return encode_group(await self._handlers.group_file(metadata)).SerializeToString()

    async def _shutdown(self, _request: Message, metadata: Metadata, _who: Caller) -> bytes:
        await self._handlers.shutdown(metadata)
        reply = encode_metadata(Metadata(OUR_VERSION, metadata.beacon_id))
        return control_pb2.ShutdownResponse(metadata=reply).SerializeToString()

    async def _load_beacon(self, _request: Message, metadata: Metadata, _who: Caller) -> bytes:
        await self._handlers.load_beacon(metadata)
        return control_pb2.LoadBeaconResponse(metadata=_OURS).SerializeToString()

    async def _backup(self, request: control_pb2.BackupDBRequest, metadata: Metadata, _who: Caller) -> bytes:
        at_most(request.output_file.encode(), MAX_PATH_BYTES, "path of the backup")
        await self._handlers.backup(metadata, Path(request.output_file))
        return control_pb2.BackupDBResponse(metadata=self._reply(metadata)).SerializeToString()

    async def _remote_status(self, request: control_pb2.RemoteStatusRequest, metadata: Metadata, _who: Caller) -> bytes:
        statuses = await self._handlers.remote_status(metadata, decode_remote_status_request(request))
        return encode_remote_status(RemoteStatus(statuses)).SerializeToString()

    def _follow(
        self, request: control_pb2.StartSyncRequest, metadata: Metadata, _who: Caller
    ) -> AsyncIterator[Iterable[bytes]]:
        progress = self._handlers.start_follow(metadata, decode_follow(request))
        return _each(progress, lambda step: self._progress(step, metadata))

    def _check(
        self, request: control_pb2.StartSyncRequest, metadata: Metadata, _who: Caller
    ) -> AsyncIterator[Iterable[bytes]]:
        progress = self._handlers.start_check(metadata, decode_follow(request))
        return _each(progress, lambda step: self._progress(step, metadata))

    def _watch(
        self, request: watch_pb2.WatchRequest, _metadata: Metadata, _who: Caller
    ) -> AsyncIterator[Iterable[bytes]]:
        moments = self._handlers.ceremony(Metadata(beacon_id=request.beacon_id))
        return _each(moments, lambda moment: encode_progress(moment).SerializeToString())

    async def _abandon(self, request: watch_pb2.AbandonRequest, _metadata: Metadata, _who: Caller) -> bytes:
        at_most(request.reason.encode(), MAX_REASON_BYTES, "reason")
        await self._handlers.abandon(Metadata(beacon_id=request.beacon_id), request.reason)
        return watch_pb2.AbandonResponse().SerializeToString()

    def _progress(self, step: SyncProgress, metadata: Metadata) -> bytes:
        return encode_sync_progress(step, self._handlers.reply_metadata(metadata)).SerializeToString()

    def _reply(self, metadata: Metadata) -> common_pb2.Metadata:
        return encode_metadata(self._handlers.reply_metadata(metadata))


async def _each(items: AsyncIterator[ItemT], encode: Callable[[ItemT], bytes]) -> AsyncIterator[Iterable[bytes]]:
    """The items encoded, one a batch; closes the source when the caller leaves."""
    try:
        async for item in items:
            yield (encode(item),)
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
