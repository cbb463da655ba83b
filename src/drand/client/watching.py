"""Each round as it appears: pushed by a source that can, else fetched when the clock says so."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from collective.clock import monotonic_s
from collective.errors import InvalidSignature
from drand.client.beacon import VerifiedBeacon
from drand.client.errors import ChainRetired, ClockSuspect, NoSourceAnswered, RoundTooEarly, SourceFault
from drand.client.freshness import TOLERATED_S, require_possible
from drand.model.chain import Beacon, Round
from drand.store.archive import ArchiveLocked

if TYPE_CHECKING:
    from drand.client.async_client import AsyncClient

FIRST_PAUSE_S = 0.25  # between two attempts for a round that is due; doubles up to the period
LEAST_PATIENCE_S = 1.0  # with a stream that was opened when the coming round was late already
MOST_PASSED_OVER = 64  # rounds until a stream that ended without an event is opened again: one, then doubling


class Watch:
    """One `watch()` of a client: every round from `coming` on, in order, none left out, none twice."""

    def __init__(self, client: "AsyncClient", coming: Round) -> None:
        self._client = client
        self._coming = coming
        self._mute: set[str] = set()  # sources that cannot push, or lied when they did
        self._empty: dict[str, tuple[Round, int]] = {}  # an empty stream's source -> first round to ask for again, rest

    async def beacons(self) -> AsyncGenerator[VerifiedBeacon, None]:
        """Without end; sources that fail are named to the observer, and asked again later.

        raises  ClockSuspect when this machine's clock is why no round is the coming one; ChainRetired
        """
        while True:
            async with aclosing(self._missed(self._due())) as missed:
                async for beacon in missed:
                    yield beacon
            async with aclosing(self._pushed()) as pushed:
                async for seen in pushed:
                    async with aclosing(self._missed(Round(seen.round - 1))) as missed:
                        async for beacon in missed:
                            yield beacon
                    if seen.round == self._coming and self._client.follows_links:
                        yield await self._by_clock()  # what was pushed says that it is out, and no more
                    elif seen.round == self._coming:
                        self._coming = Round(seen.round + 1)
                        yield seen
            yield await self._by_clock()

    def _due(self) -> Round:
        chain, now = self._client.chain, self._client.clock.now()
        return Round(0) if now < chain.genesis_unix_s else chain.schedule.current_round(now)

    async def _missed(self, last: Round) -> AsyncGenerator[VerifiedBeacon, None]:
        """The rounds up to `last`, which are due: in bulk but for the newest, which may not be out yet."""
        if last < self._coming:
            return
        there = min(last - 1, self._due())  # our clock may be a little behind: it is waited for
        try:
            if there >= self._coming:
                async with aclosing(self._client.rounds(self._coming, there)) as found:
                    async for beacon in found:
                        self._coming = Round(beacon.round + 1)
                        yield beacon
        except (SourceFault, NoSourceAnswered) as error:
            self._client.observer.gave_up(error)  # what is missing is asked for again, one by one
        except ArchiveLocked as error:
            self._client.observer.archive_failed(error)
        yield await self._by_clock()

    async def _by_clock(self) -> VerifiedBeacon:
        """The coming round: waited for until it is due, then asked for until a source has it."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                beacon = await self._client.get(self._coming)
            except RoundTooEarly as early:
                await self._client.sleep(max(early.due_unix_s - self._client.clock.now(), 0.0))
            except (SourceFault, NoSourceAnswered) as error:
                self._client.observer.gave_up(error)  # a watch goes on: sources come back
                if self._overdue():
                    await self._require_cause()
                await self._client.sleep(pause_s)
                pause_s = min(2 * pause_s, max(float(self._client.chain.period_s), FIRST_PAUSE_S))
            except ArchiveLocked as error:  # where the whole chain is followed, what the archive says is needed
                self._client.observer.archive_failed(error)
                await self._client.sleep(pause_s)
            else:
                self._coming = Round(self._coming + 1)
                return beacon

    def _overdue(self) -> bool:
        """Whether the coming round is so late that the clock or the chain may be the reason."""
        chain, now = self._client.chain, self._client.clock.now()
        return now > chain.schedule.due_unix_s(self._coming) + 2 * chain.period_s + TOLERATED_S

    async def _require_cause(self) -> None:
        """Raise what no waiting will mend: a clock that is ahead, a chain that was retired."""
        try:
            await self._client.latest()
        except (ClockSuspect, ChainRetired):
            raise
        except (SourceFault, NoSourceAnswered) as error:
            self._client.observer.gave_up(error)  # why, in better words

    async def _pushed(self) -> AsyncGenerator[VerifiedBeacon, None]:
        """What the best source that pushes gives, verified, until it ends, fails or falls behind."""
        client, runner = self._client, self._client.runner
        for name in runner.pool.order(monotonic_s()):
            if self._passed_over(name) or runner.pool.health[name].resting(monotonic_s()):
                continue
            events = runner.sources[name].events(client.chain)
            if events is None:
                self._mute.add(name)
                continue
            seen = 0
            since_s = monotonic_s()
            try:
                async with aclosing(self._in_time(events)) as incoming:
                    async for beacon in incoming:
                        seen += 1
                        if beacon.round < self._coming:
                            continue  # known from elsewhere by now
                        verified = client.judge.one(name, beacon, client.clock.now())
                        require_possible(name, verified, client.clock.now())
                        yield verified
            except TimeoutError:  # another source may have it, and is the first to be asked from now on
                runner.pool.note_slow(name, client.chain.period_s, monotonic_s())
                return
            except SourceFault as error:
                runner.note_failure(error, monotonic_s() - since_s)
                if isinstance(error, InvalidSignature):
                    self._mute.add(name)
                return
            if seen > 0:
                self._empty.pop(name, None)
                return
            self._pass_over(name)

    def _passed_over(self, name: str) -> bool:
        not_before, _ = self._empty.get(name, (self._coming, 0))
        return name in self._mute or self._coming < not_before

    def _pass_over(self, name: str) -> None:
        """Leave a source whose stream gave nothing for some rounds: it may have none, or it began again just then."""
        _, rested = self._empty.get(name, (self._coming, 0))
        rest = min(max(2 * rested, 1), MOST_PASSED_OVER)
        self._empty[name] = Round(self._coming + rest), rest

    async def _in_time(self, events: AsyncGenerator[Beacon, None]) -> AsyncGenerator[Beacon, None]:
        """`events`; raises TimeoutError when the coming round is a period late, whatever else has come."""
        client = self._client
        patient_until = client.clock.now() + LEAST_PATIENCE_S
        try:
            while True:
                late_at = client.chain.schedule.due_unix_s(self._coming) + client.chain.period_s
                left_s = max(late_at, patient_until) - client.clock.now()
                if left_s <= 0:
                    raise TimeoutError
                async with asyncio.timeout(left_s):
                    beacon = await anext(events, None)
                if beacon is None:
                    return
                yield beacon
        finally:
            await events.aclose()
