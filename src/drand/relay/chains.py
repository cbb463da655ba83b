"""One chain as a relay holds it: the last rounds in memory, others on a shelf, the rest asked for upstream."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from collective.clock import Clock
from collective.errors import CollectiveError
from drand.client.shared import Shared
from drand.daemon.feed import BeaconFeed, Subscription
from drand.errors import BeaconNotFound
from drand.model.chain import Beacon, ChainInfo, Round
from drand.net.http_chain import remember
from drand.relay.verified import Lied, Verdicts, VerifyingShelf
from drand.store.archive import ArchiveLocked, BeaconArchive
from drand.store.archivist import Archivist
from drand.store.sqlite import open_reader
from drand.verifying.verifiers import Verifiers

RECENT_ROUNDS = 1024  # kept in memory, about 0.4 kB each
MAX_RANGE = 1000  # rounds given out at once: a page


class ArchiveShelf:
    """The rounds of one chain in an archive that other chains share. None are there while a lock keeps readers out."""

    def __init__(self, archive: BeaconArchive | Archivist, chain_hash: bytes) -> None:
        self._archive = archive
        self._chain = chain_hash

    def last(self, below: Round | None = None) -> Beacon | None:
        """The beacon of the highest round (below `below`), whatever is missing before it."""
        with suppress(ArchiveLocked):
            round_ = self._archive.highest(self._chain, below)
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

    shelf    past rounds, verified as they are read; None: only those in memory
    fetch    asks upstream for a past round that is on no shelf; raises BeaconNotFound and other CollectiveErrors
    """

    fetches = True

    def __init__(self, info: ChainInfo, shelf: VerifyingShelf | None, fetch: Fetch) -> None:
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
        """Consecutive rounds from `first` on: those in memory need no shelf; of others those that were verified."""
        limit = min(limit, MAX_RANGE)
        found = self._run(first, limit, {})
        if self._shelf is None or self._is_all(found, limit):
            return found
        at = Round(first + len(found))
        return found + self._run(at, limit - len(found), self._shelf.passed(at, limit - len(found)))

    async def stored(self, first: Round, limit: int) -> Sequence[Beacon]:
        """The same, after those on the shelf were verified that were not yet."""
        limit = min(limit, MAX_RANGE)
        found = self.range(first, limit)
        if self._shelf is None or self._is_all(found, limit):
            return found
        await self._shelf.verify(Round(first + len(found)), limit - len(found))
        return self.range(first, limit)

    def _is_all(self, found: Sequence[Beacon], limit: int) -> bool:
        """Whether nothing can follow: as many as are wanted, or up to the last one."""
        return len(found) == limit or (bool(found) and self._head is not None and found[-1].round == self._head.round)

    def _run(self, first: Round, limit: int, read: Mapping[Round, Beacon]) -> list[Beacon]:
        """The consecutive rounds from `first` on in memory, and among those that were read from the shelf."""
        found: list[Beacon] = []
        while len(found) < limit:
            at = Round(first + len(found))
            beacon = self._recent.get(at) or self._past.get(at) or read.get(at)
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


def open_shelf(
    info: ChainInfo,
    store: Path | None,
    archive: BeaconArchive | Archivist | None,
    verifiers: Verifiers,
    clock: Clock,
    lied: Lied,
) -> VerifyingShelf | None:
    """Where a chain's past rounds are read: a node's store before an archive. Raises StoreFailed."""
    if store is not None:
        return VerifyingShelf(open_reader(store), info, Verdicts(info, str(store), lied), verifiers, clock)
    if archive is None:
        return None
    shelf = ArchiveShelf(archive, info.hash())
    return VerifyingShelf(shelf, info, Verdicts(info, str(archive.path), lied), verifiers, clock)


def worded(error: CollectiveError) -> str:
    """An error and what to try, on one line."""
    return f"{error} ({error.advice})" if error.advice else str(error)
