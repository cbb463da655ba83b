"""Feeding one chain: upstreams are watched, what they say is verified, kept, and handed on."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collective.clock import Clock, monotonic_s
from collective.errors import CollectiveError
from drand.client.async_client import AsyncClient
from drand.client.errors import ClientError, SourceFault, SourceLied
from drand.client.observing import Observer
from drand.model.chain import Beacon, ChainInfo, Round
from drand.relay.chains import NobodyHasIt, worded
from drand.relay.verified import HEAD_LOOKS, Shelf, Verdicts
from drand.store.archivist import Archivist
from drand.store.sqlite import open_reader

TAIL_EVERY_S = 0.02  # how often a node's store is looked at; a look costs about ten microseconds
RETRY_S = 2.0
FETCHES_AT_ONCE = 32  # past rounds asked for upstream at the same time
HISTORY_PIECE = 10_000  # rounds fetched in one go, the oldest missing ones first
TELL_EVERY_S = 60.0  # how far a long history has come

log = logging.getLogger("drand.relay")


class NamedFaults(Observer):
    """Writes down who failed and who lied; a source that keeps failing in the same way is named once."""

    def __init__(self, chain: str, lied: Callable[[str], None]) -> None:
        self._chain = chain
        self._lied = lied
        self._failing: dict[str, str] = {}  # source -> kind of its last failure

    def answered(self, source: str, took_s: float) -> None:
        """A good answer."""
        if self._failing.pop(source, None):
            log.info("%s answers again for chain %s", source, self._chain)

    def failed(self, source: str, error: SourceFault, took_s: float) -> None:
        """A source failed; lies are always named."""
        kind = type(error).__name__
        if isinstance(error, SourceLied):
            self._lied(source)
            log.error("LIE: %s is dropped for chain %s: %s: %s", source, self._chain, kind, error.what)
        elif self._failing.get(source) != kind:
            log.warning("%s fails for chain %s: %s: %s", source, self._chain, kind, error.what)
        self._failing[source] = kind


@dataclass(frozen=True, slots=True)
class StoreFollowed:
    """A node's store that is read on while the node writes it, and what was found about its rows."""

    path: Path
    verdicts: Verdicts


