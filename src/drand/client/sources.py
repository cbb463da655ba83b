"""What a source of beacons is, and how its address is written."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from collective.clock import Clock
from collective.errors import BadSetting
from drand.model.chain import Beacon, ChainInfo, Round


class Source(Protocol):
    """Somebody who has beacons. Nothing that a source says is believed before it is verified.

    All methods raise only `drand.client.errors.SourceFault` and its descendants, naming this source, and every answer
    is bounded in bytes and in time. A source is used from one event loop.
    """

    name: str  # what errors and provenance call it

    @property
    def clock_ahead_s(self) -> float | None:
        """How far this machine's clock is ahead of the source's, from its last answer; None when it does not say."""
        ...

    async def info(self, chain_hash: bytes) -> ChainInfo:
        """The chain information that has this hash, recomputed."""
        ...

    async def beacon(self, chain: ChainInfo, round_: Round | None) -> Beacon:
        """One round, or the latest, not verified."""
        ...

    def batches(self, chain: ChainInfo, first: Round, last: Round) -> AsyncGenerator[list[Beacon], None]:
        """All rounds from `first` to `last`, ascending, in pieces of at most MAX_BATCH, not verified."""
        ...

    def events(self, chain: ChainInfo) -> AsyncGenerator[Beacon, None] | None:
        """New rounds as they appear, until the connection ends; None where the source cannot push."""
        ...

    async def close(self) -> None:
        """Give back connections and files; a second close does nothing."""
        ...


MAX_BATCH = 1000  # beacons in one piece of `Source.batches`
Address: TypeAlias = "str | Path | Source"

_FORMS = "https://host, http://host, grpc://host:port, grpcs://host:port (TLS), or the path of a drand.sqlite"


def open_source(address: Address, *, timeout_s: float, clock: Clock | None = None) -> Source:
    """The source at an address; one that is a source already is returned. Raises BadSetting.

    Nothing is connected or opened before the first question.
    """
    if not isinstance(address, str | Path):
        return address
    text = str(address)
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("http", "https"):
        from drand.client.http_source import HttpSource

        return HttpSource(text, timeout_s=timeout_s, clock=clock)
    if separator and scheme in ("grpc", "grpcs"):
        from drand.client.grpc_source import GrpcSource

        return GrpcSource(rest, tls=scheme == "grpcs", timeout_s=timeout_s)
    if isinstance(address, Path) or text.endswith(".sqlite"):
        from drand.client.store_source import StoreSource

        return StoreSource(Path(address))
    raise BadSetting(f"{text!r} is no source of beacons", hint=f"a source is written as {_FORMS}")


def open_sources(addresses: Sequence[Address], *, timeout_s: float, clock: Clock | None = None) -> dict[str, Source]:
    """All sources by name, in order; raises BadSetting for none at all or for one given twice."""
    sources = [open_source(address, timeout_s=timeout_s, clock=clock) for address in addresses]
    if not sources:
        raise BadSetting("no source of beacons is given", hint=f"give one or more: {_FORMS}")
    named = {source.name: source for source in sources}
    if len(named) != len(sources):
        raise BadSetting("a source is given twice")
    return named
