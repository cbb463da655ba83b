"""Streams of new rounds to many readers: server-sent events and WebSocket.

A beacon is encoded once and written to every reader from one place, so thousands of readers cost no task switch each.
A reader that does not read is dropped when MAX_BEHIND_BYTES wait for it; its kernel buffer is small for that reason.
Source: WHATWG HTML, server-sent events; RFC 6455, section 5.2 (a server's frames are not masked: the same for all).
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import WSMsgType, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from collective.errors import CollectiveError
from drand.model.chain import Beacon, Round
from drand.net.http_chain import SERVER, Events, ServedChain

DEFAULT_MAX_READERS = 10_000
MAX_BEHIND_BYTES = 32 * 1024  # waiting in this process for one reader
SEND_BUFFER_BYTES = 16 * 1024  # waiting in the kernel for one reader; Linux doubles it
REPLAY_ROUNDS = 1000  # sent at most to a reader that comes back
HEARTBEAT_S = 15.0  # proxies close what is silent for longer, usually after a minute
AT_ONCE = 256  # readers written to before other work gets its turn
MAX_MESSAGE_BYTES = 1024  # a WebSocket reader has nothing to say
RETRY_MS = 1000  # what a browser waits before it connects again

_HEAD = (
    "HTTP/1.1 200 OK\r\n"
    f"Server: {SERVER}\r\n"
    "Content-Type: text/event-stream\r\n"
    "Access-Control-Allow-Origin: *\r\n"
    "Cache-Control: no-store\r\n"
    "X-Accel-Buffering: no\r\n"
    "Connection: close\r\n"
    f"\r\nretry: {RETRY_MS}\n\n"
).encode()
_FULL = (
    "HTTP/1.1 503 Service Unavailable\r\n"
    f"Server: {SERVER}\r\n"
    "Content-Type: application/json\r\n"
    "Access-Control-Allow-Origin: *\r\n"
    "Cache-Control: no-store\r\n"
    "Retry-After: 5\r\n"
    "Connection: close\r\n"
    "\r\n"
    '{"error":"as many readers as this server takes are here already"}\n'
).encode()

log = logging.getLogger(__name__)


def sse_frame(chain: ServedChain, beacon: Beacon) -> bytes:
    """One event: its id is the round, its data the v2 JSON."""
    return b"id: %d\ndata: %b\n\n" % (beacon.round, chain.body_v2(beacon)[0])


def websocket_frame(chain: ServedChain, beacon: Beacon) -> bytes:
    """One unmasked text frame with the v2 JSON."""
    body = chain.body_v2(beacon)[0]
    length = bytes([len(body)]) if len(body) < 126 else b"\x7e" + len(body).to_bytes(2, "big")
    return b"\x81" + length + body


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a beacon and a sign of life look on the wire."""

    frame: Callable[[ServedChain, Beacon], bytes]
    heartbeat: bytes


SSE: Final = Dialect(sse_frame, b": \n\n")
WEBSOCKET: Final = Dialect(websocket_frame, b"\x89\x00")  # a ping without a body


@dataclass(slots=True, eq=False)
class Reader:
    """One connection that is told of new rounds."""

    transport: asyncio.Transport
    dialect: Dialect
    gone: "asyncio.Future[None]"

    def write(self, data: bytes) -> bool:
        """Send; False when the reader is too slow and was dropped, or has left."""
        if self.transport.is_closing():
            self.leave()
            return False
        if self.transport.get_write_buffer_size() > MAX_BEHIND_BYTES:
            self.transport.abort()
            self.leave()
            return False
        self.transport.write(data)
        return True

    def leave(self) -> None:
        """Let the request that serves this reader end."""
        if not self.gone.done():
            self.gone.set_result(None)


@dataclass(slots=True, eq=False)
class Channel:
    """The readers of one chain, and the task that tells them."""

    chain: ServedChain
    readers: set[Reader] = field(default_factory=set)
    pump: "asyncio.Task[None] | None" = None


