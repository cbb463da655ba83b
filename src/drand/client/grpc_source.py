"""Beacons over gRPC, from a node: drand.Public for single rounds, drand.Protocol/SyncChain for many."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import TypeVar

from collective.errors import CollectiveError, Malformed
from drand.client.contract import MAX_BATCH
from drand.client.errors import (
    ChainNotServed,
    MalformedAnswer,
    RoundMissing,
    SourceFault,
    SourceTimeout,
    SourceUnreachable,
    WrongChain,
    WrongRound,
    source_closed,
)
from drand.client.times import require_span
from drand.errors import InvalidChainInfo
from drand.model.chain import Beacon, ChainInfo, Round
from drand.model.group import Peer
from drand.model.packets import OUR_VERSION, Metadata, SyncRequest
from drand.net.addresses import parse_host_port
from drand.net.errors import OtherRound, PeerRefused, PeerUnreachable
from drand.net.peer_client import PeerClient
from drand.net.sync_reader import SyncReader

T = TypeVar("T")


class GrpcSource:
    """A drand node's private port.

    address   host:port; raises MalformedAddress. BadSetting for a timeout that would not end
    roots     PEM certificates to trust for TLS instead of the system's
    """

    def __init__(self, address: str, *, tls: bool, timeout_s: float = 10.0, roots: bytes | None = None) -> None:
        require_span(timeout_s=timeout_s)
        self._peer = Peer(str(parse_host_port(address)), tls)
        self.name = f"{'grpcs' if tls else 'grpc'}://{self._peer.address}"
        self._timeout_s = timeout_s
        self._roots = roots
        self._client: PeerClient | None = None
        self._streams: set[SyncReader] = set()  # open ones: they have channels of their own
        self._closed = False
        self._proved: set[bytes] = set()

    def __repr__(self) -> str:
        return f"<GrpcSource {self.name}>"

    @property
    def clock_ahead_s(self) -> float | None:
        """gRPC tells no time."""
        return None

    async def info(self, chain_hash: bytes) -> ChainInfo:
        """The chain information with this hash."""
        try:
            info = await self._bounded(self._open().chain_info(self._peer, Metadata(OUR_VERSION, "", chain_hash)))
        except RoundMissing as refused:
            raise ChainNotServed(self.name, refused.what) from refused
        if info.hash() != chain_hash:
            raise WrongChain(self.name, f"gave the information of chain {info.hash().hex()}")
        self._proved.add(chain_hash)
        return info

    async def beacon(self, chain: ChainInfo, round_: Round | None) -> Beacon:
        """One round, or the latest."""
        metadata = await self._about(chain)
        return await self._bounded(self._open().public_rand(self._peer, round_ or Round(0), metadata))

    async def batches(self, chain: ChainInfo, first: Round, last: Round) -> AsyncGenerator[list[Beacon], None]:
        """A SyncChain stream, until `last` is there."""
        await self._about(chain)
        waiting: list[Beacon] = []
        expected = int(first)
        async for beacon in self._stream(SyncRequest(first, chain.beacon_id), self._timeout_s):
            if beacon.round != expected:
                raise WrongRound(self.name, f"sent round {beacon.round} where round {expected} was due")
            waiting.append(beacon)
            expected += 1
            if len(waiting) == MAX_BATCH or beacon.round == last:
                yield waiting
                waiting = []
            if beacon.round == last:
                return
        raise RoundMissing(self.name, f"ended the stream before round {expected}")

    def events(self, chain: ChainInfo) -> AsyncGenerator[Beacon, None] | None:
        """A SyncChain stream of new rounds only."""
        return self._stream(SyncRequest(Round(0), chain.beacon_id), max(30.0, 3.0 * chain.period_s))

    async def close(self) -> None:
        """Close the channel and what streams there are, and open none any more."""
        self._closed = True
        await asyncio.gather(*(stream.close() for stream in self._streams))
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _open(self) -> PeerClient:
        if self._closed:
            raise source_closed(self.name)
        if self._client is None:
            self._client = PeerClient(self._roots)
        return self._client

    async def _about(self, chain: ChainInfo) -> Metadata:
        """What rides on a request; the node has shown once that it serves the chain."""
        chain_hash = chain.hash()
        if chain_hash not in self._proved:
            await self.info(chain_hash)
        return Metadata(OUR_VERSION, chain.beacon_id, chain_hash)

    async def _stream(self, request: SyncRequest, patience_s: float) -> AsyncGenerator[Beacon, None]:
        stream = self._open().sync(self._peer, request, patience_s=patience_s)
        self._streams.add(stream)
        try:
            async with stream as batches:
                async for batch in batches:
                    for synced in batch:
                        yield synced.beacon
        except CollectiveError as error:
            raise self._named(error) from error
        finally:
            self._streams.discard(stream)

    async def _bounded(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call
        except TimeoutError as error:
            raise SourceTimeout(self.name, f"no answer within {self._timeout_s:g} s") from error
        except CollectiveError as error:
            raise self._named(error) from error

    def _named(self, error: CollectiveError) -> SourceFault:
        """The error in the client's words."""
        match error:
            case SourceFault():
                return error
            case PeerUnreachable():
                return SourceUnreachable(self.name, str(error), hint=error.advice)
            case PeerRefused():  # v1.5.11 says UNKNOWN for a round that it lacks
                return RoundMissing(self.name, f"refused ({error.code}): {error.text[:200]}")
            case OtherRound():
                return WrongRound(self.name, str(error))
            case InvalidChainInfo():
                return WrongChain(self.name, str(error))
            case Malformed():
                return MalformedAnswer(self.name, str(error))
            case _:
                return SourceUnreachable(self.name, str(error), hint=error.advice)
