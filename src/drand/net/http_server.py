"""The public HTTP port: aiohttp around the plain routes.

Bounded here: connections, idle or half-sent ones (KEEPALIVE_S), sizes of headers, held requests, how long a reader may
take for an answer (TAKE_S), and the log lines that all of these can bring about. Requests of one address are limited by
a Watch, where one is given; connections of one address are a reverse proxy's business.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from aiohttp.web_request import BaseRequest

from collective.clock import Clock
from collective.errors import CollectiveError
from drand.errors import BeaconNotFound
from drand.net.addresses import HostPort
from drand.net.descriptors import MAX_HTTP
from drand.net.http_chain import GATHERS_AT_ONCE, Events, Gather, Hold
from drand.net.http_content import (
    CONDITIONAL_HEADERS,
    OTHER_HEADERS,
    PLAIN_TEXT,
    Answer,
    Headers,
    Request,
    http_date,
)
from drand.net.http_events import BAD_HANDSHAKE, DEFAULT_MAX_READERS, EventHub, shakes_hands
from drand.net.http_routes import BACKEND_FAILED, HttpRoutes
from drand.net.http_watch import Watch
from drand.net.listening import cannot_listen
from drand.net.log_budget import LogBudget
from drand.net.tls import ServerTls
from drand.net.tls_listener import TlsListener

KEEPALIVE_S = 75  # longer than the 60 s of a usual proxy, so that the proxy closes first
MAX_HEADER_BYTES = 8190
MAX_HEADERS = 64
MAX_BODY_BYTES = 1 << 16  # we read no body; more than this of one is never buffered
DEFAULT_MAX_HELD = 10_000
BACKLOG = 1024
SHUTDOWN_S = 2.0
TAKE_S = 30.0  # for a reader to take an answer
TAKE_BYTES_A_SECOND = 4096  # and for what is left of a long one at this rate
CLIENT_LEFT = 499  # nginx's number for a request whose client did not wait for the answer
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_AUTHORITY = re.compile(r"^[a-zA-Z]+://[^/?]*")

log = logging.getLogger(__name__)
log.addFilter(LogBudget())


class _ClientFaults(logging.Filter):
    """Keeps what is wrong with a client's bytes out of aiohttp's log: it would write them down, at length."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record tells of a fault of ours."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError | RequestPayloadError | ConnectionError | TimeoutError)


_parser_log = logging.getLogger(f"{__name__}.aiohttp")
_parser_log.addFilter(_ClientFaults())
_parser_log.addFilter(LogBudget())


class HttpServer:
    """Serves `routes` on one TCP port until `stop`."""

    def __init__(
        self,
        routes: HttpRoutes,
        clock: Clock,
        *,
        max_held: int = DEFAULT_MAX_HELD,
        max_connections: int = MAX_HTTP,
        max_readers: int = DEFAULT_MAX_READERS,
        answered: Callable[[str, int], None] = lambda method, status: None,
        watch: Watch | None = None,
    ) -> None:
        """`answered` hears of every request's method and the status of its answer; `watch` may refuse it first."""
        self.routes = routes
        self.events = EventHub(max_readers)
        self._watch = watch
        self._answered = answered
        self._clock = clock
        self._max_held = max_held
        self._max_connections = max_connections
        self._held: set[asyncio.Timeout] = set()
        self._gathering = asyncio.Semaphore(GATHERS_AT_ONCE)
        self._runner: web.ServerRunner | None = None
        self._tls_listener: TlsListener | None = None

    @property
    def held(self) -> int:
        """How many requests wait for a round now."""
        return len(self._held)

    async def start(self, address: HostPort, tls: ServerTls | None = None, *, shared: bool = False) -> HostPort:
        """Listen; returns the address with the port really used. Raises PortTaken or CannotListen.

        shared   other processes of ours listen on the same port; the kernel deals the connections out (SO_REUSEPORT)
        """
        context = tls.ssl_context() if tls is not None else None
        server = _BoundedServer(
            self._handle,
            self._max_connections,
            self._clock,
            access_log=None,
            logger=_parser_log,
            auto_decompress=False,  # a body is drained unread, not inflated
            keepalive_timeout=KEEPALIVE_S,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
            read_bufsize=MAX_BODY_BYTES,
        )
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            if context is None:
                await web.TCPSite(
                    runner, address.host or None, address.port, backlog=BACKLOG, reuse_port=shared
                ).start()
                port = int(runner.addresses[0][1])
            else:
                self._tls_listener = TlsListener(server, context, server.has_room)
                port = await self._tls_listener.start(address, backlog=BACKLOG, shared=shared)
        except OSError as error:
            await runner.cleanup()
            raise cannot_listen("HTTP", address, error) from error
        self._runner = runner
        return HostPort(address.host, port)

    async def stop(self) -> None:
        """Stop accepting, send held requests away, let answers in progress finish, close."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            for site in list(runner.sites):
                await site.stop()
            if self._tls_listener is not None:
                await self._tls_listener.stop()
            await self.events.close()
            for wait in self._held:
                if not wait.expired():
                    wait.reschedule(asyncio.get_running_loop().time())
            await runner.cleanup()

    async def _handle(self, received: BaseRequest) -> web.StreamResponse:
        if self._watch is not None:
            return await self._watched(self._watch, received)
        outcome = await self._outcome(received)
        if isinstance(outcome, Events):
            status = 200
            try:
                response = await self.events.serve(received, outcome)
                status = response.status
                return response
            finally:  # most streams end because the reader leaves, which cancels this
                self._answered(received.method, status)
        self._answered(received.method, outcome.status)
        return _Response(outcome, self._clock.now())

    async def _watched(self, watch: Watch, received: BaseRequest) -> web.StreamResponse:
        """The same where rates are limited, and what happens is written down."""
        began = self._clock.now()
        watch.in_flight += 1
        status, size, streamed = 500, 0, False
        try:
            outcome = watch.refusal(received, began) or await self._outcome(received)
            if isinstance(outcome, Events):
                status, streamed = 200, True
                response = await self.events.serve(received, outcome)
                status = response.status
                return response
            status, size = outcome.status, len(outcome.body)
            return _Response(outcome, self._clock.now())
        except asyncio.CancelledError:
            status = status if streamed else CLIENT_LEFT
            raise
        finally:
            watch.in_flight -= 1
            watch.finished(received, status, size, began, self._clock.now(), timed=not streamed)
            self._answered(received.method, status)

    async def _outcome(self, received: BaseRequest) -> Answer | Events:
        request = _read(received)
        try:
            outcome = self.routes.answer(request, self._clock.now())
            if isinstance(outcome, Hold | Gather):
                return await self._hold(outcome, request)
            return BAD_HANDSHAKE if isinstance(outcome, Events) and not shakes_hands(received) else outcome
        except CollectiveError as error:
            log.warning("HTTP %s %s failed: %s", request.method, request.path[:200], error)
            return BACKEND_FAILED

    async def _hold(self, hold: Hold | Gather, request: Request) -> Answer:
        if len(self._held) >= self._max_held or self._runner is None:
            return hold.expired
        wait = asyncio.timeout(hold.until_unix_s - self._clock.now())
        self._held.add(wait)
        try:
            async with wait, self._gathering if isinstance(hold, Gather) else contextlib.nullcontext():
                return await hold.answer(request, self._clock.now)
        except (TimeoutError, BeaconNotFound):
            return hold.expired
        finally:
            self._held.discard(wait)


class _Connection(RequestHandler):
    """aiohttp's connection; bytes that are no HTTP it would repeat to their sender, and name its version."""

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)  # writes it down; raises where an answer has begun
        assert isinstance(self._manager, _BoundedServer)
        text = f"{status} {_PHRASES.get(status, 'Error')}".encode()
        return _Response(Answer(status, PLAIN_TEXT, text), self._manager.clock.now(), last=True)


