"""Many consecutive rounds: from the archive where it has them, else from the sources, verified in batches."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from collective.clock import Clock, monotonic_s
from drand.client.beacon import VerifiedBeacon
from drand.client.errors import SourceFault, WrongRound
from drand.client.judge import Judge
from drand.client.racing import Runner
from drand.client.sources import MAX_BATCH, Source
from drand.model.chain import Beacon, Round
from drand.store.archive import BeaconArchive

Batch = list[VerifiedBeacon]


class Bulk:
    """One range of rounds, in batches. In a chained scheme each batch is linked to the one before."""

    def __init__(
        self, runner: Runner, judge: Judge, clock: Clock, archive: BeaconArchive | None, *, ask_archive: bool = True
    ) -> None:
        self._runner = runner
        self._judge = judge
        self._clock = clock
        self._archive = archive
        self._ask_archive = ask_archive
        self._before: VerifiedBeacon | None = None

    async def batches(
        self, first: Round, last: Round, before: VerifiedBeacon | None = None
    ) -> AsyncGenerator[Batch, None]:
        """All rounds from `first` to `last`, ascending; `before` is the verified beacon that the first one builds on.

        raises  as `drand.client.racing.Runner.verdict` says, when no source goes on from some round; StoreFailed
        """
        self._before = before
        at = int(first)
        while at <= last:
            batch = await self._archived(Round(at), last)
            if batch:
                yield batch
            else:
                async with aclosing(self._fetched(Round(at), self._gap_end(Round(at), last))) as batches:
                    async for fetched in batches:
                        yield fetched
            assert self._before is not None
            at = self._before.round + 1

    async def _archived(self, first: Round, last: Round) -> Batch:
        """What the archive has from `first` on; a stretch that does not verify counts as not there."""
        if self._archive is None or not self._ask_archive:
            return []
        found = self._archive.run(self._judge.chain_hash, first, min(MAX_BATCH, last - first + 1))
        if not found:
            return []
        try:
            return await self._verified("archive", found, first)
        except SourceFault as error:
            self._runner.observer.failed("archive", error, 0.0)
            self._ask_archive = False  # fetched anew, which mends the rows
            return []

    def _gap_end(self, first: Round, last: Round) -> Round:
        if self._archive is None or not self._ask_archive:
            return last
        stored = self._archive.next_stored(self._judge.chain_hash, first)
        return last if stored is None else Round(min(last, stored - 1))

    async def _fetched(self, first: Round, last: Round) -> AsyncGenerator[Batch, None]:
        """From one source after the other, each going on where the one before failed."""
        at = int(first)
        while at <= last:
            began_at, failures = at, dict[str, SourceFault]()
            for name in self._runner.pool.order(monotonic_s()):
                since_s = monotonic_s()
                try:
                    async with aclosing(self._from(self._runner.sources[name], Round(at), last)) as batches:
                        async for batch in batches:
                            self._keep(batch)
                            yield batch
                            at = batch[-1].round + 1
                    break
                except SourceFault as error:
                    failures[name] = error
                    self._runner.note_failure(error, monotonic_s() - since_s)
            if at == began_at:
                raise self._runner.verdict(f"rounds {at} to {last}", failures)

    async def _from(self, source: Source, first: Round, last: Round) -> AsyncGenerator[Batch, None]:
        """One source's batches, verified; the next one is on its way while one is verified."""
        self._runner.observer.asked(source.name)
        expected = first
        incoming = source.batches(self._judge.info, first, last)
        coming: asyncio.Future[list[Beacon] | None] = asyncio.ensure_future(anext(incoming, None))
        try:
            while (beacons := await coming) is not None:
                coming = asyncio.ensure_future(anext(incoming, None))
                yield await self._verified(source.name, beacons, expected)
                expected = Round(beacons[-1].round + 1)
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await incoming.aclose()

    async def _verified(self, source: str, beacons: list[Beacon], first: Round) -> Batch:
        """Off the loop, so that a long batch does not hold up whoever shares it."""
        if beacons[0].round != first:
            raise WrongRound(source, f"sent round {beacons[0].round} where round {first} was due")
        now, before = self._clock.now(), self._before
        batch = await asyncio.to_thread(self._judge.many, source, beacons, now, before)
        self._before = batch[-1]
        return batch

    def _keep(self, batch: Batch) -> None:
        if self._archive is not None:
            self._archive.put(self._judge.chain_hash, [one.plain for one in batch])