class EventHub:
    """All streams of one HTTP port."""

    def __init__(self, max_readers: int = DEFAULT_MAX_READERS) -> None:
        self._max = max_readers
        self._channels: dict[ServedChain, Channel] = {}
        self._count = 0
        self._beat: asyncio.Task[None] | None = None
        self.dropped = 0  # readers that were too slow, since the start

    @property
    def readers(self) -> int:
        """How many streams are open."""
        return self._count

    async def serve(self, request: BaseRequest, events: Events) -> web.StreamResponse:
        """Stream until the reader leaves, lags too far behind, or the server stops."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        if self._count >= self._max:
            transport.write(_FULL)
            return _Sent()
        _bound_kernel_memory(transport)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            transport.write(_HEAD if request.method != "HEAD" else _HEAD.partition(b"retry")[0])
            if request.method != "HEAD":
                await self._stream(transport, SSE, events)
            return _Sent()
        return await self._upgraded(request, events)

    async def close(self) -> None:
        """Send every reader away."""
        tasks = [channel.pump for channel in self._channels.values()] + [self._beat]
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)
        for channel in self._channels.values():
            for reader in channel.readers:
                reader.transport.close()
                reader.leave()

    async def _upgraded(self, request: BaseRequest, events: Events) -> web.StreamResponse:
        """A WebSocket: aiohttp shakes hands and answers pings and closings; the beacons are written here."""
        socket_ = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE_BYTES, timeout=1.0)
        await socket_.prepare(request)
        transport = request.transport
        if transport is None:
            return socket_
        streaming = asyncio.ensure_future(self._stream(transport, WEBSOCKET, events))
        try:
            while (await socket_.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                pass
        finally:
            streaming.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await streaming
        return socket_

    async def _stream(self, transport: asyncio.Transport, dialect: Dialect, events: Events) -> None:
        reader = Reader(transport, dialect, asyncio.get_running_loop().create_future())
        channel = self._channel(events.chain)
        # Between this and the wait below nothing is awaited: no round is missed, none comes twice.
        if events.first is not None and not self._replay(reader, events.chain, events.first):
            return
        channel.readers.add(reader)
        self._count += 1
        try:
            await reader.gone
        finally:
            self._count -= 1
            channel.readers.discard(reader)
            if not channel.readers:
                self._forget(channel)

    def _replay(self, reader: Reader, chain: ServedChain, first: Round) -> bool:
        """What is stored from `first` on, the last REPLAY_ROUNDS of it at most."""
        last = chain.backend.last()
        if last is None or last.round < first:
            return True
        begin = max(first, Round(last.round - REPLAY_ROUNDS + 1), Round(1))
        try:
            beacons = chain.backend.range(begin, last.round - begin + 1)
        except CollectiveError as error:
            log.warning("cannot replay rounds from %d: %s", begin, error)
            reader.transport.abort()
            return False
        reader.transport.write(b"".join(reader.dialect.frame(chain, beacon) for beacon in beacons))
        return True

    def _channel(self, chain: ServedChain) -> Channel:
        channel = self._channels.get(chain)
        if channel is None:
            channel = self._channels[chain] = Channel(chain)
            channel.pump = asyncio.create_task(self._pump(channel))
        if self._beat is None:
            self._beat = asyncio.create_task(self._heartbeat())
        return channel

    def _forget(self, channel: Channel) -> None:
        if self._channels.get(channel.chain) is channel:
            del self._channels[channel.chain]
        if channel.pump is not None and channel.pump is not asyncio.current_task():
            channel.pump.cancel()

    async def _pump(self, channel: Channel) -> None:
        """Tell the readers of one chain of every new round, until the chain ends."""
        try:
            with channel.chain.backend.subscribe() as news:
                while True:
                    beacon = await news.next()
                    frames = {dialect: dialect.frame(channel.chain, beacon) for dialect in (SSE, WEBSOCKET)}
                    await self._tell(channel, lambda reader, frames=frames: frames[reader.dialect])  # type: ignore[misc]
        except CollectiveError as error:
            log.info("the stream of chain %s ends: %s", channel.chain.hash_hex, error)
        finally:
            for reader in channel.readers:
                reader.transport.close()
                reader.leave()
            self._forget(channel)

    async def _tell(self, channel: Channel, data: Callable[[Reader], bytes]) -> None:
        for place, reader in enumerate(list(channel.readers), 1):
            if not reader.write(data(reader)):
                self.dropped += 1
                channel.readers.discard(reader)
            if place % AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for channel in list(self._channels.values()):
                await self._tell(channel, lambda reader: reader.dialect.heartbeat)


class _Sent(web.StreamResponse):
    """An answer that was written to the transport already; the connection is closed after it."""

    @property
    def keep_alive(self) -> bool:
        """Never."""
        return False

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter:
        """Nothing is left to be sent."""
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be sent."""


def _bound_kernel_memory(transport: asyncio.Transport) -> None:
    """A small send buffer: what a reader does not take waits here, where it is counted."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # a Unix socket, or a platform without it: the reader costs more memory
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