class _BoundedServer(web.Server):
    """aiohttp's server; a connection beyond the bound is closed at once."""

    def __init__(
        self,
        handler: Callable[[BaseRequest], Awaitable[web.StreamResponse]],
        most: int,
        clock: Clock,
        **settings: Any,
    ) -> None:
        super().__init__(handler, handler_cancellation=True)  # a client that leaves frees its held request
        self.clock = clock
        self._most = most
        self._count = 0
        self._settings = settings

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._settings)

    def has_room(self, beside: int) -> bool:
        """Whether there may be one more connection, beside these that are not made yet."""
        return self._count + beside < self._most

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._count += 1
        # Whatever the kernel does not take at once is waited for, by `_Response`: 0 would never let TLS go on.
        transport.set_write_buffer_limits(high=1, low=0)
        if self._count > self._most:
            transport.abort()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._count -= 1


class _Response(web.StreamResponse):
    """An Answer, written in one piece.

    aiohttp would build a multi-dict of headers and look at chunking, compression and cookies for each request: a
    quarter of the time that a request costs. An Answer has a known length and none of these.
    """

    def __init__(self, answer: Answer, now: float, *, last: bool = False) -> None:
        """`last`: the connection is closed after it, whatever the client wishes."""
        super().__init__(status=answer.status)
        self._answer = answer
        self._now = now
        self._last = last
        self._stays_open = True

    @property
    def keep_alive(self) -> bool:
        """The connection is used again."""
        return self._stays_open

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter:
        """Send everything; a reader that is slow to take it holds up its own connection only, and not without end."""
        writer = request.writer
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        self._stays_open = bool(request.keep_alive) and not self._last
        transport.write(self._encoded(request))
        if left := transport.get_write_buffer_size():  # seldom: most answers go to the kernel at once
            try:
                async with asyncio.timeout(TAKE_S + left / TAKE_BYTES_A_SECOND):
                    await writer.drain()
            except TimeoutError as error:
                transport.abort()  # what is left is thrown away: `close` would wait for it to be taken
                raise ConnectionResetError("the client does not take its answer") from error
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be written."""

    def _encoded(self, request: BaseRequest) -> bytes:
        answer, minor = self._answer, min(request.version.minor, 1)
        connection = "" if minor and self._stays_open else "keep-alive" if self._stays_open else "close"
        head = _head(minor, answer.status, answer.headers, int(self._now), len(answer.body), connection)
        return head if request.method == "HEAD" else head + answer.body


@lru_cache(maxsize=256)
def _head(minor: int, status: int, headers: Headers, now: int, length: int, connection: str) -> bytes:
    """All before the body: the same for everybody who asks for one thing in one second. `connection` "": as usual."""
    lines = [f"HTTP/1.{minor} {status} {_PHRASES[status]}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines.append(f"Date: {http_date(now)}")
    if status not in (204, 304):  # RFC 9110, 8.6
        lines.append(f"Content-Length: {length}")
    if connection:
        lines.append(f"Connection: {connection}")
    return "\r\n".join((*lines, "\r\n")).encode("latin-1")


def _read(received: BaseRequest) -> Request:
    target = received.raw_path
    if not target.startswith("/"):
        target = _AUTHORITY.sub("", target, count=1)
    sent = received.headers
    conditions: Headers = ()
    for name in CONDITIONAL_HEADERS:
        if name in sent:
            conditions = (*conditions, (name, sent[name]))
    path, _, query = target.partition("?")
    if path == "/" or path.startswith("/v2/"):
        conditions = (*conditions, *((name, sent[name]) for name in OTHER_HEADERS if name in sent))
    return Request(received.method, path, conditions, query)
