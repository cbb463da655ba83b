"""Streams of new rounds to many readers: server-sent events and WebSocket.

A beacon is encoded once and written to every reader from one place, so thousands of readers cost no task switch each.
A reader that does not read is dropped when MAX_BEHIND_BYTES wait for it; its kernel buffer is small for that reason.
What a reader that comes back has missed is sent in pieces, as it takes them: the same bound holds for it.
Source: WHATWG HTML, server-sent events; RFC 6455, section 5.2 (a server's frames are not masked: the same for all).
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiohttp import WSMsgType, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from collective.errors import CollectiveError
from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, Round
from drand.net.http_chain import GATHERS_AT_ONCE, SERVER, ChainBackend, Events, News, ServedChain, fetched
from drand.net.http_v2 import failed

DEFAULT_MAX_READERS = 10_000
MAX_BEHIND_BYTES = 32 * 1024  # waiting in this process for one reader
SEND_BUFFER_BYTES = 16 * 1024  # waiting in the kernel for one reader; Linux doubles it
REPLAY_ROUNDS = 1000  # sent at most to a reader that comes back
REPLAY_PIECE_ROUNDS = 32  # of them in one write, at most 15 kB
REPLAY_PATIENCE_S = 30.0  # for a reader to take enough of what it missed for the next piece
HEARTBEAT_S = 15.0  # of silence, then a sign of life: proxies close what is silent, usually after a minute
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

BAD_HANDSHAKE = failed(400, "no WebSocket handshake that RFC 6455 knows", ("Sec-WebSocket-Version", "13"))

log = logging.getLogger(__name__)


def _wants_websocket(request: BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def shakes_hands(request: BaseRequest) -> bool:
    """Whether a request for a stream can be answered with one: it asks for no WebSocket, or as one asks for it.

    aiohttp would answer a bad handshake by itself, in words that repeat the client's and name its version.
    """
    return not _wants_websocket(request) or bool(web.WebSocketResponse().can_prepare(request))


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
    """One connection that is told of new rounds.

    told   the highest round that it has, or does not want: it is sent those above it
    """

    transport: asyncio.Transport
    dialect: Dialect
    gone: "asyncio.Future[None]"
    told: int = -1

    @property
    def is_behind(self) -> bool:
        """Too much waits for it: it does not read."""
        return self.transport.get_write_buffer_size() > MAX_BEHIND_BYTES

    def write(self, data: bytes) -> None:
        """Send, unless the reader has left."""
        if self.transport.is_closing():
            self.leave()
        else:
            self.transport.write(data)

    def drop(self) -> None:
        """Hang up without waiting for what was not read."""
        self.transport.abort()
        self.leave()

    def leave(self) -> None:
        """Let the request that serves this reader end."""
        if not self.gone.done():
            self.gone.set_result(None)


@dataclass(slots=True, eq=False)
class Channel:
    """The readers of one chain, and the task that tells them.

    news         every round from the moment on when the channel was made
    subscribed   closed when the last reader has left
    """

    chain: ServedChain
    news: News
    subscribed: contextlib.ExitStack
    readers: set[Reader] = field(default_factory=set)
    pump: "asyncio.Task[None] | None" = None


class EventHub:
    """All streams of one HTTP port."""

    def __init__(self, max_readers: int = DEFAULT_MAX_READERS) -> None:
        self._max = max_readers
        self._channels: dict[ServedChain, Channel] = {}
        self._places = 0  # taken by readers, and by those that are still told what they missed
        self._count = 0
        self._fetching = asyncio.Semaphore(GATHERS_AT_ONCE)
        self.dropped = 0  # readers that were too slow, since the start

    @property
    def readers(self) -> int:
        """How many streams are told of each new round."""
        return self._count

    async def serve(self, request: BaseRequest, events: Events) -> web.StreamResponse:
        """Stream until the reader leaves, lags too far behind, or the server stops."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        if self._places >= self._max:
            transport.write(_FULL)
            return _Sent(status=503)
        self._places += 1
        try:
            return await self._served(request, transport, events)
        finally:
            self._places -= 1

    async def _served(self, request: BaseRequest, transport: asyncio.Transport, events: Events) -> web.StreamResponse:
        _bound_memory(transport)
        if _wants_websocket(request):
            return await self._upgraded(request, events)
        transport.write(_HEAD if request.method != "HEAD" else _HEAD.partition(b"retry")[0])
        if request.method != "HEAD":
            await self._stream(request, transport, SSE, events)
        return _Sent()

    async def close(self) -> None:
        """Send every reader away."""
        pumps = [channel.pump for channel in self._channels.values() if channel.pump is not None]
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for channel in self._channels.values():
            channel.subscribed.close()
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
        streaming = asyncio.ensure_future(self._stream(request, transport, WEBSOCKET, events))
        try:
            while (await socket_.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                pass
        finally:
            streaming.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await streaming
        return socket_

    async def _stream(
        self, request: BaseRequest, transport: asyncio.Transport, dialect: Dialect, events: Events
    ) -> None:
        reader = Reader(transport, dialect, asyncio.get_running_loop().create_future())
        if events.first is not None:
            reader.told = events.first - 1
            if not await self._replayed(request, reader, events.chain):
                reader.drop()
                return
        # Since the look for the last round nothing was awaited, and the channel listens when it is there: no round is
        # missed. What it heard before the reader came may be sent already: `told` keeps that from coming twice.
        try:
            channel = self._channel(events.chain)
        except CollectiveError as error:
            log.info("no stream of chain %s: %s", events.chain.hash_hex, error)
            transport.close()
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

    async def _replayed(self, request: BaseRequest, reader: Reader, chain: ServedChain) -> bool:
        """Send what is stored and was not told (REPLAY_ROUNDS at most), as it is taken; False: the reader must go."""
        at = Round(max(reader.told + 1, 1))
        try:
            last = chain.backend.last()
            if last is not None:
                at = max(at, Round(last.round - REPLAY_ROUNDS + 1))
            while last is not None and last.round >= at:
                count = min(last.round - at + 1, REPLAY_PIECE_ROUNDS)
                beacons = chain.backend.range(at, count)
                if not beacons and chain.backend.fetches:
                    with contextlib.suppress(BeaconNotFound):
                        beacons = await self._fetched(chain.backend, at, Round(at + count - 1))
                if not beacons:  # a gap: what follows it is not what the reader comes back for
                    at, last = Round(last.round + 1), chain.backend.last()
                    continue
                reader.write(b"".join(reader.dialect.frame(chain, beacon) for beacon in beacons))
                reader.told = beacons[-1].round
                async with asyncio.timeout(REPLAY_PATIENCE_S):
                    await request.writer.drain()
                at = Round(beacons[-1].round + 1)
                last = chain.backend.last()
        except CollectiveError as error:
            log.warning("cannot replay rounds from %d: %s", at, error)
            return False
        except TimeoutError:
            self.dropped += 1
            return False
        return True

    async def _fetched(self, backend: ChainBackend, first: Round, last: Round) -> Sequence[Beacon]:
        async with self._fetching:  # those who come back together mostly lack the same rounds
            return await fetched(backend, first, last)

    def _channel(self, chain: ServedChain) -> Channel:
        channel = self._channels.get(chain)
        if channel is None:
            subscribed = contextlib.ExitStack()
            news = subscribed.enter_context(chain.backend.subscribe())
            channel = self._channels[chain] = Channel(chain, news, subscribed)
            channel.pump = asyncio.create_task(self._pump(channel))
        return channel

    def _forget(self, channel: Channel) -> None:
        if self._channels.get(channel.chain) is channel:
            del self._channels[channel.chain]
        channel.subscribed.close()
        if channel.pump is not None and channel.pump is not asyncio.current_task():
            channel.pump.cancel()

    async def _pump(self, channel: Channel) -> None:
        """Tell the readers of one chain of every new round until the chain ends; in between, that we are alive."""
        try:
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        beacon = await channel.news.next()
                except TimeoutError:
                    await self._tell(channel, {dialect: dialect.heartbeat for dialect in (SSE, WEBSOCKET)}, None)
                    continue
                frames = {dialect: dialect.frame(channel.chain, beacon) for dialect in (SSE, WEBSOCKET)}
                await self._tell(channel, frames, beacon.round)
        except CollectiveError as error:
            log.info("the stream of chain %s ends: %s", channel.chain.hash_hex, error)
        finally:
            for reader in channel.readers:
                reader.transport.close()
                reader.leave()
            self._forget(channel)

    async def _tell(self, channel: Channel, frames: Mapping[Dialect, bytes], round_: Round | None) -> None:
        """Write to every reader; a round only to those that have not been told of it or a later one."""
        for place, reader in enumerate(list(channel.readers), 1):
            if reader.is_behind:
                self.dropped += 1
                channel.readers.discard(reader)
                reader.drop()
            elif round_ is None or round_ > reader.told:
                reader.write(frames[reader.dialect])
                reader.told = reader.told if round_ is None else round_
            if place % AT_ONCE == 0:
                await asyncio.sleep(0)


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


def _bound_memory(transport: asyncio.Transport) -> None:
    """A small send buffer in the kernel: what a reader does not take waits here, where it is counted."""
    transport.set_write_buffer_limits(high=MAX_BEHIND_BYTES // 2)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # a Unix socket, or a platform without it: the reader costs more memory
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
