"""What the peer port and the control socket share: exact method tables, limits, and errors as gRPC statuses.

Deny by default: a port answers the methods of its tables and nothing else. Messages are decoded here and not by
gRPC, so that bytes that do not decode are answered as what they are. The request is read here, too, though each method
has but one: gRPC would wait for it without end (drand.net.admission).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from collective.errors import CollectiveError, Malformed
from drand.model.packets import Metadata, Origin
from drand.net.addresses import PROXY_HEADERS, caller
from drand.net.admission import Admission, origin_of
from drand.net.errors import IncompatibleVersion, TooBusy
from drand.net.log_budget import LogBudget
from drand.net.routing import require_compatible
from drand.wire.metadata import HasMetadata, metadata_of
from drand.wire.protobuf import MAX_MESSAGE_BYTES, parsed

MAX_CONCURRENT_STREAMS = 1024  # calls at once on one connection; a client that begins more has them sent back
MAX_CONCURRENT_RPCS = 2048  # calls at once on one port; more are answered RESOURCE_EXHAUSTED
MAX_BACKLOG = 1024  # more that may stand at the door: to be answered so takes a turn of the loop, too
MAX_HEADER_BYTES = 16 * 1024
MAX_ERROR_TEXT = 1024  # it travels as a header
HINT_KEY = "drand-hint-bin"  # trailing metadata of the control socket; gRPC sends any bytes under names in -bin
KEEPALIVE_MS = 60_000  # a caller that vanished without a word is noticed after these two
KEEPALIVE_TIMEOUT_MS = 20_000
MAX_IDLE_MS = 10 * 60_000  # a connection without calls is closed; peers reconnect by themselves
HANDSHAKE_MS = 20_000  # for TLS and the first words of HTTP/2
READ_AHEAD_BYTES = 256 * 1024  # taken from one connection at a time; by default up to 4 MiB
WRITE_PATIENCE_S = 60.0  # a stream whose reader takes nothing for so long is ended

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.so_reuseport", 0),  # on by default: a second daemon would take half of the calls, silently
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_HEADER_BYTES),
    ("grpc.max_concurrent_streams", MAX_CONCURRENT_STREAMS),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.max_connection_idle_ms", MAX_IDLE_MS),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    ("grpc.server.max_pending_requests", MAX_CONCURRENT_RPCS + MAX_BACKLOG),  # beyond, some are cancelled at random
    ("grpc.server.max_pending_requests_hard_limit", 2 * MAX_CONCURRENT_RPCS + MAX_BACKLOG),
    ("grpc.experimental.tcp_max_read_chunk_size", READ_AHEAD_BYTES),
)

RequestT = TypeVar("RequestT", bound=Message)
Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Trailer: TypeAlias = tuple[tuple[str, bytes], ...]
RawHandler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"

log = logging.getLogger(__name__)
log.addFilter(LogBudget())


class _CallersWhoLeft(logging.Filter):
    """Keeps out of gRPC's log that an answer could not be sent, or that a port was closed: neither is a fault."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record tells of something else."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, grpc.aio.InternalError | asyncio.CancelledError)


_grpc_log = logging.getLogger("grpc._cython.cygrpc")
_grpc_log.addFilter(_CallersWhoLeft())
_grpc_log.addFilter(LogBudget())


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `sender` as log lines name it, `origin` as quotas count it."""

    sender: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Unary(Generic[RequestT]):
    """A method with one answer. `answer` gets the decoded request and returns the encoded response."""

    name: str
    request: type[RequestT]
    answer: Callable[[RequestT, Metadata, Caller], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Stream(Generic[RequestT]):
    """A method with a stream of answers, in batches of encoded responses."""

    name: str
    request: type[RequestT]
    answers: Callable[[RequestT, Metadata, Caller], AsyncIterator[Iterable[bytes]]]


Method: TypeAlias = Unary[Any] | Stream[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a port treats its callers.

    admission       the doors of the port
    version_check   refuse those that announce another version than ours speaks to
    hints           send the advice of an error with it: to our operator, never to strangers
    """

    admission: Admission
    version_check: bool
    hints: bool


def service(
    name: str, methods: Iterable[Method], admission: Admission, *, version_check: bool, hints: bool = False
) -> grpc.GenericRpcHandler:
    """The handler of one service, answering exactly `methods`; what the flags mean is in Manners."""
    manners = Manners(admission=admission, version_check=version_check, hints=hints)
    table = {method.name: _handler(f"{name}/{method.name}", method, manners) for method in methods}
    return grpc.method_handlers_generic_handler(name, table)


def _handler(path: str, method: Method, manners: Manners) -> RawHandler:
    """To gRPC every method takes a stream of requests, so that it leaves the first one to us."""
    match method:
        case Unary():
            return grpc.stream_unary_rpc_method_handler(_unary(path, method, manners))
        case Stream():
            return grpc.stream_stream_rpc_method_handler(_stream(path, method, manners))


