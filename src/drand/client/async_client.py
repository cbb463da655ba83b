"""The client itself, for asyncio. `drand.client.sync_client` is the same for everybody else."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType

from collective.clock import Clock, SystemClock
from collective.errors import BadSetting
from drand.client.beacon import Provenance, VerifiedBeacon
from drand.client.bulk import Batch, Bulk
from drand.client.chains import PUBLIC_SOURCES, public_chain
from drand.client.contract import Source
from drand.client.errors import (
    ClientClosed,
    ClientError,
    ForgedBeacon,
    NoSourceAnswered,
    RoundTooEarly,
    SourceBehind,
    SourceFault,
    WrongRound,
)
from drand.client.freshness import explain_stale, require_fresh, require_no_older, still_latest
from drand.client.judge import Judge
from drand.client.memory import Memory
from drand.client.observing import Observer
from drand.client.pool import Health, Policy, Pool
from drand.client.racing import Runner
from drand.client.shared import Shared
from drand.client.sources import Address, open_sources
from drand.client.times import require_span, round_at, time_of, unix_s, whole_round
from drand.client.trusted_chain import named_chain, question_of_trust
from drand.client.watching import Watch
from drand.model.chain import MAX_ROUND, ChainInfo, Round
from drand.store.archive import ArchiveLocked
from drand.store.archivist import Archivist
from drand.store.contract import StoreFailed
from drand.verifying.verifiers import Verifiers

DEFAULT_CHAIN = "quicknet"
DEFAULT_TIMEOUT_S = 10.0  # one request to one source
DEFAULT_DEADLINE_S = 25.0  # one question, all sources together
DEFAULT_REMEMBERED = 1024  # rounds kept in memory, about half a kilobyte each


class AsyncClient:
    """Verified rounds of one chain, from one or several sources.

    chain        a built-in name ("quicknet", "default", "evmnet", "fastnet"), a chain hash, or a ChainInfo
    sources      addresses (see `drand.client.sources.open_source`) or Source objects, the preferred first; one may
                 stand by itself; none: the League of Entropy's public servers, for its chains
    archive      a file that keeps every round ever verified, and is asked before the sources. It is written in a
                 thread, so that a lock or a slow disk delays no answer; one that may not be written is only read
    full_chain   in a chained scheme: give no round out whose whole chain back to the genesis was not followed; needs
                 an archive. Without effect in unchained schemes, whose rounds stand alone
    policy       racing, hedging, back-off
    observer     hooks for metrics
    verifiers    how many worker processes may verify long ranges of rounds; None: as many as there are cores to use, up
                 to four; 0: none. Ranges of fewer than two thousand rounds start none, and they end after a minute
                 without work. Or `Verifiers` that several clients share, which their owner closes
    raises       BadSetting for an unknown chain or source

    Use it in one event loop, with `async with` or `close`. Nothing is connected before the first question. Everything
    that methods raise descends from ClientError, but for BadSetting and StoreFailed (the archive's disk).
    """

    def __init__(
        self,
        chain: str | bytes | ChainInfo = DEFAULT_CHAIN,
        sources: Sequence[Address] | Path = (),
        *,
        archive: Path | str | None = None,
        full_chain: bool = False,
        policy: Policy | None = None,
        observer: Observer | None = None,
        verifiers: int | Verifiers | None = None,
        remember: int = DEFAULT_REMEMBERED,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        deadline_s: float = DEFAULT_DEADLINE_S,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if full_chain and archive is None:
            raise BadSetting("following the whole chain needs an archive", hint="give archive=FILE")
        require_span(timeout_s=timeout_s, deadline_s=deadline_s)
        self.chain_hash, info = named_chain(chain)
        chosen = sources or (PUBLIC_SOURCES if public_chain(self.chain_hash.hex()) is not None else ())
        self.observer = observer or Observer()
        self.clock = clock or SystemClock()
        opened = open_sources(chosen, timeout_s=timeout_s, clock=self.clock)
        self.sleep = sleep
        self.runner = Runner(opened, Pool(list(opened), policy), self.observer, deadline_s=deadline_s)
        self._judge = None if info is None else Judge(info)
        self._trusting: Shared[Judge] = Shared()
        self._walking = asyncio.Lock()
        self._memory = Memory(remember)
        self._asking: Shared[VerifiedBeacon] = Shared()
        self._verifiers = verifiers if isinstance(verifiers, Verifiers) else Verifiers(verifiers)
        self._own_verifiers = self._verifiers is not verifiers
        self._loop: asyncio.AbstractEventLoop | None = None
        self._archive = None if archive is None else Archivist(Path(archive), self._archive_failed)
        self._full_chain = full_chain

    def __repr__(self) -> str:
        """Its chain and its sources."""
        return described(self)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back connections and files, after what waits for the archive is written; a second close does nothing.

        While another process has locked the archive, that is tried for five seconds.
        """
        if self.runner.closed:
            return
        self.release()
        await asyncio.gather(*(source.close() for source in self.runner.sources.values()))
        if self._archive is not None:
            await self._archive.ended()

    def release(self) -> None:
        """Give back archive and workers, and take no more questions; all there is to close before the first one."""
        self.runner.closed = True
        if self._own_verifiers:
            self._verifiers.close()
        if self._archive is not None:
            self._archive.close()

    # ------------------------------------------------------------ questions

    async def info(self) -> ChainInfo:
        """The chain's information, whose recomputed hash is the chain hash asked for."""
        return (await self._trusted()).info

    async def get(self, round_: int) -> VerifiedBeacon:
        """One round. Raises RoundTooEarly before its time, without asking anybody."""
        judge = await self._trusted()
        return await self._found(judge, self._due(judge, round_))

    async def latest(self) -> VerifiedBeacon:
        """The latest round, never below one that was given out. An old one is not taken for it.

        raises  SourceBehind, ChainStale or ChainRetired when no source has a recent round; ClockSuspect when this
                machine's clock is the reason
        """
        judge = await self._trusted()

        async def ask(source: Source) -> VerifiedBeacon:
            beacon = await source.beacon(judge.info, None)
            verified = judge.one(source.name, beacon, self.clock.now())
            require_fresh(judge.info, source.name, verified, self.clock.now())
            require_no_older(source.name, verified, self._memory.newest)
            return verified

        try:
            found = await self.runner.ask("the latest round", ask)
        except (SourceBehind, NoSourceAnswered) as error:
            faults = _faults(error)
            held = still_latest(judge.info, faults, self._memory.newest, self.clock.now())
            if held is not None:
                self.observer.hit(held)
                return held
            stale = self._stale(judge, faults)
            if stale is None:
                raise
            raise stale from error
        if self._must_follow(judge):
            followed = await self._found(judge, found.round)  # not `get`: our clock may be a little behind
            if followed.signature != found.signature:
                raise ForgedBeacon(found.provenance.source, f"two signatures of round {found.round}")
            return followed
        self._keep(found)
        return found

    async def at(self, when: datetime | float) -> VerifiedBeacon:
        """The latest round that was due at `when` (an aware datetime, or unix seconds)."""
        unix_s(when)  # before anybody is asked for the chain
        return await self.get(round_at(await self.info(), when))

    async def rounds(self, first: int, last: int) -> AsyncGenerator[VerifiedBeacon, None]:
        """All rounds from `first` to `last`, both included, verified in batches.

        Close it (`contextlib.aclosing`) when you leave the loop early.
        """
        async with aclosing(self.batches(first, last)) as batches:
            async for batch in batches:
                for beacon in batch:
                    yield beacon

    async def batches(self, first: int, last: int) -> AsyncGenerator[Batch, None]:
        """As `rounds`, in lists of at most a thousand."""
        first, last = whole_round(first), whole_round(last)
        judge = await self._trusted()
        if not 1 <= first <= last:
            raise BadSetting(f"there are no rounds from {first} to {last}")
        begin, end = self._due(judge, first), self._due(judge, last)
        before = None
        if self._must_follow(judge):
            await self._followed(judge, end)
            before = self._require_archived(judge, Round(begin - 1)) if begin > 1 else judge.genesis(self.clock.now())
        async with aclosing(self._bulk(judge).batches(begin, end, before)) as batches:
            async for batch in batches:
                yield batch

    async def watch(self, first: int | None = None) -> AsyncGenerator[VerifiedBeacon, None]:
        """Every round from `first` on (None: the next one to come), as it appears, in order, none left out.

        Goes on without end; while no source answers it waits, and tells the observer why. Close it
        (`contextlib.aclosing`) when you leave the loop early.
        """
        wanted = None if first is None else Round(whole_round(first))
        if wanted is not None and wanted < 1:
            raise BadSetting(f"rounds begin at 1, not {first}")
        judge = await self._trusted()
        coming, _ = judge.info.schedule.next_round(self.clock.now())
        async with aclosing(Watch(self, coming if wanted is None else wanted).beacons()) as beacons:
            async for beacon in beacons:
                yield beacon

    # ------------------------------------------------------------ time

    async def round_at(self, when: datetime | float) -> Round:
        """The latest round due at `when`; raises BeforeGenesis."""
        return round_at(await self.info(), when)

    async def time_of(self, round_: int) -> datetime:
        """When a round is due, in UTC."""
        return time_of(await self.info(), round_)

    # ------------------------------------------------------------ state

    @property
    def judge(self) -> Judge:
        """Who verifies; only after the chain is known (`await info()`)."""
        if self._judge is None:
            raise BadSetting("the chain's information was not fetched yet", hint="await client.info() first")
        return self._judge

    @property
    def chain(self) -> ChainInfo:
        """The chain's information; only after it is known (`await info()`)."""
        return self.judge.info

    @property
    def follows_links(self) -> bool:
        """Whether every round is followed back to the genesis before it is given out; only after the chain is known."""
        return self._must_follow(self.judge)

    def health(self) -> Mapping[str, Health]:
        """What the client remembers about each source."""
        return {name: replace(health) for name, health in self.runner.pool.health.items()}

    # ------------------------------------------------------------ inside

    async def _trusted(self) -> Judge:
        if self.runner.closed:
            raise ClientClosed("the client is closed")
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise BadSetting(
                "an AsyncClient belongs to the event loop that used it first", hint="make one in each, or use Client"
            )
        self._loop = loop
        return self._judge or await self._trusting.get(0, self._learnt)  # there is one chain to be asked for

    async def _learnt(self) -> Judge:
        ask = question_of_trust(self.chain_hash, self.clock.now)
        self._judge = await self.runner.ask("the chain's information", ask)
        return self._judge

    def _due(self, judge: Judge, round_: int) -> Round:
        """The round, as a number of a kind that every source and store takes; raises BadSetting, RoundTooEarly."""
        wanted = Round(whole_round(round_))
        if not 1 <= wanted <= MAX_ROUND:
            raise BadSetting(f"rounds go from 1 to {MAX_ROUND}, {wanted} is none")
        due, now = judge.info.schedule.due_unix_s(wanted), self.clock.now()
        if due > now:
            raise RoundTooEarly(wanted, due, now)
        return wanted

    async def _found(self, judge: Judge, wanted: Round) -> VerifiedBeacon:
        """A round, whatever our clock says."""
        found = self._memory.get(wanted) or self._from_archive(judge, wanted)
        if found is not None:
            self._memory.note(found)
            self.observer.hit(found)
            return found
        return await self._asking.get(wanted, lambda: self._asked(judge, wanted))

    async def _asked(self, judge: Judge, round_: Round) -> VerifiedBeacon:
        async def ask(source: Source) -> VerifiedBeacon:
            beacon = await source.beacon(judge.info, round_)
            if beacon.round != round_:
                raise WrongRound(source.name, f"answered with round {beacon.round}, asked for {round_}")
            return judge.one(source.name, beacon, self.clock.now())

        if self._must_follow(judge):
            found = await self._followed(judge, round_)
        else:
            found = await self.runner.ask(f"round {round_}", ask)
        self._keep(found)
        return found

    def _from_archive(self, judge: Judge, round_: Round) -> VerifiedBeacon | None:
        """An archived round, unless a lock keeps readers out: then it is asked for."""
        try:
            return self._archived(judge, round_)
        except ArchiveLocked as error:
            self.observer.archive_failed(error)
            return None

    def _archived(self, judge: Judge, round_: Round) -> VerifiedBeacon | None:
        """An archived round, verified again: the file may have been changed."""
        if self._archive is None or (self._must_follow(judge) and round_ > self._archive.walked(judge.chain_hash)):
            return None
        beacon = self._archive.get(judge.chain_hash, round_)
        if beacon is None:
            return None
        try:
            return judge.one("archive", beacon, self.clock.now())
        except ForgedBeacon as error:
            self.observer.failed("archive", error, 0.0)  # fetched anew, which mends the row
            return None

    def _must_follow(self, judge: Judge) -> bool:
        return self._full_chain and judge.info.scheme.chained

    async def _followed(self, judge: Judge, round_: Round) -> VerifiedBeacon:
        """`round_`, after every link from the genesis to it was followed and archived."""
        assert self._archive is not None
        async with self._walking:
            walked = self._archive.walked(judge.chain_hash)
            before = judge.genesis(self.clock.now()) if walked == 0 else self._archived(judge, walked)
            if before is None or (round_ <= walked and self._archived(judge, round_) is None):
                before = judge.genesis(self.clock.now())  # the archive was damaged: all over again
            found = before
            async with aclosing(self._bulk(judge).batches(Round(before.round + 1), round_, before)) as batches:
                async for batch in batches:
                    await self._archive.put(judge.chain_hash, [one.plain for one in batch])
                    found = batch[-1]
                    self._archive.set_walked(judge.chain_hash, max(found.round, walked))
            return found if found.round == round_ else self._require_archived(judge, round_)

    def _bulk(self, judge: Judge) -> Bulk:
        return Bulk(self.runner, judge, self.clock, self._archive, self._verifiers)

    def _require_archived(self, judge: Judge, round_: Round) -> VerifiedBeacon:
        found = self._archived(judge, round_)
        if found is None:
            raise ForgedBeacon("archive", f"round {round_} is missing or damaged", hint="remove the archive")
        return found

    def _keep(self, beacon: VerifiedBeacon) -> None:
        self.runner.require_open()
        self._memory.keep(replace(beacon, provenance=Provenance("memory", beacon.provenance.received_unix_s)))
        if self._archive is not None and beacon.provenance.source != "archive":
            self._archive.keep(self.chain_hash, [beacon.plain])

    def _archive_failed(self, error: StoreFailed) -> None:
        """Tell the observer, in the client's loop; what the archive tells comes from a thread of its own."""
        if self._loop is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # closed in this very moment
                self._loop.call_soon_threadsafe(self.observer.archive_failed, error)

    def _stale(self, judge: Judge, faults: Mapping[str, SourceFault]) -> ClientError | None:
        """What the failure of all sources says about the chain, or about our clock; None when it says nothing."""
        told = (self.runner.sources[name].clock_ahead_s for name in faults)
        return explain_stale(judge.info, faults, [ahead_s for ahead_s in told if ahead_s is not None], self.clock.now())


def _faults(error: SourceBehind | NoSourceAnswered) -> dict[str, SourceFault]:
    """What each source did."""
    failures = error.failures if isinstance(error, NoSourceAnswered) else {error.source: error}
    return {name: one for name, one in failures.items() if isinstance(one, SourceFault)}


def described(client: AsyncClient, kind: str = "AsyncClient") -> str:
    """What a client is for, for people who look at it."""
    closed = ", closed" if client.runner.closed else ""
    return f"<{kind} of chain {client.chain_hash.hex()[:16]} at {', '.join(client.runner.sources)}{closed}>"
