"""One chain as a relay holds it: the last rounds in memory, others on a shelf, the rest asked for upstream."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from collective.errors import CollectiveError
from drand.client.shared import Shared
from drand.daemon.feed import BeaconFeed, Subscription
from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, ChainInfo, Round
from drand.net.http_chain import remember
from drand.store.archive import ArchiveLocked, BeaconArchive
from drand.store.archivist import Archivist
from drand.store.sqlite import open_reader

RECENT_ROUNDS = 1024  # kept in memory, about 0.4 kB each
MAX_RANGE = 1000  # rounds given out at once: a page


class Shelf(Protocol):
    """Where a relay reads past rounds: a node's `BeaconStore`, an archive; whoever keeps beacons can be one."""

    def last(self) -> Beacon | None:
        """The beacon of the highest round; None when there is none."""
        ...

    def get(self, round_: Round) -> Beacon | None:
        """One beacon; None when it is not there."""
        ...

    def range(self, first: Round, limit: int) -> Sequence[Beacon]:
        """The consecutive rounds from `first` on, at most `limit`."""
        ...


class ArchiveShelf:
    """The rounds of one chain in an archive that other chains share. None are there while a lock keeps readers out."""

    def __init__(self, archive: BeaconArchive | Archivist, chain_hash: bytes) -> None:
        self._archive = archive
        self._chain = chain_hash

    def last(self) -> Beacon | None:
        """The beacon of the highest round, whatever is missing before it."""
        with suppress(ArchiveLocked):
            round_ = self._archive.highest(self._chain)
            return None if round_ is None else self._archive.get(self._chain, round_)
        return None

    def get(self, round_: Round) -> Beacon | None:
        """One beacon."""
        with suppress(ArchiveLocked):
            return self._archive.get(self._chain, round_)
        return None

    def range(self, first: Round, limit: int) -> Sequence[Beacon]:
        """The consecutive rounds from `first` on."""
        with suppress(ArchiveLocked):
            return self._archive.run(self._chain, first, limit)
        return ()


Fetch = Callable[[Round], Awaitable[Beacon]]


class RelayedChain:
    """What the HTTP routes serve (drand.net.http_chain.ChainBackend).

    shelf    past rounds; None: only those in memory
    fetch    asks upstream for a past round that is on no shelf; raises BeaconNotFound and other CollectiveErrors
    """

    fetches = True

    def __init__(self, info: ChainInfo, shelf: Shelf | None, fetch: Fetch) -> None:
        self.feed = BeaconFeed()
        self._info = info
        self._shelf = shelf
        self._fetch = fetch
        self._recent: dict[Round, Beacon] = {}
        self._past: dict[Round, Beacon] = {}  # fetched lately; they push no recent one out
        self._asking: Shared[Beacon] = Shared()
        self._head = shelf.last() if shelf is not None else None

    def info(self) -> ChainInfo:
        """What clients verify with."""
        return self._info

    def last(self) -> Beacon | None:
        """The highest round that is known here."""
        return self._head

    def get(self, round_: Round) -> Beacon | None:
        """One round from memory or from the shelf."""
        found = self._recent.get(round_) or self._past.get(round_)
        return self._shelf.get(round_) if found is None and self._shelf is not None else found

    def range(self, first: Round, limit: int) -> Sequence[Beacon]:
        """Consecutive rounds from `first` on: those in memory need no shelf; else from the shelf, then from memory."""
        limit = min(limit, MAX_RANGE)
        found = self._remembered(first, limit)
        if (
            self._shelf is None
            or len(found) == limit
            or (found and self._head is not None and found[-1].round == self._head.round)
        ):
            return found
        found = list(self._shelf.range(first, limit)) or found
        return found + self._remembered(Round(first + len(found)), limit - len(found))

    def _remembered(self, first: Round, limit: int) -> list[Beacon]:
        found: list[Beacon] = []
        while len(found) < limit:
            at = Round(first + len(found))
            beacon = self._recent.get(at) or self._past.get(at)
            if beacon is None:
                break
            found.append(beacon)
        return found

    async def wait(self, round_: Round) -> Beacon:
        """A round as soon as it is there; a past one that is not here is fetched."""
        found = self.get(round_)
        if found is not None:
            return found
        if self._head is None or round_ > self._head.round:
            return await self.feed.wait(round_)
        return await self._asking.get(round_, lambda: self._fetched(round_))

    async def _fetched(self, round_: Round) -> Beacon:
        beacon = await self._fetch(round_)
        self.keep(beacon)
        return beacon

    def subscribe(self) -> Subscription:
        """Every round from now on."""
        return self.feed.subscribe()

    def contributions(self) -> None:
        """A relay does not know who signed."""
        return

    def keep(self, beacon: Beacon) -> None:
        """Have a verified beacon at hand."""
        is_past = self._head is not None and beacon.round <= self._head.round - RECENT_ROUNDS
        kept = self._past if is_past else self._recent
        if beacon.round not in kept:
            remember(kept, beacon.round, beacon, RECENT_ROUNDS)

    def publish(self, beacon: Beacon) -> bool:
        """A verified beacon came in; those who wait are told. False when it is no news."""
        if self._head is not None and beacon.round <= self._head.round:
            return False
        self.keep(beacon)
        self._head = beacon
        self.feed.publish(beacon)
        return True


class NobodyHasIt(BeaconNotFound):
    """A past round that no upstream gave."""


def open_shelf(store: Path | None, archive: BeaconArchive | Archivist | None, chain_hash: bytes) -> Shelf | None:
    """Where a chain's past rounds are read: a node's store before an archive. Raises StoreFailed."""
    if store is not None:
        return open_reader(store)
    return ArchiveShelf(archive, chain_hash) if archive is not None else None


def worded(error: CollectiveError) -> str:
    """An error and what to try, on one line."""
    return f"{error} ({error.advice})" if error.advice else str(error)