class ChainFeeder:
    """The upstreams of one chain.

    client     the network upstreams; None: only a store
    store      a node's store on this machine; None: only the network
    publish    takes each verified new beacon, in the order of rounds
    """

    def __init__(
        self,
        info: ChainInfo,
        client: AsyncClient | None,
        store: StoreFollowed | None,
        archive: Archivist | None,
        clock: Clock,
        publish: Callable[[Beacon], object],
    ) -> None:
        self.info = info
        self._client = client
        self._store = store
        self._archive = archive
        self._clock = clock
        self._publish = publish
        self._hash = info.hash()
        self._fetching = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []
        self._said: dict[str, str] = {}  # what was complained about last, until it goes on

    def start(self, head: Round | None, *, history: bool) -> None:
        """Begin to follow the chain; `head` is the last round that is known already."""
        if self._client is not None:
            self._spawn(self._follow(self._client, head))
            if history and self._archive is not None:
                self._spawn(self._fill(self._client, self._archive))
        if self._store is not None:
            self._spawn(self._tail(self._store, head))

    async def look(self) -> None:
        """Take the latest round, so that a relay that begins does not serve an old one as the latest."""
        if self._client is None:
            return
        try:
            self._take((await self._client.latest()).plain)
        except CollectiveError as error:
            self._complain("chain", error)

    async def close(self) -> None:
        """Stop, and give connections back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def fetch(self, round_: Round) -> Beacon:
        """A past round from upstream, verified and kept; raises NobodyHasIt."""
        if self._client is None:
            raise NobodyHasIt(f"round {round_} is not stored, and there is nobody to ask")
        async with self._fetching:
            try:
                beacon = (await self._client.get(round_)).plain
            except ClientError as error:
                raise NobodyHasIt(f"round {round_}: {error}") from error
        self._keep(beacon)
        return beacon

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    def _complain(self, what: str, error: CollectiveError) -> None:
        """Once, however often it happens: an upstream may be away for days."""
        text = worded(error)
        if self._said.get(what) != text:
            self._said[what] = text
            log.warning("%s %s: %s", what, self._hash.hex()[:16], text)

    def _take(self, beacon: Beacon) -> None:
        self._said.clear()
        self._keep(beacon)
        self._publish(beacon)

    def _keep(self, beacon: Beacon) -> None:
        """Archive, in a while: neither a lock nor a full disk stops what can be served from memory."""
        if self._archive is not None:
            self._archive.keep(self._hash, (beacon,))

    async def _follow(self, client: AsyncClient, head: Round | None) -> None:
        """Each new round of the network after `head`, without end."""
        while True:
            try:
                if head is None:
                    latest = (await client.latest()).plain
                    self._take(latest)
                    head = latest.round
                async with aclosing(client.watch(head + 1)) as beacons:
                    async for beacon in beacons:
                        self._take(beacon.plain)
                        head = beacon.round
            except CollectiveError as error:
                self._complain("chain", error)
            await asyncio.sleep(RETRY_S)

    async def _tail(self, followed: StoreFollowed, head: Round | None) -> None:
        """Each round after `head` that a node writes into its store, verified as if a stranger had said it."""
        while True:
            try:
                store = open_reader(followed.path)
                try:
                    while True:
                        head, is_stuck = self._read_on(store, followed.verdicts, head)
                        await asyncio.sleep(RETRY_S if is_stuck else TAIL_EVERY_S)
                finally:
                    store.close()
            except CollectiveError as error:
                self._complain(f"{followed.path} of chain", error)
            await asyncio.sleep(RETRY_S)

    def _read_on(self, store: Shelf, verdicts: Verdicts, head: Round | None) -> tuple[Round | None, bool]:
        """Publish the rounds after `head` that are due; returns the new head, and whether there are only bad ones.

        A row that does not verify is left out, as if it were absent: the node may mend it, and goes on behind it.
        """
        due = self.info.schedule.current_round(self._clock.now())
        last = store.last(Round(due + 1))
        if last is None or (head is not None and last.round <= head):
            return head, False
        begin = max(1, last.round - HEAD_LOOKS + 1) if head is None else head + 1
        rows = store.range(Round(begin), min(HISTORY_PIECE, last.round - begin + 1))
        good = [one for one in rows if verdicts.passes(one)]
        for beacon in good:
            self._said.clear()
            self._publish(beacon)
        return (good[-1].round, False) if good else (head, bool(rows))

    async def _fill(self, client: AsyncClient, archive: Archivist) -> None:
        """Past rounds into the archive, from round 1 on, until there is no gap."""
        at, told_s = Round(1), monotonic_s()
        while True:
            try:
                now_due = self.info.schedule.current_round(self._clock.now()) - 1
                at = await asyncio.to_thread(self._first_missing, archive, at)
                if at > now_due:
                    log.info("chain %s: the archive has every round up to %d", self._hash.hex()[:16], now_due)
                    return
                end = min(now_due, at + HISTORY_PIECE - 1)
                async with aclosing(client.batches(at, end)) as batches:
                    async for batch in batches:
                        await archive.put(self._hash, [one.plain for one in batch])
                        await archive.written()  # nothing more is fetched than the disk takes
                        if monotonic_s() - told_s >= TELL_EVERY_S:
                            told_s, done = monotonic_s(), batch[-1].round
                            log.info("chain %s: history up to round %d of %d", self._hash.hex()[:16], done, now_due)
            except CollectiveError as error:
                self._complain("history of chain", error)
                await asyncio.sleep(RETRY_S)

    def _first_missing(self, archive: Archivist, first: Round) -> Round:
        at = first
        while found := archive.run(self._hash, at, 1000):
            at = Round(found[-1].round + 1)
        return at
