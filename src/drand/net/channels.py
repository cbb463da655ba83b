"""Channels to peers: how they are opened, how many are kept, and what their errors mean."""

import asyncio
import contextlib
from collections import OrderedDict
from typing import NamedTuple

import grpc

from collective.errors import CollectiveError
from drand.model.group import Peer
from drand.net.errors import MethodMissing, PeerRefused, PeerUnreachable
from drand.net.grpc_reasons import plain_reason
from drand.net.namesakes import Roots
from drand.wire.protobuf import MAX_MESSAGE_BYTES

MAX_CHANNELS = 2048  # twice the largest group; the one unused for longest is closed
CLOSE_GRACE_S = 5.0
LONGEST_BACKOFF_S = 2.0  # between two attempts to connect

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),  # gRPC would take http_proxy for peers on loopback too
    ("grpc.enable_retries", 0),  # whether to say a thing again is the protocol's to decide
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    # The default of two minutes would cost rounds after a peer's restart.
    ("grpc.max_reconnect_backoff_ms", int(LONGEST_BACKOFF_S * 1000)),
)


class _Opened(NamedTuple):
    channel: grpc.aio.Channel
    credentials: grpc.ChannelCredentials | None


class Channels:
    """One open channel for each peer, bounded. Roots are read once, when the first TLS peer is called."""

    def __init__(self, roots: bytes | None = None, *, most: int = MAX_CHANNELS) -> None:
        self._roots = Roots(roots)
        self._most = most
        self._open: OrderedDict[Peer, _Opened] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._credentials: dict[bytes | None, grpc.ChannelCredentials] = {}  # by roots: one, or one for each namesake

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, peer: Peer) -> bool:
        return peer in self._open

    async def to(self, peer: Peer) -> grpc.aio.Channel:
        """The channel to `peer`, opened when there is none; connecting happens in the background.

        raises  PeerUnreachable as `credentials` does
        """
        credentials = await self._wanted(peer)
        opened = self._open.get(peer)
        if opened is not None and opened.credentials is credentials:
            self._open.move_to_end(peer)
            return opened.channel
        if opened is not None:
            self._close_later(self._open.pop(peer).channel)
        if credentials is not None:
            channel = grpc.aio.secure_channel(target(peer), credentials, options=CHANNEL_OPTIONS)
        else:
            channel = grpc.aio.insecure_channel(target(peer), options=CHANNEL_OPTIONS)
        self._open[peer] = _Opened(channel, credentials)
        if len(self._open) > self._most:
            _, oldest = self._open.popitem(last=False)
            self._close_later(oldest.channel)
        return channel

    async def _wanted(self, peer: Peer) -> grpc.ChannelCredentials | None:
        """Those of the open channel; where it fails, and there are namesakes, the peer may show another one by now."""
        if not peer.tls:
            return None
        opened = self._open.get(peer)
        if opened is None:
            return await self.credentials(peer)
        if self._roots.namesakes and opened.channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            with contextlib.suppress(PeerUnreachable):  # what waits on the channel is not given up for that
                return await self.credentials(peer)
            opened = self._open.get(peer, opened)
        return opened.credentials

    async def credentials(self, peer: Peer) -> grpc.ChannelCredentials:
        """What a TLS peer is checked against: its name is the host part of its address.

        raises  PeerUnreachable where trusted certificates share a name, and the peer shows none (drand.net.namesakes)
        """
        roots = await self._roots.for_peer(peer)
        if roots not in self._credentials:
            self._credentials[roots] = grpc.ssl_channel_credentials(root_certificates=roots)
        return self._credentials[roots]

    async def close(self) -> None:
        """Close every channel; calls in progress are cancelled."""
        channels, self._open = [opened.channel for opened in self._open.values()], OrderedDict()
        await asyncio.gather(*self._closing, *(channel.close() for channel in channels))

    def _close_later(self, channel: grpc.aio.Channel) -> None:
        task = asyncio.get_running_loop().create_task(channel.close(CLOSE_GRACE_S))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def target(peer: Peer) -> str:
    """What gRPC is told to dial: a name or an IP address, never a socket of this machine (`unix:...`).

    gRPC takes what stands before a colon for a kind of address where it knows one of that name, and whom a peer's
    address names is the peer's to say.
    """
    return f"dns:///{peer.address}"


async def settle(channel: grpc.aio.Channel) -> None:
    """Where the last attempt to connect failed, wait for the next one: a call now would only repeat that old failure.

    A peer that was restarted meanwhile is reached then; one that is still away fails as before.
    """
    if channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(channel.channel_ready(), LONGEST_BACKOFF_S * 1.25)  # gRPC adds 20 % of chance


def peer_error(peer: Peer, what: str, code: grpc.StatusCode, details: str | None) -> CollectiveError:
    """The error for a call of `what` that ended with a gRPC status: unreachable, or refused in the peer's own words."""
    text = (details or code.name)[:1024]
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return PeerUnreachable(f"{peer.address} did not answer {what} in time")
        case grpc.StatusCode.UNAVAILABLE:
            reason, hint = plain_reason(text)
            return PeerUnreachable(f"{peer.address} is unreachable: {reason}", hint=hint)
        case grpc.StatusCode.CANCELLED:
            return PeerUnreachable(f"the call of {what} to {peer.address} was cancelled")
        case grpc.StatusCode.UNIMPLEMENTED:
            return MethodMissing(f"{peer.address} does not know {what}", code=code.name)
        case _:
            return PeerRefused(text, code=code.name)
