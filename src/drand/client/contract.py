"""What a source of beacons promises: the contract that each kind of source keeps, and the client relies on."""

from collections.abc import AsyncGenerator
from typing import Protocol

from drand.model.chain import Beacon, ChainInfo, Round

MAX_BATCH = 1000  # beacons in one piece of `Source.batches`


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