def _unary(path: str, method: Unary[RequestT], manners: Manners) -> Callable[[object, Context], Awaitable[bytes]]:
    async def serve(_requests: object, context: Context) -> bytes:
        try:
            who = who_calls(context)
            with manners.admission.place(who.origin.network):
                request = await _request(method.request, context, manners.admission)
                metadata = carried(request)
                if manners.version_check:
                    require_compatible(metadata)
                return await method.answer(request, metadata, who)
        except Exception as error:  # noqa: BLE001  # a stranger's call never ends the server; _status logs what is ours
            await _refuse(path, error, context, manners)
        return b""  # to a caller who has left

    return serve


def _stream(path: str, method: Stream[RequestT], manners: Manners) -> Callable[[object, Context], Awaitable[None]]:
    async def serve(_requests: object, context: Context) -> None:
        try:
            who = who_calls(context)
            with manners.admission.place(who.origin.network):
                request = await _request(method.request, context, manners.admission)
                await _write_all(method.answers(request, carried(request), who), context)
        except Exception as error:  # noqa: BLE001  # as above
            await _refuse(path, error, context, manners)

    return serve


async def _request(kind: type[RequestT], context: Context, admission: Admission) -> RequestT:
    """The one request of a call; raises Malformed, and TooBusy when it does not come."""
    raw: object = await admission.unread.request(context.read())
    if not isinstance(raw, bytes):
        raise Malformed("a call without a request")
    return parsed(kind, raw)


async def _refuse(path: str, error: Exception, context: Context, manners: Manners) -> None:
    """Answer with the error's status; a caller who has left is told nothing."""
    if isinstance(error, grpc.aio.InternalError):  # gRPC's word for a message that could not be sent
        log.debug("the caller of %s left before it was answered", path)
        return
    code, text = _status(path, error)
    trailer = hint_trailer(error) if manners.hints else ()
    try:
        await context.abort(code, text, trailer)
    except grpc.aio.InternalError:
        log.debug("the caller of %s left before it was refused", path)


async def _write_all(batches: AsyncIterator[Iterable[bytes]], context: Context) -> None:
    """Write batch after batch; the next one is fetched when the reader took this one, so memory stays bounded."""
    try:
        async for batch in batches:
            async with asyncio.timeout(WRITE_PATIENCE_S) as patience:
                for encoded in batch:
                    await context.write(encoded)
                    patience.reschedule(asyncio.get_running_loop().time() + WRITE_PATIENCE_S)
    except TimeoutError as error:
        raise TooBusy(f"the reader took nothing for {WRITE_PATIENCE_S:.0f} s") from error
    finally:
        close = getattr(batches, "aclose", None)
        if close is not None:
            await close()


def carried(request: Message) -> Metadata:
    """The metadata of a request; an empty one where the message has no such field."""
    if "metadata" not in request.DESCRIPTOR.fields_by_name:
        return Metadata()
    holder: HasMetadata = request  # type: ignore[assignment]  # just looked
    return metadata_of(holder)


def who_calls(context: Context) -> Caller:
    """The caller of a running call."""
    headers = context.invocation_metadata() or ()
    named = {str(key): value for key, value in headers if key in PROXY_HEADERS and isinstance(value, str)}
    return _caller(context.peer(), named) if named else _plain_caller(context.peer())


def _caller(peer: str, named: Mapping[str, str]) -> Caller:
    return Caller(caller(peer, named), origin_of(peer, named))


@lru_cache(maxsize=4096)
def _plain_caller(peer: str) -> Caller:
    """Whom no proxy names: one connection makes many calls."""
    return _caller(peer, {})


def _status(path: str, error: Exception) -> tuple[grpc.StatusCode, str]:
    """Status and text for an error: ours are answered in their own words, others are logged and not shown."""
    text = str(error)[:MAX_ERROR_TEXT]
    match error:
        case IncompatibleVersion():
            return grpc.StatusCode.PERMISSION_DENIED, text
        case TooBusy():
            return grpc.StatusCode.RESOURCE_EXHAUSTED, text
        case CollectiveError():
            return grpc.StatusCode.UNKNOWN, text  # as v1.5.11 answers every error
        case _:
            log.error("internal error while answering %s", path, exc_info=error)
            return grpc.StatusCode.INTERNAL, "internal error"


def hint_trailer(error: Exception) -> Trailer:
    """What an operator can try, as trailing metadata: UTF-8 under HINT_KEY; none where there is no hint."""
    advice = error.advice if isinstance(error, CollectiveError) else ""
    return ((HINT_KEY, advice[:MAX_ERROR_TEXT].encode()),) if advice else ()


def hint_in(trailer: Iterable[tuple[str, str | bytes]]) -> str:
    """The hint in an answer's trailing metadata, "" for none."""
    found = (value for key, value in trailer if key == HINT_KEY and isinstance(value, bytes))
    return next(found, b"")[: 4 * MAX_ERROR_TEXT].decode(errors="replace")


def new_server(services: Iterable[grpc.GenericRpcHandler], *, max_connections: int = 0) -> grpc.aio.Server:
    """A server with our limits, answering exactly `services`.

    max_connections   one more is closed at once; 0: as many as there may be
    """
    options = [*SERVER_OPTIONS]
    if max_connections:
        options.append(("grpc.max_allowed_incoming_connections", max_connections))
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MAX_CONCURRENT_RPCS + MAX_BACKLOG)
    server.add_generic_rpc_handlers(tuple(services))
    return server
